//! `weir link -- COMMAND`, `weir link --topology FILE.toml` and `weir link exec`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use weir_emulator::namespace::{
    Counters, Network, Outcome, Publish, Running, Supervisor, Topology, exec as exec_on,
};
use weir_emulator::{Clock, Session, control};
use weir_record::event::EndReason;

use super::control::SessionFlags;
use super::flags::Flags;
use crate::log;

/// The options of `weir link -- COMMAND`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: Flags,
    /// Hosts, switches and links from a file, instead of one host behind one link
    #[arg(long, value_name = "FILE.toml")]
    topology: Option<PathBuf>,
    /// The host of the topology that runs COMMAND: the first, if not given
    #[arg(long, value_name = "HOST", requires = "topology")]
    on: Option<String>,
    /// Give every host of the topology a way out, as the one host behind one link has it
    #[arg(long, requires = "topology")]
    internet: bool,
    /// How TCP of the hosts reacts to loss: cubic, reno, bbr
    #[arg(long, value_name = "NAME")]
    congestion: Option<String>,
    /// Let a port of this machine lead to a host: 8080, 8080:80, 8080:HOST:80, udp:5004
    #[arg(long, value_name = "PORT")]
    publish: Vec<String>,
    #[command(flatten)]
    session: SessionFlags,
    /// What to run behind the link. This machine is host.weir there
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Run a command on a host of a running topology.
#[derive(clap::Args)]
#[command(after_help = EXEC_EXAMPLES)]
pub(crate) struct ExecArgs {
    /// The host, by its name
    host: String,
    /// The run, by its process, where several have a host of this name
    #[arg(long)]
    pid: Option<u32>,
    /// What to run there
    #[arg(last = true, value_name = "COMMAND", required = true)]
    command: Vec<String>,
}

const EXEC_EXAMPLES: &str = "\
Examples:
  weir link exec client -- curl http://server:8080/
  weir link exec server -- iperf3 -s
  weir link exec client -- bash                 a shell on the host";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (topology, name) = args.topology()?;
    let seed = topology.seed.unwrap_or(args.flags.seed);
    let mut asked = args.session.settings("namespace");
    if asked.control.is_none() {
        // The place of whoever started this, not of the user that it becomes.
        asked.control = Some(control::free_place().context("no place for the control socket")?);
    }
    // Before any other thread is there: signals and, without privileges, a user namespace.
    let mut supervisor = Supervisor::new()?;
    let network = Network::make(topology, &name)?;
    let clock = Clock::start();
    asked.fidelity = network.fidelity();
    // Packets are shown as the link carries them: not as super-packets.
    let may_offload = asked.capture.is_none() && !asked.packets;
    let (mut session, tap, inbox) = Session::start(asked, clock, seed, &network.plans())?;
    let running = network.start(clock, seed, Some(tap), inbox, may_offload)?;
    if args.command.is_empty() && !args.session.json {
        log::print(&shown(&running, &name))?;
    }
    let outcome = running.supervise(&mut supervisor, args.on.as_deref(), &args.command);
    let hosts = running.addresses();
    let ended = running.finish();
    if matches!(outcome, Ok(Outcome::Ended(_))) {
        session.ended(EndReason::Done);
    }
    let certificate = session.finish();
    let counters = ended?;
    let code = match outcome? {
        Outcome::Ended(code) => code,
        Outcome::Interrupted => 0,
        Outcome::DriverEnded => bail!("the link ended by itself"),
    };
    if args.session.json {
        let hosts: Vec<Value> =
            hosts.iter().map(|host| json!({"name": host.name, "address": host.address})).collect();
        let beside = beside_json(&counters);
        let all = json!({
            "code": code, "hosts": hosts, "certificate": certificate, "beside_links": beside,
        });
        log::print(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    } else {
        // Standard output is the command's own.
        log::say(certificate.to_string().trim_end());
        log::say(beside_words(&counters).trim_end());
    }
    Ok(ExitCode::from(code))
}

pub(crate) fn exec(args: &ExecArgs) -> anyhow::Result<ExitCode> {
    Err(exec_on(&args.host, args.pid, &args.command).into())
}

impl Args {
    /// What is to be built, and its name for people.
    fn topology(&self) -> anyhow::Result<(Topology, String)> {
        let (mut topology, name) = match &self.topology {
            Some(file) => {
                let shown = file.display().to_string();
                let text = std::fs::read_to_string(file);
                let text = text.with_context(|| format!("cannot read {shown}"))?;
                (Topology::parse(&text).with_context(|| shown.clone())?, shown)
            }
            None if self.command.is_empty() => bail!(
                "what is to run behind the link? Say it behind two hyphens, as in \
                 `weir link --rate 5mbit --delay 20ms -- curl http://host.weir:8080/`, or build a \
                 network with --topology FILE.toml"
            ),
            None => {
                let plan = self.flags.plan("link")?;
                (Topology::one_link(plan), self.command.join(" "))
            }
        };
        if self.internet {
            topology.open_all()?;
        }
        if let Some(congestion) = &self.congestion {
            topology.congestion = Some(congestion.clone());
            for host in &mut topology.hosts {
                host.congestion = Some(congestion.clone());
            }
        }
        for text in &self.publish {
            topology.publish.push(text.parse::<Publish>()?);
        }
        if let Some(host) = &self.on {
            topology.host(host)?;
        }
        Ok((topology, name))
    }
}

/// What runs, for people.
fn shown(running: &Running, name: &str) -> String {
    let addresses = running.addresses();
    let width = addresses.iter().map(|host| host.name.len()).max().unwrap_or(0);
    let mut text = format!("{name} runs until Ctrl-C\n\n");
    for host in &addresses {
        text.push_str(&format!("  {:width$}  {}\n", host.name, host.address));
    }
    let first = addresses.first().map_or("HOST", |host| host.name.as_str());
    text.push_str(&format!("\n  weir link exec {first} -- COMMAND     runs COMMAND there\n"));
    text
}

fn beside_json(counters: &Counters) -> Value {
    json!({
        "without_way_packets": counters.without_way,
        "not_taken_packets": counters.not_taken,
        "not_sent_packets": counters.not_sent,
        "not_cut_packets": counters.not_cut,
        "not_out_packets": counters.not_out,
    })
}

/// What was counted beside the links, for people; nothing, where nothing was.
fn beside_words(counters: &Counters) -> String {
    let beside = [
        (counters.without_way, "packets had no way to go"),
        (counters.not_taken, "packets were not taken by a host"),
        (counters.not_sent, "packets were dropped before the link could take them"),
        (counters.not_cut, "super-packets could not be cut"),
        (counters.not_out, "packets could not leave"),
    ];
    let told = beside.into_iter().filter(|(count, _)| *count > 0);
    told.map(|(count, what)| format!("Beside the links, {count} {what}\n")).collect()
}
