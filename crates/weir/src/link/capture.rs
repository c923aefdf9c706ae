//! `weir link capture`: record the packets of a running link, and say what a capture says.

mod bars;

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use weir_emulator::capture::read::Reader;
use weir_emulator::capture::summary::{Builder, Distribution, Flow, LinkSummary, Summary};
use weir_emulator::control::Request;
use weir_emulator::text::{bit_rate, bytes, millis};
use weir_net::{Either, Host, open_regular, os, select};
use weir_time::Utc;

use self::bars::Bars;
use super::control::find;
use crate::log;

/// Record the packets of a running link, or say what a capture says.
#[derive(clap::Args, Clone)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CaptureArgs {
    /// The capture: pcapng of any link, pcapng or pcap of any other program
    #[arg(value_name = "FILE.pcapng", required_unless_present = "stop")]
    file: Option<PathBuf>,
    /// With --start, one link alone
    #[arg(value_name = "LINK", requires = "start")]
    link: Option<String>,
    /// Record the packets of a running link to this file from now on
    #[arg(long, conflicts_with_all = ["follow", "svg", "stop"])]
    start: bool,
    /// End the capture that goes on
    #[arg(long, conflicts_with_all = ["follow", "svg", "file"])]
    stop: bool,
    /// Keep so many bytes of each packet [default: all]
    #[arg(long, value_name = "BYTES", requires = "start", value_parser = clap::value_parser!(u32).range(1..))]
    snaplen: Option<u32>,
    /// The control socket of the command [default: the one that runs]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Draw the histograms to this file as well
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Go on while the capture grows, until Ctrl-C; draws anew each second
    #[arg(long, conflicts_with = "json")]
    follow: bool,
}

const EXAMPLES: &str = "\
Examples:
  weir link capture a.pcapng                    rates, delays, losses, times between packets
  weir link capture a.pcapng --svg a.svg --json
  weir link capture a.pcapng --follow           while it is written
  weir link capture --start a.pcapng s1-s2      record a running link
  weir link capture --stop
  tshark -r a.pcapng -T fields -e frame.time -e frame.interface_name -e frame.comment";

pub(crate) fn run(args: &CaptureArgs) -> anyhow::Result<ExitCode> {
    if args.start || args.stop {
        return control(args);
    }
    let file = args.file.clone().context("which capture? Name its file")?;
    if args.follow {
        let (settings, args) = (os::Settings { shards: Some(1) }, args.clone());
        return os::run(&settings, |host| async move { follow(&host, &args, &file).await })
            .context("cannot start the event loop")?;
    }
    let mut source = Source::open(&file)?;
    source.read()?;
    let summary = source.builder.summary();
    if let Some(svg) = &args.svg {
        draw(&summary, svg)?;
    }
    log::print(&match args.json {
        true => format!("{}\n", serde_json::to_string_pretty(&summary)?),
        false => in_words(&file, &summary),
    })?;
    if source.reader.is_within() {
        log::say(&format!("weir: {}: its end is cut off and left out", file.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts or ends a capture of a running command.
fn control(args: &CaptureArgs) -> anyhow::Result<ExitCode> {
    let mut client = find(args.control.as_deref(), args.link.as_deref())?;
    let request = match &args.file {
        Some(file) if args.start => {
            let file = std::path::absolute(file)?;
            let (link, bytes_max) = (args.link.clone(), args.snaplen);
            Request::CaptureStart { file, link, bytes_max }
        }
        _ => Request::CaptureStop {},
    };
    let response = client.ask(&request)?;
    if args.json {
        log::print(&format!("{}\n", serde_json::to_string_pretty(&response)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(capture) = response.capture else { bail!("the command says nothing of a capture") };
    let (file, size) = (capture.file.display(), bytes(capture.bytes));
    if args.start {
        log::say(&format!("capturing to {file}; weir link capture --stop ends it"));
        return Ok(ExitCode::SUCCESS);
    }
    log::say(&format!("{file}: {} packets, {size}", capture.packets));
    if let Some(why) = capture.failed {
        bail!("the capture had ended by itself: {why}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws anew each second, until Ctrl-C.
async fn follow(host: &Host, args: &CaptureArgs, file: &Path) -> anyhow::Result<ExitCode> {
    let mut source = Source::open(file)?;
    let is_terminal = std::io::stdout().is_terminal();
    loop {
        source.read()?;
        let summary = source.builder.summary();
        let home = if is_terminal { "\x1b[H\x1b[2J" } else { "" };
        log::print(&format!("{home}{}\n", in_words(file, &summary)))?;
        if let Some(svg) = &args.svg {
            draw(&summary, svg)?;
        }
        let pause = select(host.shutdown_requested(), host.sleep(REDRAW_EVERY));
        if let Either::First(()) = pause.await {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// A capture that is read, perhaps while it grows.
struct Source {
    name: String,
    file: File,
    reader: Reader,
    builder: Builder,
    buffer: Vec<u8>,
}

impl Source {
    fn open(path: &Path) -> anyhow::Result<Source> {
        let name = path.display().to_string();
        let file = open_regular(path).with_context(|| format!("cannot read {name}"))?;
        let (reader, builder) = (Reader::default(), Builder::default());
        Ok(Source { name, file, reader, builder, buffer: vec![0; READ_BYTES] })
    }

    /// Takes all there is by now.
    fn read(&mut self) -> anyhow::Result<()> {
        loop {
            let read = self.file.read(&mut self.buffer);
            let bytes = read.with_context(|| format!("cannot read {}", self.name))?;
            if bytes == 0 {
                return Ok(());
            }
            self.reader.push(self.buffer.get(..bytes).unwrap_or_default());
            while let Some(item) = self.reader.poll().with_context(|| self.name.clone())? {
                self.builder.push(item);
            }
        }
    }
}

fn in_words(file: &Path, summary: &Summary) -> String {
    let span = summary.span_ns as f64 / 1e9;
    let mut text = match summary.from_utc_ns {
        Some(from) => {
            let from = Utc::from_nanos(from).to_iso_8601();
            format!("{}: {span:.3} s from {from}\n", file.display())
        }
        None => format!("{}: no packet yet\n", file.display()),
    };
    for link in &summary.links {
        text += &format!("\n{}\n", link.name);
        text += &link_in_words(link);
    }
    for interface in &summary.interfaces {
        text += &format!("\n{}\n", interface.name);
        text += &row("packets", &flow(&interface.seen));
        text += &over_time(&interface.seen);
        if let Some(between) = &interface.seen.between {
            text += &row("between", &spread(between));
            text += &Bars::of(&[("arrivals", between)]).in_words();
        }
    }
    text
}

fn link_in_words(link: &LinkSummary) -> String {
    let mut text = row("sent", &flow(&link.sent)) + &over_time(&link.sent);
    text += &row("arrived", &flow(&link.arrived));
    text += &over_time(&link.arrived);
    if let Some(delay) = &link.delay {
        text += &row("delay", &spread(delay));
    }
    for (reason, packets) in &link.dropped {
        text += &row("dropped", &format!("{packets}: {reason}"));
    }
    if let Some(Distribution(runs)) = &link.loss_runs {
        let mean = runs.sum() as f64 / runs.count() as f64;
        let (count, max) = (runs.count(), runs.max().unwrap_or(0));
        text += &row("loss runs", &format!("{count}, {mean:.2} packets on average, {max} at most"));
    }
    if link.duplicates > 0 {
        text += &row("copies", &link.duplicates.to_string());
    }
    let both = [("sends", &link.sent.between), ("arrivals", &link.arrived.between)];
    let both: Vec<_> =
        both.iter().filter_map(|(name, some)| Some((*name, some.as_ref()?))).collect();
    for (name, between) in &both {
        text += &row("between", &format!("{name}: {}", spread(between)));
    }
    text + &Bars::of(&both).in_words()
}

fn flow(flow: &Flow) -> String {
    let rate = flow.rate_bps.map_or(String::new(), |rate| format!(", {}", bit_rate(rate as f64)));
    format!("{} packets, {}{rate}", flow.packets, bytes(flow.bytes))
}

/// The rate of each second, or of a few together; the last may be a part of one.
fn over_time(flow: &Flow) -> String {
    let bytes = &flow.bytes_by_second;
    if bytes.len() < 3 {
        return String::new();
    }
    let together = bytes.len().div_ceil(TIME_COLUMNS);
    let groups = bytes.chunks(together);
    let rates: Vec<_> =
        groups.map(|group| group.iter().sum::<u64>() as f64 * 8.0 / group.len() as f64).collect();
    let max = rates.iter().copied().fold(1.0, f64::max);
    let drawn: String =
        rates.iter().map(|rate| LEVELS[(rate / max * 8.0).round() as usize % 9]).collect();
    row("", &format!("{drawn} up to {}, {together} s each", bit_rate(max)))
}

fn spread(Distribution(held): &Distribution) -> String {
    let at = |q| held.quantile(q).map_or_else(String::new, millis);
    format!("{} at the median, {} at p95, {} at p99", at(0.5), at(0.95), at(0.99))
}

fn row(name: &str, text: &str) -> String {
    format!("  {name:<10}{text}\n")
}

/// Draws the histograms of the times between packets.
fn draw(summary: &Summary, path: &Path) -> anyhow::Result<()> {
    let mut pictures = Vec::new();
    for link in &summary.links {
        let both = [("sends", &link.sent.between), ("arrivals", &link.arrived.between)];
        let both: Vec<_> =
            both.iter().filter_map(|(name, some)| Some((*name, some.as_ref()?))).collect();
        pictures.push((link.name.clone(), Bars::of(&both)));
    }
    for interface in &summary.interfaces {
        let between = interface.seen.between.iter().map(|between| ("arrivals", between));
        pictures.push((interface.name.clone(), Bars::of(&between.collect::<Vec<_>>())));
    }
    std::fs::write(path, bars::svg(&pictures))
        .with_context(|| format!("cannot write {}", path.display()))
}

const TIME_COLUMNS: usize = 50;
const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const READ_BYTES: usize = 1 << 20;
const REDRAW_EVERY: Duration = Duration::from_secs(1);
