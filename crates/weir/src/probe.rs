//! `weir probe`: what a movie file or a stream is made of.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use weir_net::{Host, os};
use weir_player::probe::{self, Report};
use weir_player::rtsp::Settings;
use weir_player::{Recorder, show};
use weir_record::{Level, queue};

use crate::log;
use crate::play::{TransportArg, seconds};

/// Say what a movie or a stream is made of: tracks, codecs, size, rates, GOPs, B-frames, duration.
///
/// Of a file its index alone is read. A stream is played for a while: what its description says
/// and what was measured stand side by side.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A movie file, or a stream: rtsp://HOST:PORT/NAME
    pub source: String,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Watch a stream for at most so many seconds
    #[arg(long, value_name = "N", value_parser = seconds, default_value = "5")]
    pub seconds: Duration,
    /// How media travels; auto is UDP, or TCP where UDP does not get through
    #[arg(long, value_enum, default_value_t = TransportArg::Auto)]
    pub transport: TransportArg,
}

const EXAMPLES: &str = "\
Examples:
  weir probe movie.mp4
  weir probe rtsp://127.0.0.1:8554/movie
  weir probe rtsp://camera.local/live --seconds 20 --transport tcp
  weir probe movie.mp4 --json | jq '.tracks[] | {codec, frame_rate, gop}'

Exit code 0 only if something could be said of the tracks. A GOP counts once its next key frame has
come: a stream with long GOPs wants more --seconds.";

/// Records of a stream that wait to be summed up: seconds and events of a short play.
const RECORDS_MAX: usize = 1 << 16;

/// Looks, and prints what there is.
///
/// # Errors
/// When the file is no movie, or the system does not do what is needed. A stream that cannot be
/// played is told on standard error and by the exit code.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.seconds.is_zero() {
        bail!("--seconds 0 watches nothing: expected more than 0");
    }
    let settings = os::Settings { shards: Some(1) };
    let asked = args.clone();
    os::run(&settings, |host| async move { run_on(&host, &asked).await })
        .context("cannot start the event loop")?
}

async fn run_on(host: &Host, args: &Args) -> anyhow::Result<ExitCode> {
    let path = Path::new(&args.source);
    // A file may have any name, also one that looks like an address.
    if args.source.contains("://") && !path.exists() {
        return run_stream(host, args).await;
    }
    let report = probe::file(host, path).await.with_context(|| args.source.clone())?;
    args.print(&report)?;
    Ok(ExitCode::SUCCESS)
}

async fn run_stream(host: &Host, args: &Args) -> anyhow::Result<ExitCode> {
    let mut settings = Settings::new(&args.source);
    settings.dial.transport = args.transport.into();
    settings.limit = Some(args.seconds);
    let (sink, drain) = queue(Level::Second, RECORDS_MAX);
    let mut recorder = Recorder::new(drain);
    let watched = probe::stream(host, settings, &sink);
    let ((outcome, seen), written) = recorder.during(host, watched).await;
    written.context("cannot sum up what came")?;
    if seen.is_described() {
        args.print(&seen.report(&recorder.summary()))?;
    }
    if outcome.is_success() {
        return Ok(ExitCode::SUCCESS);
    }
    log::say(&format!("weir: {}", outcome.text.as_deref().unwrap_or("the play failed")));
    if let Some(advice) = outcome.error.as_ref().and_then(show::advice) {
        log::say(&format!("  {advice}"));
    }
    Ok(ExitCode::FAILURE)
}

impl Args {
    fn print(&self, report: &Report) -> anyhow::Result<()> {
        log::print(&match self.json {
            true => format!("{}\n", serde_json::to_string_pretty(report)?),
            false => report.in_words(),
        })
    }
}
