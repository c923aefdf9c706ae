//! `weir link udp`, `weir link tcp`, `weir link rtsp` and `weir link relay`.

mod address;
mod file;
mod live;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::{Value, json};
use weir_emulator::relay::{self, Kind, Relays, Totals};
use weir_emulator::{Certificate, Clock, LinkIndex, Links, Plan, Session, SessionSettings};
use weir_link::text::Span;
use weir_net::{Either, Host, os, select};
use weir_proto::tcp::{CongestionControl, MODEL};

use self::live::Live;
use super::control::SessionFlags;
use super::flags::Flags;
use super::view;
use crate::log;

/// Listens at one UDP port and sends on to another address, over an emulated link.
#[derive(clap::Args)]
#[command(after_help = UDP_EXAMPLES)]
pub(crate) struct UdpArgs {
    #[command(flatten)]
    ends: EndsArgs,
    /// How long a client may be silent, both ways, before it is forgotten
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    idle: Duration,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    common: CommonArgs,
}

/// Listens at one TCP port and connects on to another address, over an emulated link.
///
/// Each connection is ended on both sides. Between them its bytes cross the link in segments of a
/// TCP of weir's own, so that loss, delay and rate act on real segments. HTTP, RTMP and TLS pass
/// untouched; for RTSP with media by UDP there is `weir link rtsp`.
#[derive(clap::Args)]
#[command(after_help = TCP_EXAMPLES)]
pub(crate) struct TcpArgs {
    #[command(flatten)]
    ends: EndsArgs,
    #[command(flatten)]
    tcp: CongestionArgs,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    common: CommonArgs,
}

/// Relays RTSP with its media, by UDP or interleaved, over an emulated link.
///
/// The ports in the messages are changed, so that media by UDP crosses the same link. The classroom
/// dialect is understood in both spellings.
#[derive(clap::Args)]
#[command(after_help = RTSP_EXAMPLES)]
pub(crate) struct RtspArgs {
    #[command(flatten)]
    ends: EndsArgs,
    #[command(flatten)]
    tcp: CongestionArgs,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs several relays that a file describes.
#[derive(clap::Args)]
#[command(after_help = FILE_EXAMPLES)]
pub(crate) struct RelayArgs {
    /// The file
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// Use this seed instead of the file's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(clap::Args)]
struct EndsArgs {
    /// Where to listen: PORT (all addresses of this machine), ADDRESS:PORT; port 0 is any free one
    #[arg(value_name = "LISTEN")]
    listen: String,
    /// Where to send on to: PORT (of this machine), HOST:PORT
    #[arg(value_name = "TARGET")]
    target: String,
}

#[derive(clap::Args)]
struct CongestionArgs {
    /// How the TCP on the link avoids congestion
    #[arg(long, value_enum, default_value_t)]
    congestion: Congestion,
}

/// How the TCP on the link avoids congestion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Congestion {
    /// As Linux does
    #[default]
    Cubic,
    /// One segment a round trip, half after a loss
    Reno,
}

#[derive(clap::Args)]
#[command(next_help_heading = "The run")]
struct CommonArgs {
    #[command(flatten)]
    session: SessionFlags,
    /// No line of progress
    #[arg(short, long)]
    quiet: bool,
    /// Say more: who comes and goes
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

const UDP_EXAMPLES: &str = "\
Examples:
  weir link udp 5004 127.0.0.1:5005 --rate 3mbit --delay 40ms --loss 1%
  weir link udp 127.0.0.1:5004 5005 --down-rate 1mbit   for this machine alone
  weir link udp 0 camera.local:5005 --json              on any free port, which is printed

Media by RTP has two ports: run one relay for each, or weir link relay with both. Clients send to the
port that is listened on; answers go back the same way. Rates and queues count IP and UDP headers.";

const TCP_EXAMPLES: &str = "\
Examples:
  weir link tcp 8081 127.0.0.1:8080 --rate 10mbit --delay 20ms
  weir link tcp 1936 1935 --rate 3mbit --loss 0.5%      RTMP: publish to rtmp://127.0.0.1:1936/...
  weir link tcp 8081 example.com:80 --delay 100ms --congestion reno

A client's own connect returns at once: the handshake crosses the link after it. Where the target is
down the client is reset.";

const RTSP_EXAMPLES: &str = "\
Examples:
  weir link rtsp 8555 127.0.0.1:8554 --rate 3mbit --delay 40ms --loss 1%
  weir play rtsp://127.0.0.1:8555/movie                 plays what is served on 8554";

const FILE_EXAMPLES: &str = "\
Examples:
  weir link relay relays.toml

A file with an RTP pair over one bottleneck, and HTTP over a link of its own:
  seed = 1
  [[link]]
  name = \"bottleneck\"
  rate = \"3mbit\"
  delay = \"40ms\"
  down-loss = \"1%\"
  [[relay]]
  kind = \"udp\"
  listen = \"5004\"
  target = \"127.0.0.1:6004\"
  link = \"bottleneck\"
  [[relay]]
  kind = \"udp\"
  listen = \"5005\"
  target = \"127.0.0.1:6005\"
  link = \"bottleneck\"
  [[relay]]
  kind = \"tcp\"
  listen = \"8081\"
  target = \"127.0.0.1:8080\"
  rate = \"10mbit\"

The kinds are udp, tcp and rtsp. The keys of a link are the options of the other commands.";

/// `weir link udp`.
pub(crate) fn udp(args: &UdpArgs) -> anyhow::Result<ExitCode> {
    let settings = relay::Settings { udp_idle_max: args.idle, ..relay::Settings::default() };
    Job::of_one(Kind::Udp, &args.ends, &args.flags, settings)?.run(&args.common)
}

/// `weir link tcp`.
pub(crate) fn tcp(args: &TcpArgs) -> anyhow::Result<ExitCode> {
    Job::of_one(Kind::Tcp, &args.ends, &args.flags, args.tcp.settings())?.run(&args.common)
}

/// `weir link rtsp`.
pub(crate) fn rtsp(args: &RtspArgs) -> anyhow::Result<ExitCode> {
    Job::of_one(Kind::Rtsp, &args.ends, &args.flags, args.tcp.settings())?.run(&args.common)
}

/// `weir link relay`.
pub(crate) fn relay(args: &RelayArgs) -> anyhow::Result<ExitCode> {
    let mut job = file::read(&args.file)?;
    job.seed = args.seed.unwrap_or(job.seed);
    job.run(&args.common)
}

/// What is to be run.
struct Job {
    seed: u64,
    plans: Vec<Plan>,
    relays: Vec<Asked>,
    settings: relay::Settings,
}

/// A relay as it is asked for.
struct Asked {
    kind: Kind,
    listen: String,
    target: String,
    /// Place of its link among the plans.
    link: usize,
}

impl Job {
    fn of_one(
        kind: Kind,
        ends: &EndsArgs,
        flags: &Flags,
        settings: relay::Settings,
    ) -> anyhow::Result<Job> {
        let plan = flags.plan("link")?;
        let EndsArgs { listen, target } = ends;
        let asked = Asked { kind, listen: listen.clone(), target: target.clone(), link: 0 };
        Ok(Job { seed: flags.seed, plans: vec![plan], relays: vec![asked], settings })
    }

    fn run(self, common: &CommonArgs) -> anyhow::Result<ExitCode> {
        log::start(common.verbose);
        let driver = match self.relays.first() {
            Some(Asked { kind: Kind::Udp, .. }) => "relay udp",
            _ => "relay tcp",
        };
        let has_tcp = self.relays.iter().any(|asked| asked.kind != Kind::Udp);
        let mut session = common.session.settings(driver);
        if has_tcp {
            session.models.push(("tcp".to_owned(), MODEL.to_owned()));
            session.fidelity.extend(FIDELITY_TCP.map(str::to_owned));
        }
        let shown = Shown {
            is_json: common.session.json,
            is_view: common.session.view,
            is_quiet: common.quiet || common.session.json || common.session.view,
        };
        let run = move |host: Host| async move { self.run_on(&host, session, shown).await };
        os::run(&os::Settings { shards: Some(1) }, run).context("cannot start the event loop")?
    }

    async fn run_on(
        self,
        host: &Host,
        session: SessionSettings,
        shown: Shown,
    ) -> anyhow::Result<ExitCode> {
        let mut asked = Vec::new();
        for relay in &self.relays {
            let listen = address::listen(host, &relay.listen).await?;
            let target = address::target(host, &relay.target).await?;
            asked.push(relay::Relay {
                kind: relay.kind,
                listen,
                target,
                link: LinkIndex(relay.link),
            });
        }
        let relays = Relays::bind(self.settings, &asked)?;
        for (relay, listen) in asked.iter_mut().zip(relays.listening()) {
            relay.listen = listen;
        }
        let clock = Clock::start();
        let (session, tap, inbox) = Session::start(session, clock, self.seed, &self.plans)?;
        let mut links = Links::new(self.seed);
        for plan in &self.plans {
            links.add(plan.clone())?;
        }
        links.watch(clock.now(), tap);
        let running = relays.start(clock, self.seed, links, inbox)?;
        log::print(&banner(&asked, &self.plans, self.seed, shown.is_json))?;
        let is_over = Arc::new(AtomicBool::new(false));
        if shown.is_view {
            view_beside(host, &session, &is_over);
        }
        let mut live = Live::new(session.remote(), !shown.is_quiet);
        while !running.is_over() && !is_over.load(Ordering::Relaxed) {
            match select(host.shutdown_requested(), host.sleep(LIVE_INTERVAL)).await {
                Either::First(()) => break,
                Either::Second(()) => live.show(host.now()),
            }
        }
        is_over.store(true, Ordering::Relaxed);
        live.end();
        // The links go here: they tell the last totals.
        let totals = running.stop().map(|ended| ended.totals);
        let certificate = session.finish();
        let totals = totals.context("the relay could not go on")?;
        log::print(&certified(&certificate, &totals, shown.is_json)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What is shown while it runs, and how.
#[derive(Clone, Copy, Debug)]
struct Shown {
    is_json: bool,
    is_view: bool,
    is_quiet: bool,
}

/// Shows the links in the terminal; the run ends with the view, and the view with the run.
fn view_beside(host: &Host, session: &Session, is_over: &Arc<AtomicBool>) {
    let (viewer, desk, is_over) = (host.clone(), session.desk(), Arc::clone(is_over));
    host.spawn(async move {
        if let Err(error) = view::beside(&viewer, desk, Arc::clone(&is_over)).await {
            log::say(&format!("{error:#}"));
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// What was achieved, and what the relays counted beside the links.
fn certified(certificate: &Certificate, totals: &Totals, is_json: bool) -> anyhow::Result<String> {
    if is_json {
        let all = json!({ "certificate": certificate, "totals": totals });
        return Ok(format!("{}\n", serde_json::to_string_pretty(&all)?));
    }
    let mut text = certificate.to_string();
    let beside = [
        (totals.dropped_receiving, "datagrams were dropped before this program could read them"),
        (totals.dropped_sending, "datagrams were not taken by the system"),
        (totals.dropped_no_flow, "datagrams belonged to no flow"),
        (totals.segments_damaged, "segments were dropped for their checksum"),
        (totals.flows_refused, "clients were turned away"),
        (totals.targets_refused, "connections were not taken by the target"),
    ];
    for (count, what) in beside.into_iter().filter(|(count, _)| *count > 0) {
        text += &format!("Beside the links, {count} {what}\n");
    }
    Ok(text)
}

/// Says what listens where.
fn banner(relays: &[relay::Relay], plans: &[Plan], seed: u64, is_json: bool) -> String {
    let name = |relay: &relay::Relay| plans.get(relay.link.0).map_or("", |plan| plan.name.as_str());
    if is_json {
        let relays: Vec<Value> = relays
            .iter()
            .map(|relay| {
                json!({
                    "kind": word(relay.kind), "listen": relay.listen.to_string(),
                    "target": relay.target.to_string(), "link": name(relay),
                })
            })
            .collect();
        return format!("{}\n", json!({ "relays": relays, "seed": seed }));
    }
    let mut text = String::new();
    for relay in relays {
        let (kind, listen) = (word(relay.kind), address::shown(relay.listen));
        text += &format!("{kind} {listen} -> {} over {}\n", relay.target, name(relay));
    }
    for plan in plans {
        let (up, down) = (plan.up.to_string(), plan.down.to_string());
        text += &match up == down {
            true => format!("{}: {up}, both ways\n", plan.name),
            false => format!("{}: up {up}; down {down}\n", plan.name),
        };
    }
    text + &format!("seed {seed}; Ctrl-C ends\n")
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Udp => "udp",
        Kind::Tcp => "tcp",
        Kind::Rtsp => "rtsp",
    }
}

impl CongestionArgs {
    fn settings(&self) -> relay::Settings {
        let congestion_control = self.congestion.into();
        relay::Settings { congestion_control, ..relay::Settings::default() }
    }
}

impl From<Congestion> for CongestionControl {
    fn from(asked: Congestion) -> CongestionControl {
        match asked {
            Congestion::Cubic => CongestionControl::Cubic,
            Congestion::Reno => CongestionControl::Reno,
        }
    }
}

fn span(text: &str) -> anyhow::Result<Duration> {
    let Span(span) = text.parse()?;
    if span.is_zero() {
        bail!("expected more than 0 (example: 60s)");
    }
    Ok(span)
}

const LIVE_INTERVAL: Duration = Duration::from_millis(500);
/// What of TCP over a relay is not as it would be without.
const FIDELITY_TCP: [&str; 2] = [
    "TCP is ended on both sides and crosses the link as segments of weir's own TCP",
    "a client's connect returns before the handshake has crossed the link",
];
