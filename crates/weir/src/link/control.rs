//! What all commands that run links share, `weir link set` and `weir link show`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use weir_emulator::SessionSettings;
use weir_emulator::control::{Client, Request, Response, Shown, ShownDirection, running};
use weir_emulator::text::{bit_rate, bytes, millis};
use weir_link::{Change, Direction};

use crate::log;
use crate::records::RecordLevel;

/// What every command that runs links takes.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Measuring and control")]
pub(crate) struct SessionFlags {
    /// Write the records (JSON Lines) to this file
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) record: Option<PathBuf>,
    /// How much is recorded
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    pub(crate) record_level: RecordLevel,
    /// Write all packets to this file, each with its times and its fate; Wireshark reads it
    #[arg(long, value_name = "FILE.pcapng")]
    pub(crate) capture: Option<PathBuf>,
    /// Keep so many bytes of each packet in the capture [default: all]
    #[arg(long, value_name = "BYTES", requires = "capture", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) snaplen: Option<u32>,
    /// Print what was achieved as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    /// Show the links in the terminal, with keys to change them
    #[arg(long)]
    pub(crate) view: bool,
    /// Where the control socket stands [default: where weir link set finds it by itself]
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
    /// Answer HTTP on this port of 127.0.0.1: GET /api/v1/links, PATCH /api/v1/links/NAME
    #[arg(long, value_name = "PORT")]
    pub(crate) http_control: Option<u16>,
}

impl SessionFlags {
    /// The session of a command whose packets this driver carries.
    pub(crate) fn settings(&self, driver: &'static str) -> SessionSettings {
        SessionSettings {
            command: typed(),
            record: self.record.clone(),
            capture: self.capture.clone(),
            capture_bytes_max: self.snaplen.map_or(0, |bytes| bytes as usize),
            driver,
            models: Vec::new(),
            fidelity: Vec::new(),
            packets: self.record_level == RecordLevel::Packet,
            control: self.control.clone(),
            http_control: self.http_control,
        }
    }
}

/// The command line of this process, as it could be typed.
fn typed() -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,%+@".contains(c);
    let words = std::env::args().enumerate().map(|(place, word)| match place {
        0 => "weir".to_owned(),
        _ if !word.is_empty() && word.chars().all(plain) => word,
        _ => format!("'{}'", word.replace('\'', "'\\''")),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Change a link while it runs.
#[derive(clap::Args)]
#[command(after_help = SET_EXAMPLES, override_usage = "weir link set [LINK] NAME=VALUE... [--up | --down]")]
pub(crate) struct SetArgs {
    /// The link's name, where there are several; then what changes: rate=2mbit delay=50ms
    #[arg(value_name = "NAME=VALUE", required = true)]
    words: Vec<String>,
    /// From the first end to the second alone
    #[arg(long, conflicts_with = "down")]
    up: bool,
    /// From the second end to the first alone
    #[arg(long)]
    down: bool,
    /// The control socket of the command [default: the one that runs]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Print all links, after the change, as one JSON document
    #[arg(long)]
    json: bool,
}

const SET_EXAMPLES: &str = "\
Examples:
  weir link set rate=2mbit delay=50ms          where one link runs
  weir link set s1-s2 rate=2mbit --down        of several, in one direction
  weir link set loss=1% --control /run/user/1000/weir/link-4711.sock";

/// Show the links that run.
#[derive(clap::Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArgs {
    /// The control socket of a command [default: all that run]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

const SHOW_EXAMPLES: &str = "\
Examples:
  weir link show
  weir link show --json";

/// Changes a link.
pub(crate) fn set(args: &SetArgs) -> anyhow::Result<ExitCode> {
    let (link, change) = match args.words.split_first() {
        Some((first, rest)) if !first.contains('=') => (Some(first.clone()), rest),
        _ => (None, args.words.as_slice()),
    };
    let set = change.join(" ");
    // Mistakes are told before anything is looked for.
    let asked: Change = set.parse().context("nothing was changed")?;
    if asked == Change::default() {
        bail!("nothing to change: expected such as weir link set rate=2mbit delay=50ms");
    }
    let mut client = find(args.control.as_deref(), link.as_deref())?;
    let direction = match (args.up, args.down) {
        (true, _) => Some(Direction::Up),
        (_, true) => Some(Direction::Down),
        _ => None,
    };
    let response = client.ask(&Request::Set { link: link.clone(), direction, set })?;
    if args.json {
        log::print(&format!("{}\n", serde_json::to_string_pretty(&response)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for shown in &response.links {
        let is_changed = link.as_ref().is_none_or(|link| *link == shown.name);
        for (way, side, settings) in [
            ("up", Direction::Up, &shown.up.settings),
            ("down", Direction::Down, &shown.down.settings),
        ] {
            if is_changed && direction.is_none_or(|only| only == side) {
                text += &format!("{} {way}: {settings}\n", shown.name);
            }
        }
    }
    log::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows all links.
pub(crate) fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let paths = match &args.control {
        Some(path) => vec![path.clone()],
        None => running(),
    };
    let mut shown = Vec::new();
    for path in &paths {
        let asked = Client::connect(path).and_then(|mut client| client.ask(&Request::Show {}));
        match asked {
            Ok(response) => shown.push((path, response)),
            Err(error) if args.control.is_some() => return Err(error.into()),
            // It has ended meanwhile, or hangs: the others are shown.
            Err(error) => log::say(&format!("weir: {error}")),
        }
    }
    if args.json {
        let runs: Vec<_> = shown.iter().map(|(_, response)| response).collect();
        log::print(&format!("{}\n", serde_json::to_string_pretty(&runs)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    if shown.is_empty() {
        log::say(NONE_RUNS);
    }
    for (place, (path, response)) in shown.iter().enumerate() {
        let gap = if place > 0 { "\n" } else { "" };
        log::print(&format!("{gap}{}", in_words(path, response)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The command that is meant: the only one that runs, or the only one with such a link.
pub(super) fn find(control: Option<&Path>, link: Option<&str>) -> anyhow::Result<Client> {
    if let Some(path) = control {
        return Ok(Client::connect(path)?);
    }
    let paths = running();
    if let [only] = paths.as_slice() {
        return Ok(Client::connect(only)?);
    }
    if paths.is_empty() {
        bail!("{NONE_RUNS}");
    }
    let mut list = String::new();
    let mut found = Vec::new();
    for path in &paths {
        let Ok(mut client) = Client::connect(path) else { continue };
        let Ok(response) = client.ask(&Request::Show {}) else { continue };
        let names: Vec<_> = response.links.iter().map(|link| link.name.as_str()).collect();
        let command = response.run.as_ref().map_or("", |run| run.command.as_str());
        list += &format!("\n  --control {}  ({}: {command})", path.display(), names.join(", "));
        if link.is_some_and(|link| names.contains(&link)) {
            found.push(client);
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(client), true) => Ok(client),
        _ => bail!("several commands run links: say which one{list}"),
    }
}

fn in_words(path: &Path, response: &Response) -> String {
    let mut text = String::new();
    if let Some(run) = &response.run {
        let age = run.age_ns / 1_000_000_000;
        text += &format!("{}\n", run.command);
        text += &format!("  {}, process {}, {age} s, {}\n", run.driver, run.pid, path.display());
    }
    for Shown { name, up, down } in &response.links {
        for (way, direction) in [("up", up), ("down", down)] {
            text += &format!("\n{name} {way}: {}\n", direction.settings);
            text += &format!("  {}\n", figures(direction));
        }
    }
    if let Some(capture) = &response.capture {
        let (file, packets) = (capture.file.display(), capture.packets);
        text += &match &capture.failed {
            None => format!("\ncapture: {file}, {packets} packets\n"),
            Some(why) => format!("\ncapture: {file} has ended after {packets} packets: {why}\n"),
        };
    }
    text
}

/// The last second, and what waits.
fn figures(direction: &ShownDirection) -> String {
    let counters = &direction.counters;
    let mut parts = Vec::new();
    if let Some(second) = &direction.second {
        let bps = |bytes: u64| bit_rate(bytes as f64 * 8e9 / second.span_ns as f64);
        let (arrived, left) = (bps(second.offered_bytes), bps(second.delivered_bytes));
        parts.push(format!("{arrived} in, {left} out"));
        if let Some((p50, p99)) = second.delay_p50_ns.zip(second.delay_p99_ns) {
            parts.push(format!("delay {} (p99 {})", millis(p50), millis(p99)));
        }
    }
    let waiting = bytes(direction.queue_bytes);
    parts.push(format!("queue {} packets ({waiting})", direction.queue_packets));
    let (dropped, offered) = (counters.dropped_packets(), counters.offered_packets);
    parts.push(format!("{dropped} of {offered} dropped"));
    parts.join("; ")
}

const NONE_RUNS: &str = "no link is running for this user; start one, such as: weir link udp 5004 127.0.0.1:5005 --rate 3mbit";
