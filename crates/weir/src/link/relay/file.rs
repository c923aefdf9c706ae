//! Several relays from a file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use clap::Parser;
use serde::Deserialize;
use weir_emulator::Plan;
use weir_emulator::relay::{self, Kind};

use super::super::flags::Flags;
use super::{Asked, Congestion, Job};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Relays {
    seed: Option<u64>,
    congestion: Option<Congestion>,
    idle: Option<String>,
    #[serde(default)]
    link: Vec<NamedLink>,
    #[serde(default)]
    relay: Vec<OneRelay>,
}

/// A link that several relays share.
#[derive(Debug, Deserialize)]
struct NamedLink {
    name: String,
    #[serde(flatten)]
    asked: BTreeMap<String, toml::Value>,
}

/// A relay, with the name of its link or a link of its own.
#[derive(Debug, Deserialize)]
struct OneRelay {
    kind: FileKind,
    listen: Port,
    target: Port,
    link: Option<String>,
    #[serde(flatten)]
    asked: BTreeMap<String, toml::Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FileKind {
    Udp,
    Tcp,
    Rtsp,
}

/// `5004` or `"127.0.0.1:5004"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Text(String),
}

/// The options of a link, to read them as the commands do.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct LinkOptions {
    #[command(flatten)]
    flags: Flags,
}

/// Reads the file.
pub(super) fn read(path: &Path) -> anyhow::Result<Job> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    job(&text).with_context(|| format!("{shown} describes no relays"))
}

fn job(text: &str) -> anyhow::Result<Job> {
    let file: Relays = toml::from_str(text).map_err(|error| anyhow!("{error}"))?;
    if file.relay.is_empty() {
        bail!("expected a [[relay]] with kind, listen and target");
    }
    let mut plans: Vec<Plan> = Vec::new();
    for link in &file.link {
        add(&mut plans, &link.name, &link.asked)?;
    }
    let mut relays = Vec::new();
    for (number, relay) in file.relay.iter().enumerate() {
        let link = match &relay.link {
            Some(name) => {
                if let Some(key) = relay.asked.keys().next() {
                    bail!("relay {}: {key} belongs to the link {name:?} that it names", number + 1);
                }
                plans.iter().position(|plan| plan.name == *name).ok_or_else(|| {
                    let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
                    anyhow!(
                        "relay {}: no link {name:?}; there are: {}",
                        number + 1,
                        names.join(", ")
                    )
                })?
            }
            None => add(&mut plans, &format!("relay-{}", number + 1), &relay.asked)?,
        };
        let kind = match relay.kind {
            FileKind::Udp => Kind::Udp,
            FileKind::Tcp => Kind::Tcp,
            FileKind::Rtsp => Kind::Rtsp,
        };
        relays.push(Asked { kind, listen: relay.listen.text(), target: relay.target.text(), link });
    }
    let mut settings = relay::Settings {
        congestion_control: file.congestion.unwrap_or_default().into(),
        ..relay::Settings::default()
    };
    if let Some(idle) = &file.idle {
        settings.udp_idle_max = super::span(idle).context("idle")?;
    }
    Ok(Job { seed: file.seed.unwrap_or(1), plans, relays, settings })
}

/// One more link; returns its place.
fn add(
    plans: &mut Vec<Plan>,
    name: &str,
    asked: &BTreeMap<String, toml::Value>,
) -> anyhow::Result<usize> {
    let place = format!("link {name:?}");
    if plans.iter().any(|plan| plan.name == name) {
        bail!("{place}: a second one of this name");
    }
    let mut options = Vec::new();
    for (key, value) in asked {
        if key == "seed" {
            bail!("{place}: the seed stands at the top of the file, for all links");
        }
        let option = format!("--{}", key.replace('_', "-"));
        match value {
            toml::Value::Boolean(true) => options.push(option),
            toml::Value::Boolean(false) => {}
            toml::Value::String(text) => options.push(format!("{option}={text}")),
            toml::Value::Integer(number) => options.push(format!("{option}={number}")),
            toml::Value::Float(number) => options.push(format!("{option}={number}")),
            _ => bail!("{place}: {key}: expected a text such as \"3mbit\""),
        }
    }
    let parsed = LinkOptions::try_parse_from(options).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        anyhow!("{place}: {}", first.trim_start_matches("error: ").replace("argument '--", "key '"))
    })?;
    plans.push(parsed.flags.plan(name).context(place)?);
    Ok(plans.len() - 1)
}

impl Port {
    fn text(&self) -> String {
        match self {
            Port::Number(port) => port.to_string(),
            Port::Text(text) => text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
        seed = 7
        congestion = "reno"
        [[link]]
        name = "slow"
        rate = "3mbit"
        [[relay]]
        kind = "udp"
        listen = 5004
        target = "127.0.0.1:6004"
        link = "slow"
        [[relay]]
        kind = "rtsp"
        listen = "8555"
        target = "8554"
        rate = "1mbit"
    "#;

    #[test]
    fn relays_share_a_link_or_have_their_own() {
        let job = job(TWO).expect("it is well formed");
        let names: Vec<&str> = job.plans.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(names, ["slow", "relay-2"]);
        assert_eq!((job.seed, job.relays[0].link, job.relays[1].link), (7, 0, 1));
        assert_eq!(job.relays[0].listen, "5004");
        assert!(job.plans[0].up != job.plans[1].up);
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            (
                TWO.replace("link = \"slow\"", "link = \"fast\""),
                "no link \"fast\"; there are: slow",
            ),
            (TWO.replace("kind = \"udp\"", "kind = \"sctp\""), "sctp"),
            (
                TWO.replace("rate = \"1mbit\"", "speed = \"1mbit\""),
                "link \"relay-2\": unexpected key 'speed",
            ),
            (TWO.replace("\"1mbit\"", "\"1mbps\""), "link \"relay-2\": --rate: rate: expected"),
            (
                TWO.replace("name = \"slow\"", "name = \"slow\"\nseed = 2"),
                "the seed stands at the top",
            ),
            (TWO.replace("[[relay]]", "[[relays]]"), "relays"),
            ("seed = 1".to_owned(), "expected a [[relay]]"),
        ];
        for (text, expected) in cases {
            let error = format!("{:#}", job(&text).map(|_| ()).expect_err(expected));
            assert!(error.contains(expected), "{error}");
        }
    }
}
