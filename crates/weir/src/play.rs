//! `weir play`: play a stream, measure it, and say what came.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::{Value, json};
use weir_dial::classroom::{Dialect, detect};
use weir_dial::rtsp::Transport;
use weir_net::{Host, os, terminal_columns};
use weir_player::keys::{self, Key, Keys};
use weir_player::packets::{Listed, PacketList};
use weir_player::rtsp::{Outcome, Settings, play};
use weir_player::{Actions, Progress, Recorder, classroom, header, http, show};
use weir_record::event::EndReason;
use weir_record::stats::PlaySummary;
use weir_record::{Level, Role, queue};

use crate::log;
use crate::records::{RecordLevel, holds_data};

/// Play a stream and measure what comes.
///
/// No picture is shown: the figures are. They are made of the records that --record writes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The stream: rtsp://HOST:PORT/NAME (without :PORT for 554), or http:// for HLS, DASH and movie
    /// files
    pub url: String,
    /// How media travels; auto is UDP, or TCP where UDP does not get through
    #[arg(long, value_enum, default_value_t = TransportArg::Auto)]
    pub transport: TransportArg,
    /// What the server speaks; auto asks it first, on a connection of its own
    #[arg(long, value_enum, default_value_t = DialectArg::Rtsp)]
    pub dialect: DialectArg,
    /// Play so many seconds [default: to the end]
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub seconds: Option<Duration>,
    /// Start at this place of the movie, in seconds
    #[arg(long, value_name = "T", value_parser = seconds)]
    pub from: Option<Duration>,
    /// Print the summary as one JSON document
    #[arg(long)]
    pub json: bool,
    /// Write the records (JSON Lines) to this file
    #[arg(long, value_name = "FILE.jsonl")]
    pub record: Option<PathBuf>,
    /// How much is recorded
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    pub record_level: RecordLevel,
    /// List every packet that comes in this file: one line of CSV each
    #[arg(long, value_name = "FILE.csv")]
    pub packets: Option<PathBuf>,
    /// Write what comes to this movie file: fragmented MP4, or MJPEG in the classroom dialect
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Leave standard input alone: no keys
    #[arg(long)]
    pub no_keys: bool,
    /// No line of progress
    #[arg(short, long)]
    pub quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  weir play rtsp://127.0.0.1:8554/movie
  weir play rtsp://127.0.0.1:8554/movie --transport tcp --seconds 10
  weir play rtsp://camera.local/live --json --record run.jsonl --record-level packet
  weir play rtsp://127.0.0.1:8554/movie --from 60 -o part.mp4
  weir play rtsp://127.0.0.1:8554/movie.Mjpeg --dialect classroom
  weir play rtsp://127.0.0.1:8554/movie --packets packets.csv
  weir play http://127.0.0.1:8080/movie/index.m3u8
  weir play http://127.0.0.1:8080/movie/manifest.mpd --from 60 --seconds 20
  weir play http://127.0.0.1:8080/movie.mp4 -o copy.mp4
  (sleep 2; echo t; sleep 5; echo p; sleep 2; echo q) | weir play rtsp://127.0.0.1:8554/movie

Keys, on a terminal or as letters of lines from a pipe: p play, t pause, q stop. Arrow keys go 10 s
forward and back; a line \"f 12.5\" from a pipe seeks to 12.5 s. The end of a pipe stops nothing.

Exit code 0 only if the stream was played as asked; lost packets are no failure.";

/// How media travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportArg {
    /// RTP over UDP
    Udp,
    /// RTP interleaved on the RTSP connection
    Tcp,
    /// UDP first, TCP where that does not work
    Auto,
}

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectArg {
    /// RTSP, or the classroom dialect where the server does not answer as RTSP does
    Auto,
    /// RTSP 1.0
    Rtsp,
    /// The dialect of course assignments: MJPEG movies, an image a datagram
    Classroom,
}

/// How long a server may take to answer as RTSP does.
const DETECT_MAX: Duration = Duration::from_secs(3);

impl From<TransportArg> for Transport {
    fn from(asked: TransportArg) -> Transport {
        match asked {
            TransportArg::Udp => Transport::Udp,
            TransportArg::Tcp => Transport::Tcp,
            TransportArg::Auto => Transport::Auto,
        }
    }
}

/// Plays, and prints the summary.
///
/// # Errors
/// When the system or a file does not do what is needed; a stream that cannot be played is told
/// on standard error and by the exit code.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.check()?;
    let settings = os::Settings { shards: Some(1) };
    let asked = args.clone();
    os::run(&settings, |host| async move { run_on(&host, &asked).await })
        .context("cannot start the event loop")?
}

/// Records that wait to be written: at packet level some seconds of a fast stream.
const RECORDS_MAX: usize = 1 << 18;

async fn run_on(host: &Host, args: &Args) -> anyhow::Result<ExitCode> {
    // Seconds are always made: they tell the summary what it needs if the run is cut off.
    let asked = Level::from(args.record_level);
    let level = asked.max(Level::Second);
    let (sink, drain) = queue(level, RECORDS_MAX);
    let mut recorder = Recorder::new(drain);
    if let Some(path) = &args.record {
        let header = header(host, Role::Player, args.asked());
        let made = recorder.write_to(host, path, &header, asked).await;
        made.with_context(|| format!("cannot write the records to {}", path.display()))?;
    }
    let mut settings = args.settings();
    if let Some(path) = &args.packets {
        let made = PacketList::create(host, path).await;
        let list = made.with_context(|| format!("cannot write packets to {}", path.display()))?;
        settings.packets = Some(list);
    }
    let list = settings.packets.clone();
    let live = Rc::new(RefCell::new(Live::new(!args.quiet && std::io::stderr().is_terminal())));
    if !args.no_keys {
        listen(host, &settings.actions, &live);
    }
    let actions = settings.actions.clone();
    let played = async {
        let watch = |progress: &Progress| live.borrow_mut().show(progress);
        if args.is_http() {
            return http::play(host, args.http(&actions), &sink, watch).await;
        }
        match args.dialect(host).await {
            Dialect::Rtsp => play(host, settings, &sink, watch).await,
            Dialect::Classroom => {
                classroom::play(host, args.classroom(&actions), &sink, watch).await
            }
        }
    };
    let output_was_there = args.output.as_ref().is_some_and(|path| path.exists());
    let (outcome, written) = recorder.during(host, played).await;
    live.borrow_mut().end();
    if let Some(path) = args.output.as_ref().filter(|_| !output_was_there) {
        remove_if_empty(path);
    }
    print(args.json, &recorder.summary())?;
    let is_listed = match list {
        Some(list) => report_packets(args, &list.finish().await),
        None => true,
    };
    let path = args.record.as_deref().unwrap_or(std::path::Path::new(""));
    written.with_context(|| format!("the records in {} are not whole", path.display()))?;
    let code = report(args, &outcome);
    Ok(if is_listed { code } else { ExitCode::FAILURE })
}

/// Reads keys until standard input ends, which ends nothing else.
fn listen(host: &Host, actions: &Actions, live: &Rc<RefCell<Live>>) {
    let (actions, live) = (actions.clone(), Rc::clone(live));
    let mut input = host.standard_input();
    live.borrow_mut().has_keys = input.is_terminal();
    host.spawn(async move {
        let mut keys = Keys::new(input.is_terminal());
        loop {
            let bytes = input.next().await;
            let typed = match &bytes {
                Some(bytes) => keys.push(bytes),
                None => keys.finish(),
            };
            for key in typed {
                match key {
                    // A full queue is told at the end.
                    Key::Action(action) => drop(actions.push(action)),
                    Key::Unknown(text) => live.borrow_mut().say(&format!("weir: {text}")),
                }
            }
            if bytes.is_none() {
                return;
            }
        }
    });
}

/// Removes a movie file that nothing came for.
fn remove_if_empty(path: &Path) {
    if std::fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0) {
        // One that stays hurts nobody.
        let _ = std::fs::remove_file(path);
    }
}

/// Whether the list of packets is whole; what it lacks is said.
fn report_packets(args: &Args, listed: &Listed) -> bool {
    let path = args.packets.as_deref().unwrap_or(Path::new("")).display();
    if let Some(why) = &listed.failed {
        log::say(&format!("weir: {path} is not whole: {why}"));
    }
    if listed.packets_dropped > 0 {
        let dropped = listed.packets_dropped;
        log::say(&format!("weir: {path}: {dropped} packets left out: the disk is too slow"));
    }
    listed.failed.is_none() && listed.packets_dropped == 0
}

impl Args {
    /// Finds mistakes before any file is touched.
    fn check(&self) -> anyhow::Result<()> {
        if self.seconds.is_some_and(|seconds| seconds.is_zero()) {
            bail!("--seconds 0 plays nothing: expected more than 0");
        }
        if self.dialect == DialectArg::Classroom && self.from.is_some() {
            bail!("--from: the classroom dialect plays from the start alone");
        }
        if self.dialect == DialectArg::Classroom && self.transport == TransportArg::Tcp {
            bail!("--transport tcp: the classroom dialect has UDP alone");
        }
        if self.is_http() && self.packets.is_some() {
            bail!("--packets: there are none over HTTP; --record writes down each segment");
        }
        if self.is_http() && self.transport != TransportArg::Auto {
            bail!("--transport: HTTP has TCP alone");
        }
        if self.dialect == DialectArg::Classroom && self.packets.is_some() {
            bail!("--packets: not in the classroom dialect; --record-level packet records each");
        }
        if let Some(path) = &self.output {
            self.check_format(path)?;
        }
        let files =
            [("-o", &self.output), ("--record", &self.record), ("--packets", &self.packets)];
        for (index, (name, file)) in
            files.iter().enumerate().filter(|(_, (_, file))| file.is_some())
        {
            if let Some((other, _)) = files[..index].iter().find(|(_, other)| other == file) {
                bail!("{name} and {other} name the same file: expected two");
            }
        }
        // What was recorded once is not written over.
        match files.iter().filter_map(|(_, file)| file.as_ref()).find(|path| holds_data(path)) {
            Some(path) => {
                bail!("{} is there already: remove it, or name another file", path.display())
            }
            None => Ok(()),
        }
    }

    /// Whether a movie file's extension is one of the format that is written; a name without one
    /// says nothing.
    fn check_format(&self, path: &Path) -> anyhow::Result<()> {
        let Some(extension) = path.extension() else {
            return Ok(());
        };
        let (mp4, mjpeg) = (["mp4", "m4v", "m4a", "mov"].as_slice(), ["mjpeg", "mjpg"].as_slice());
        let (known, format) = match self.dialect {
            DialectArg::Rtsp => (mp4.to_vec(), "fragmented MP4 is written: name it .mp4"),
            DialectArg::Classroom => (mjpeg.to_vec(), "MJPEG is written: name it .mjpeg"),
            DialectArg::Auto => {
                let format = "fragmented MP4 is written, or MJPEG in the classroom dialect: \
                              name it .mp4 or .mjpeg";
                ([mp4, mjpeg].concat(), format)
            }
        };
        match known.iter().any(|known| extension.eq_ignore_ascii_case(known)) {
            true => Ok(()),
            false => bail!("-o {}: {format}", path.display()),
        }
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::new(&self.url);
        settings.dial.transport = self.transport.into();
        settings.dial.from = self.from;
        settings.limit = self.seconds;
        settings.movie = self.output.clone();
        settings.reads_time_code = true;
        settings
    }

    /// Whether it is fetched and not streamed.
    fn is_http(&self) -> bool {
        let scheme = self.url.split(':').next().unwrap_or_default();
        ["http", "https"].iter().any(|name| scheme.eq_ignore_ascii_case(name))
    }

    fn http(&self, actions: &Actions) -> http::Settings {
        let mut settings = http::Settings::new(&self.url);
        settings.from = self.from;
        settings.limit = self.seconds;
        settings.movie = self.output.clone();
        settings.actions = actions.clone();
        settings.reads_time_code = true;
        settings
    }

    fn classroom(&self, actions: &Actions) -> classroom::Settings {
        let mut settings = classroom::Settings::new(&self.url);
        settings.actions = actions.clone();
        settings.limit = self.seconds;
        settings.movie = self.output.clone();
        settings
    }

    /// The dialect to play in.
    async fn dialect(&self, host: &Host) -> Dialect {
        match self.dialect {
            DialectArg::Rtsp => Dialect::Rtsp,
            DialectArg::Classroom => Dialect::Classroom,
            DialectArg::Auto => {
                let settings = weir_dial::classroom::Settings::new(&self.url);
                // Who cannot be reached is named by the play itself.
                detect(host, &settings, DETECT_MAX).await.unwrap_or(Dialect::Rtsp)
            }
        }
    }

    /// What was asked, for the head of the records. The address may hold a password: it stands
    /// without it in the records themselves.
    fn asked(&self) -> BTreeMap<String, Value> {
        let nanos = |span: Duration| json!(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
        let mut asked = BTreeMap::from([
            ("command".to_owned(), json!("play")),
            ("transport".to_owned(), json!(format!("{:?}", self.transport).to_lowercase())),
            ("dialect".to_owned(), json!(format!("{:?}", self.dialect).to_lowercase())),
        ]);
        asked.extend(self.seconds.map(|span| ("limit_ns".to_owned(), nanos(span))));
        asked.extend(self.from.map(|span| ("from_ns".to_owned(), nanos(span))));
        let movie = self.output.as_ref().map(|path| json!(path.display().to_string()));
        asked.extend(movie.map(|path| ("output".to_owned(), path)));
        let packets = self.packets.as_ref().map(|path| json!(path.display().to_string()));
        asked.extend(packets.map(|path| ("packets".to_owned(), path)));
        asked
    }
}

/// Standard output is data.
fn print(as_json: bool, summary: &PlaySummary) -> anyhow::Result<()> {
    let text = match as_json {
        true => format!("{}\n", serde_json::to_string_pretty(summary)?),
        // Why it failed stands on standard error.
        false => show::summary(&PlaySummary {
            ended_text: summary
                .ended_text
                .clone()
                .filter(|_| summary.ended != Some(EndReason::Failed)),
            ..summary.clone()
        }),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot print the summary")
}

/// Standard error is for people.
fn report(args: &Args, outcome: &Outcome) -> ExitCode {
    let mut out = std::io::stderr().lock();
    // Nobody may be listening there: the exit code tells as well.
    let mut is_whole = true;
    // Where nothing came, why is told below, and there is no file.
    let movie = outcome.movie.as_ref().filter(|movie| movie.frames > 0 || outcome.is_success());
    if let (Some(path), Some(movie)) = (&args.output, movie) {
        let path = path.display();
        is_whole = movie.failed.is_none() && movie.fragments_dropped == 0;
        let _ = match &movie.failed {
            None => writeln!(out, "{path}: {} frames, {} bytes", movie.frames, movie.bytes),
            Some(why) => writeln!(out, "weir: {path} is not whole: {why}"),
        };
        if movie.fragments_dropped > 0 {
            let dropped = movie.fragments_dropped;
            let _ =
                writeln!(out, "weir: {path}: {dropped} fragments left out: the disk is too slow");
        }
    }
    if outcome.is_success() {
        return if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let why = outcome.text.as_deref().unwrap_or("the play failed");
    let _ = writeln!(out, "weir: {why}");
    if let Some(advice) = outcome.error.as_ref().and_then(show::advice) {
        let _ = writeln!(out, "  {advice}");
    }
    ExitCode::FAILURE
}

/// The line of progress, written over once a second.
struct Live {
    is_on: bool,
    /// Keys are listened to.
    has_keys: bool,
    before: Option<Progress>,
    line: String,
}

impl Live {
    fn new(is_on: bool) -> Self {
        Live { is_on, has_keys: false, before: None, line: String::new() }
    }

    fn show(&mut self, progress: &Progress) {
        let before = self.before.replace(*progress).unwrap_or_default();
        let span = progress.played.saturating_sub(before.played).as_nanos();
        let bits = u128::from(progress.bytes.saturating_sub(before.bytes)) * 8 * 1_000_000_000;
        let rate = bits.checked_div(span).and_then(|rate| u64::try_from(rate).ok());
        let mut line = show::progress(progress, rate);
        if self.has_keys {
            line += &format!("  [{}]", keys::HELP);
        }
        self.write(line);
    }

    /// Says something, above the line.
    fn say(&mut self, text: &str) {
        let line = std::mem::take(&mut self.line);
        self.erase(line.len());
        log::say(text);
        self.write(line);
    }

    fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.erase(line.len());
        self.is_on = false;
    }

    fn erase(&self, width: usize) {
        if width > 0 {
            let _ = write!(std::io::stderr(), "\r{:width$}\r", "");
        }
    }

    /// Writes over the line before; a terminal that is gone is no reason to stop.
    fn write(&mut self, mut line: String) {
        if self.is_on && !line.is_empty() {
            // A line that wraps could not be written over. It holds ASCII alone.
            let columns = terminal_columns().map_or(usize::MAX, usize::from);
            line.truncate(columns.saturating_sub(1));
            let width = self.line.len();
            let _ = write!(std::io::stderr(), "\r{line:width$}");
            self.line = line;
        }
    }
}

/// A length of time in seconds, with a fraction if need be.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("expected seconds, got {text:?}"))?;
    Duration::try_from_secs_f64(number).map_err(|_| format!("expected seconds, got {text:?}"))
}
