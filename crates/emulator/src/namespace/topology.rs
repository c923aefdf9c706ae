//! Topologies as people write them: hosts, switches and links in TOML.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::Deserialize;
use weir_link::{Change, Settings};

use super::error::Error;
use crate::links::Plan;

/// The end of a link that is the way out: the machine and what it reaches.
pub const INTERNET: &str = "internet";

/// Hosts, switches, links and what runs there.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Where the same seed meets the same packets, they have the same fates.
    pub seed: Option<u64>,
    /// The network whose addresses hosts get, the first host the first: a /16.
    pub addresses: Ipv4Addr,
    /// The largest IP packet on links.
    pub mtu_bytes: u16,
    /// How the TCP of the way out reacts to loss.
    pub congestion: Option<String>,
    /// The hosts: each a network namespace of its own.
    pub hosts: Vec<Host>,
    /// The names of the switches.
    pub switches: Vec<String>,
    /// The links.
    pub links: Vec<Link>,
    /// What is run once everything is up.
    pub runs: Vec<Run>,
    /// Ports of the machine that lead to hosts.
    pub publish: Vec<Publish>,
}

/// A host of a topology.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name, by which others find it.
    pub name: String,
    /// How its TCP reacts to loss: `cubic`, `reno`, `bbr`; the system's default if absent.
    pub congestion: Option<String>,
}

/// A link of a topology.
#[derive(Clone, Debug)]
pub struct Link {
    /// The names of a host, a switch or [`INTERNET`]: `up` is from the first to the second.
    pub ends: [String; 2],
    /// Its name, and what is asked of it.
    pub plan: Plan,
}

/// A command of a topology.
#[derive(Clone, Debug)]
pub struct Run {
    /// The host that runs it.
    pub host: String,
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// A port of the machine's loopback that leads to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// UDP; else TCP.
    pub udp: bool,
    /// The port on 127.0.0.1 of the machine.
    pub port: u16,
    /// The host; the first, if absent.
    pub host: Option<String>,
    /// The port there.
    pub host_port: u16,
}

impl Topology {
    /// One host, `client`, behind one link to the way out.
    pub fn one_link(plan: Plan) -> Self {
        let client = Host { name: CLIENT.to_owned(), congestion: None };
        let ends = [CLIENT.to_owned(), INTERNET.to_owned()];
        Topology {
            seed: None,
            addresses: ADDRESSES,
            mtu_bytes: MTU_BYTES,
            congestion: None,
            hosts: vec![client],
            switches: Vec::new(),
            links: vec![Link { ends, plan }],
            runs: Vec::new(),
            publish: Vec::new(),
        }
    }

    /// Reads a topology; an error says where it is and what was expected.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: File =
            toml::from_str(text).map_err(|error| Error::Topology(error.to_string()))?;
        let mut topology = Topology {
            seed: file.seed,
            addresses: network(file.addresses.as_deref())?,
            mtu_bytes: file.mtu.unwrap_or(MTU_BYTES),
            congestion: file.congestion.clone(),
            hosts: Vec::new(),
            switches: file.switch.into_iter().map(|switch| switch.name).collect(),
            links: Vec::new(),
            runs: Vec::new(),
            publish: Vec::new(),
        };
        for entry in file.link {
            topology.links.push(entry.read()?);
        }
        for entry in file.host {
            if entry.way_out.unwrap_or(file.way_out) {
                topology.add_way_out(&entry.name)?;
            }
            let congestion = entry.congestion.or_else(|| file.congestion.clone());
            topology.hosts.push(Host { name: entry.name, congestion });
        }
        for entry in file.run {
            topology.runs.push(Run { host: entry.host, command: entry.command.words() });
        }
        for text in file.publish {
            topology.publish.push(text.parse()?);
        }
        topology.check()?;
        Ok(topology)
    }

    /// Gives every host that has none a way out of its own, over a link that nothing is asked of.
    pub fn open_all(&mut self) -> Result<(), Error> {
        let names: Vec<String> = self.hosts.iter().map(|host| host.name.clone()).collect();
        names.iter().try_for_each(|name| self.add_way_out(name))
    }

    /// Whether any link leads out.
    pub fn has_way_out(&self) -> bool {
        self.links.iter().any(|link| link.ends.iter().any(|end| end == INTERNET))
    }

    fn add_way_out(&mut self, host: &str) -> Result<(), Error> {
        let ends = [host.to_owned(), INTERNET.to_owned()];
        if self.links.iter().any(|link| link.ends == ends) {
            return Ok(());
        }
        let name = format!("{host}-{INTERNET}");
        let plan = plan(name, Settings::default(), Settings::default());
        self.links.push(Link { ends, plan });
        Ok(())
    }

    /// Whether it can be built.
    pub fn check(&self) -> Result<(), Error> {
        let mut names = BTreeSet::from([INTERNET, "localhost"]);
        let hosts = self.hosts.iter().map(|host| host.name.as_str());
        for name in hosts.chain(self.switches.iter().map(String::as_str)) {
            if !is_name(name) {
                return refuse(format!(
                    "{name:?} is no name for a host or switch: expected letters, digits and \
                     hyphens, at most 63 (example: server)"
                ));
            }
            if !names.insert(name) {
                return refuse(format!(
                    "the name {name:?} is there twice, or reserved: every host and switch needs \
                     one of its own"
                ));
            }
        }
        if self.hosts.is_empty() {
            return refuse("there is no host: add [[host]] with name = \"client\"".to_owned());
        }
        if self.hosts.len() > HOSTS_MAX || self.links.len() > LINKS_MAX {
            return refuse(format!("too large: {HOSTS_MAX} hosts and {LINKS_MAX} links at most"));
        }
        if !(MTU_BYTES_MIN..=MTU_BYTES_MAX).contains(&self.mtu_bytes) {
            let mtu = self.mtu_bytes;
            return refuse(format!(
                "mtu: expected {MTU_BYTES_MIN} to {MTU_BYTES_MAX} bytes, got {mtu} (example: 1500)"
            ));
        }
        self.check_links()?;
        for run in &self.runs {
            self.host(&run.host)?;
            if run.command.is_empty() {
                return refuse(format!("run on {}: the command is empty", run.host));
            }
        }
        for publish in &self.publish {
            if let Some(host) = &publish.host {
                self.host(host)?;
            }
        }
        if !self.publish.is_empty() && !self.has_way_out() {
            return refuse(
                "publish needs a way out: set way_out = true, or add a link to \"internet\""
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn check_links(&self) -> Result<(), Error> {
        let mut names = BTreeSet::new();
        for link in &self.links {
            let name = &link.plan.name;
            if !names.insert(name) {
                return refuse(format!("two links are called {name:?}: give one another name"));
            }
            let [first, second] = &link.ends;
            if first == second {
                return refuse(format!("link {name}: both of its ends are {first}"));
            }
            for end in &link.ends {
                let is_there = end == INTERNET
                    || self.switches.contains(end)
                    || self.hosts.iter().any(|host| host.name == *end);
                if !is_there {
                    return refuse(format!(
                        "link {name}: there is no host or switch {end:?}; there are {}",
                        self.names()
                    ));
                }
            }
            for settings in [&link.plan.up, &link.plan.down] {
                let source = match settings.check() {
                    Ok(()) => continue,
                    Err(source) => source,
                };
                return Err(Error::Link { link: name.clone(), source: Box::new(source) });
            }
        }
        Ok(())
    }

    /// The place of a host among [`Topology::hosts`].
    pub fn host(&self, name: &str) -> Result<usize, Error> {
        let place = self.hosts.iter().position(|host| host.name == name);
        place.ok_or_else(|| {
            let names: Vec<&str> = self.hosts.iter().map(|host| host.name.as_str()).collect();
            Error::Topology(format!("there is no host {name:?}; there are {}", names.join(", ")))
        })
    }

    fn names(&self) -> String {
        let hosts = self.hosts.iter().map(|host| host.name.as_str());
        let all = hosts.chain(self.switches.iter().map(String::as_str)).chain([INTERNET]);
        all.collect::<Vec<_>>().join(", ")
    }
}

impl core::str::FromStr for Publish {
    type Err = Error;

    /// `8080`, `8080:80`, `8080:server:80`, each with `udp:` before it for UDP.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || {
            Error::Topology(format!(
                "publish: expected PORT, PORT:PORT or PORT:HOST:PORT, with udp: before it for \
                 UDP, got {text:?} (example: 8554, or udp:5004:server:5004)"
            ))
        };
        let (udp, rest) = match text.strip_prefix("udp:") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("tcp:").unwrap_or(text)),
        };
        let port = |text: &str| match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(refused()),
        };
        let parts: Vec<&str> = rest.split(':').collect();
        let (port, host, host_port) = match parts[..] {
            [one] => (port(one)?, None, port(one)?),
            [from, to] => (port(from)?, None, port(to)?),
            [from, host, to] => (port(from)?, Some(host.to_owned()), port(to)?),
            _ => return Err(refused()),
        };
        Ok(Publish { udp, port, host, host_port })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    seed: Option<u64>,
    addresses: Option<String>,
    mtu: Option<u16>,
    #[serde(default)]
    way_out: bool,
    congestion: Option<String>,
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    host: Vec<HostEntry>,
    #[serde(default)]
    switch: Vec<SwitchEntry>,
    #[serde(default)]
    link: Vec<LinkEntry>,
    #[serde(default)]
    run: Vec<RunEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostEntry {
    name: String,
    congestion: Option<String>,
    way_out: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchEntry {
    name: String,
}

#[derive(Deserialize)]
struct LinkEntry {
    name: Option<String>,
    ends: [String; 2],
    #[serde(flatten)]
    settings: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunEntry {
    host: String,
    command: Words,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    /// For a shell.
    Line(String),
    /// The program and its arguments.
    List(Vec<String>),
}

impl Words {
    fn words(self) -> Vec<String> {
        match self {
            Words::Line(line) if line.trim().is_empty() => Vec::new(),
            Words::Line(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line],
            Words::List(words) => words,
        }
    }
}

impl LinkEntry {
    fn read(self) -> Result<Link, Error> {
        let name = self.name.unwrap_or_else(|| self.ends.join("-"));
        let (mut up, mut down) = (Change::default(), Change::default());
        for (key, value) in &self.settings {
            let value = match value {
                toml::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            // What is said of one direction wins over what is said of both, in whatever order.
            let both = !key.starts_with("up_") && !key.starts_with("down_");
            let both_ways = [("up_", &mut up), ("down_", &mut down)];
            for (prefix, change) in both_ways {
                let own = key.strip_prefix(prefix);
                let overruled = both && self.settings.contains_key(&format!("{prefix}{key}"));
                let setting = own.or((both && !overruled).then_some(key.as_str()));
                if let Some(setting) = setting {
                    change.read(setting, &value).map_err(|source| Error::Link {
                        link: name.clone(),
                        source: Box::new(source),
                    })?;
                }
            }
        }
        let settings = |change: Change| {
            let mut settings = Settings::default();
            change.apply(&mut settings);
            settings
        };
        Ok(Link { ends: self.ends, plan: plan(name, settings(up), settings(down)) })
    }
}

fn plan(name: String, up: Settings, down: Settings) -> Plan {
    Plan { name, up, down, up_schedule: None, down_schedule: None }
}

fn network(text: Option<&str>) -> Result<Ipv4Addr, Error> {
    let Some(text) = text else { return Ok(ADDRESSES) };
    let parsed = text.strip_suffix("/16").and_then(|address| address.parse::<Ipv4Addr>().ok());
    match parsed {
        Some(address) if address.octets()[2..] == [0, 0] && address.octets()[0] == 10 => {
            Ok(address)
        }
        _ => {
            refuse(format!("addresses: expected 10.x.0.0/16, got {text:?} (example: 10.77.0.0/16)"))
        }
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-')
}

fn refuse<T>(why: String) -> Result<T, Error> {
    Err(Error::Topology(why))
}

const CLIENT: &str = "client";
const ADDRESSES: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 0);
const MTU_BYTES: u16 = 1500;
/// What every IPv4 host must take (RFC 791 section 3.1).
const MTU_BYTES_MIN: u16 = 576;
const MTU_BYTES_MAX: u16 = 9000;
const HOSTS_MAX: usize = 250;
const LINKS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use weir_link::Rate;

    use super::*;

    const BOTTLENECK: &str = r#"
        [[host]]
        name = "server"
        congestion = "cubic"
        [[host]]
        name = "client"
        [[switch]]
        name = "s1"
        [[link]]
        ends = ["server", "s1"]
        [[link]]
        ends = ["s1", "client"]
        rate = "10mbit"
        up_rate = "1mbit"
        delay = "10ms"
        [[run]]
        host = "client"
        command = "true"
    "#;

    fn refusal(text: &str) -> String {
        Topology::parse(text).expect_err("it cannot be built").to_string()
    }

    #[test]
    fn a_topology_is_read_whole() {
        let topology = Topology::parse(BOTTLENECK).expect("it is well formed");
        assert_eq!(topology.hosts[0].congestion.as_deref(), Some("cubic"));
        assert_eq!(topology.links[0].plan.name, "server-s1");
        let plan = &topology.links[1].plan;
        assert_eq!(plan.up.rate, Rate::bits_per_second(1_000_000));
        assert_eq!(plan.down.rate, Rate::bits_per_second(10_000_000));
        assert_eq!(topology.runs[0].command, ["/bin/sh", "-c", "true"]);
        assert!(!topology.has_way_out());
    }

    #[test]
    fn a_link_to_nowhere_names_what_there_is() {
        let text = "host = [{name = 'a'}]\nlink = [{ends = ['a', 'b']}]";
        assert_eq!(
            refusal(text),
            "link a-b: there is no host or switch \"b\"; there are a, internet"
        );
    }

    #[test]
    fn a_mistyped_setting_names_its_link() {
        let text =
            "host = [{name = 'a'}, {name = 'b'}]\nlink = [{ends = ['a', 'b'], rate = '5 apples'}]";
        assert!(refusal(text).starts_with("link a-b: rate: "), "{}", refusal(text));
        let text =
            "host = [{name = 'a'}, {name = 'b'}]\nlink = [{ends = ['a', 'b'], up_speed = '5mbit'}]";
        assert!(refusal(text).starts_with("link a-b: setting: "), "{}", refusal(text));
    }

    #[test]
    fn names_are_unique_and_plain() {
        assert!(refusal("host = [{name = 'a'}, {name = 'a'}]").contains("twice"));
        assert!(refusal("host = [{name = 'internet'}]").contains("reserved"));
        assert!(refusal("host = [{name = 'a b'}]").contains("is no name"));
    }

    #[test]
    fn a_way_out_is_a_link_of_its_own() {
        let topology = Topology::parse("way_out = true\nhost = [{name = 'a'}]");
        let topology = topology.expect("it is well formed");
        assert_eq!(topology.links[0].ends, ["a", "internet"]);
    }

    #[test]
    fn ports_are_published_in_three_spellings() {
        let read = |text: &str| text.parse::<Publish>().expect("it is well formed");
        let plain = Publish { udp: false, port: 80, host: None, host_port: 80 };
        assert_eq!(read("80"), plain);
        assert_eq!(read("80:8080"), Publish { host_port: 8080, ..plain.clone() });
        let named = Publish { udp: true, host: Some("a".to_owned()), host_port: 1, ..plain };
        assert_eq!(read("udp:80:a:1"), named);
        for bad in ["", "0", "a", "1:2:3:4", "70000"] {
            assert!(bad.parse::<Publish>().is_err());
        }
    }
}
