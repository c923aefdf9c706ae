//! `weir link trace`.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use weir_link::Trace;
use weir_link::text::Span;
use weir_link::trace::{Format, PlotText, Stats, plot_text, svg};

use super::flags::load;

/// The options of `weir link trace`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a trace in another format: mahimahi, time-rate, json or csv.
    #[command(after_help = CONVERT_EXAMPLES)]
    Convert(ConvertArgs),
    /// Draw a trace: in the terminal, or as an SVG file.
    #[command(after_help = PLOT_EXAMPLES)]
    Plot(PlotArgs),
    /// Say what traces are like: length, rates, stalls, latency.
    #[command(after_help = STATS_EXAMPLES)]
    Stats(StatsArgs),
}

#[derive(clap::Args)]
struct ConvertArgs {
    /// The trace; its format is seen from what it holds. `-` reads standard input.
    from: PathBuf,
    /// The file to write; `-` writes to standard output.
    to: PathBuf,
    /// The format to write: mahimahi, time-rate, json, csv. If absent, by the ending of the file.
    #[arg(long = "to", value_name = "FORMAT")]
    format: Option<Format>,
    /// Where opportunities become rates: the time over which they are counted.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    window: Span,
    /// Say what was written as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct PlotArgs {
    /// The trace.
    file: PathBuf,
    /// Write an SVG picture to this file instead.
    #[arg(long, value_name = "FILE.svg")]
    output: Option<PathBuf>,
    /// In the picture: the time over which rates are means.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    window: Span,
    /// In the terminal: its width, if it cannot be asked.
    #[arg(long, value_name = "COLUMNS")]
    columns: Option<usize>,
    /// Print the means of the windows as JSON instead.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct StatsArgs {
    /// The traces.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The time over which rates are means.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    window: Span,
    /// As JSON, an object for each trace on a line of its own.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Formats that are read and written (docs/link.md):
  mahimahi   a line for each 1500 bytes that may leave: whole milliseconds
  time-rate  seconds and Mbit/s on each line
  json       [{\"duration_ms\": 1000, \"bandwidth_kbps\": 2500, \"latency_ms\": 40}, ...]
  csv        duration_ms,rate_kbit,latency_ms

Examples:
  weir link trace stats drive.txt
  weir link trace plot drive.txt --output drive.svg
  weir link trace convert drive.txt drive.json
  weir link udp 5004 127.0.0.1:5005 --trace drive.txt";

const CONVERT_EXAMPLES: &str = "\
Examples:
  weir link trace convert bus.json bus.csv
  weir link trace convert bus.json bus.down --to mahimahi
  weir link trace convert bus.down - --to time-rate --window 500ms";

const PLOT_EXAMPLES: &str = "\
Examples:
  weir link trace plot bus.txt
  weir link trace plot bus.txt --output bus.svg --window 500ms";

const STATS_EXAMPLES: &str = "\
Examples:
  weir link trace stats bus.txt
  weir link trace stats --json --window 5s traces/*.txt";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Convert(args) => convert(args)?,
        Command::Plot(args) => plot(args)?,
        Command::Stats(args) => stats(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn convert(args: &ConvertArgs) -> anyhow::Result<()> {
    let trace = read(&args.from)?;
    let by_ending = || match args.to.extension().and_then(|ending| ending.to_str()) {
        Some("json") => Ok(Format::Json),
        Some("csv") => Ok(Format::Csv),
        _ => anyhow::bail!(
            "the format of {} is not clear: say --to mahimahi, time-rate, json or csv",
            args.to.display()
        ),
    };
    let format = args.format.map_or_else(by_ending, Ok)?;
    let (text, notes) = trace.write(format, args.window.0)?;
    if args.to == Path::new("-") {
        print(&text)?;
    } else {
        let written = std::fs::write(&args.to, &text);
        written.with_context(|| format!("{} cannot be written", args.to.display()))?;
    }
    for note in &notes {
        tell(&format!("note: {}", note.0));
    }
    let notes: Vec<&str> = notes.iter().map(|note| note.0.as_str()).collect();
    let (lines, length_s) = (text.lines().count(), trace.length().as_secs_f64());
    if args.json {
        let said = serde_json::json!({
            "file": args.to, "format": format.name(), "lines": lines, "length_s": length_s,
            "notes": notes,
        });
        if args.to != Path::new("-") {
            print(&format!("{said}\n"))?;
        }
    } else if args.to != Path::new("-") {
        let (to, name) = (args.to.display(), format.name());
        print(&format!("{to}: {name}, {lines} lines, {length_s:.3} s\n"))?;
    }
    Ok(())
}

fn plot(args: &PlotArgs) -> anyhow::Result<()> {
    let trace = read(&args.file)?;
    if args.json {
        let windows = weir_link::trace::windows(&trace, args.window.0);
        let mut text = String::new();
        for window in windows {
            let said = serde_json::json!({
                "begin_s": window.begin.as_secs_f64(),
                "end_s": window.end.as_secs_f64(),
                "rate_bit": window.bits_per_second,
            });
            text.push_str(&format!("{said}\n"));
        }
        return print(&text);
    }
    if let Some(output) = &args.output {
        let written = std::fs::write(output, svg(&trace, args.window.0));
        return written.with_context(|| format!("{} cannot be written", output.display()));
    }
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let columns = args.columns.or(asked).unwrap_or(COLUMNS).min(COLUMNS_MAX);
    let stats = Stats::of(&trace, Duration::from_secs(1));
    let (mean, stall) = (rate(stats.mean_bit), stats.stall_longest_s);
    print(&format!("{}: mean {mean}, longest stall {stall:.3} s\n\n", trace.name()))?;
    print(&plot_text(&trace, PlotText { columns, lines: 12 }))
}

fn stats(args: &StatsArgs) -> anyhow::Result<()> {
    for (number, file) in args.files.iter().enumerate() {
        let stats = Stats::of(&read(file)?, args.window.0);
        if args.json {
            print(&format!("{}\n", serde_json::to_string(&stats)?))?;
            continue;
        }
        if number > 0 {
            print("\n")?;
        }
        print(&said(&stats))?;
    }
    Ok(())
}

fn said(stats: &Stats) -> String {
    let Stats { name, kind, entries, length_s, windows, .. } = stats;
    let mut text = format!("{name}\n");
    let mut line = |what: &str, value: String| text.push_str(&format!("  {what:<16}{value}\n"));
    line("holds", format!("{entries} {kind}"));
    line("length", format!("{length_s:.3} s, then it repeats itself"));
    line("bytes", format!("{:.0}", stats.bytes));
    line("mean rate", rate(stats.mean_bit));
    let window = Span(Duration::from_secs_f64(stats.window_s));
    line(
        &format!("over {window}"),
        format!(
            "min {}, p10 {}, median {}, p90 {}, max {} ({windows} windows)",
            rate(stats.min_bit),
            rate(stats.p10_bit),
            rate(stats.p50_bit),
            rate(stats.p90_bit),
            rate(stats.max_bit)
        ),
    );
    line("variation", format!("{:.2} (deviation / mean)", stats.variation));
    line("longest stall", format!("{:.3} s", stats.stall_longest_s));
    if let (Some(min), Some(mean), Some(max)) =
        (stats.latency_min_ms, stats.latency_mean_ms, stats.latency_max_ms)
    {
        line("latency", format!("min {min:.1} ms, mean {mean:.1} ms, max {max:.1} ms"));
    }
    text
}

fn rate(bits_per_second: f64) -> String {
    match bits_per_second {
        bits if bits >= 1e9 => format!("{:.2} Gbit/s", bits / 1e9),
        bits if bits >= 1e6 => format!("{:.2} Mbit/s", bits / 1e6),
        bits if bits >= 1e3 => format!("{:.1} kbit/s", bits / 1e3),
        bits => format!("{bits:.0} bit/s"),
    }
}

fn read(file: &Path) -> anyhow::Result<Trace> {
    let name = file.display().to_string();
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        text
    } else {
        load(&name).map_err(anyhow::Error::msg).with_context(|| format!("{name} cannot be read"))?
    };
    Ok(Trace::read(&name, &text)?)
}

fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Where the terminal does not say.
const COLUMNS: usize = 80;
const COLUMNS_MAX: usize = 400;
