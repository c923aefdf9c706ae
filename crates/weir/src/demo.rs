//! `weir demo`: the live pattern, a movie made on the spot, and a folder for movies of one's own.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context;
use weir_codec::pattern::{self, FrameRate, Moment, Pattern};
use weir_codec::{Stamp, VideoEncoder, h264};
use weir_net::{Host, os};
use weir_server::{PatternSettings, Settings};

use crate::pattern::{PatternArg, make_movie};
use crate::{log, serve};

/// Show what this does: a live picture with its age on it, in your browser.
///
/// Serves the test pattern live and the movies of a folder, into which a first one is put. Ports
/// that are taken are replaced by free ones; the address to open is printed.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder whose movies are served; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "weir-demo")]
    folder: PathBuf,
    /// Size and rate of the live pattern [default: what this machine encodes with ease]
    #[arg(long, value_name = "WxH@FPS")]
    pattern: Option<PatternArg>,
    /// The address to listen on [default: all of IPv4 and IPv6]
    #[arg(long, value_name = "ADDR")]
    bind: Option<IpAddr>,
    /// Open no browser
    #[arg(long)]
    no_open: bool,
    /// Print the addresses as one JSON document
    #[arg(long)]
    json: bool,
    /// Log what happens; -vv for everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

const EXAMPLES: &str = "\
Examples:
  weir demo                              then open the address that it prints
  weir demo --bind 127.0.0.1             for this machine only
  weir demo --folder ~/Videos            with your own movies
  weir demo --pattern 640x360@30         a smaller live picture";

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    log::start(args.verbose);
    std::fs::create_dir_all(&args.folder)
        .with_context(|| format!("cannot make the folder {}", args.folder.display()))?;
    let args = args.clone();
    let asked = os::Settings { shards: None };
    os::run(&asked, |host| async move {
        let pattern = args.pattern.map_or_else(|| within_reach(&host), |PatternArg(asked)| asked);
        let mut settings = Settings::default();
        settings.bind = args.bind.unwrap_or(settings.bind);
        settings.rtsp_port = free(&host, settings.bind, settings.rtsp_port);
        settings.http_port = settings.http_port.map(|port| free(&host, settings.bind, port));
        let demo = Demo { folder: args.folder.clone(), opens: !args.no_open && !args.json };
        serve::Plan::demo(demo, pattern, settings, args.json).serve(host).await
    })
    .context("cannot start")?
    .map(|()| ExitCode::SUCCESS)
}

/// What the demo does beside serving.
pub(crate) struct Demo {
    pub(crate) folder: PathBuf,
    opens: bool,
}

impl Demo {
    /// What people read; `page` and `live` are addresses for this machine.
    pub(crate) fn banner(&self, pattern: &PatternSettings, addresses: &[(&str, String)]) -> String {
        let PatternSettings { width, height, frame_rate, .. } = pattern;
        let folder = self.folder.canonicalize().unwrap_or(self.folder.clone());
        let mut text = format!(
            "weir {} demo: a live picture of {width}x{height} at {frame_rate} a second, with its age on it\n\n",
            env!("CARGO_PKG_VERSION")
        );
        for (what, address) in addresses {
            text += &format!("  {what:<14} {address}\n");
        }
        text += &format!("  {:<14} {}\n", "your movies", folder.display());
        text += "\nA movie that is put into that folder appears on the page within seconds. Ctrl-C ends.\n";
        text
    }

    /// Opens the page where there is a desktop, and makes a first movie.
    pub(crate) fn begin(&self, host: &Host, page: &str) {
        if self.opens && has_desktop() {
            open(page);
        }
        let movie = self.folder.join(MOVIE);
        if movie.exists() {
            return;
        }
        let runner = host.clone();
        host.spawn(async move {
            let made = runner.blocking(move || make_movie(&movie, MOVIE_SECONDS, MOVIE_SIZE)).await;
            if let Err(error) = made {
                tracing::warn!("no movie was made: {error:#}");
            }
        });
    }
}

/// The movie that is made where there is none.
const MOVIE: &str = "test-movie.mp4";
const MOVIE_SECONDS: &str = "30";
const MOVIE_SIZE: &str = "640x360";

/// The largest size of which this thread encodes a picture in [`SHARE`] of the time that it is
/// shown.
fn within_reach(host: &Host) -> PatternSettings {
    let usual = PatternSettings::default();
    let sizes = [(usual.width, usual.height), (854, 480), (640, 360)];
    let fits = |&(width, height): &(usize, usize)| {
        let took = picture_takes(host, width, height, usual.frame_rate);
        let shown = usual.frame_rate.frame_duration().to_duration();
        took.is_some_and(|took| took.as_secs_f64() <= shown.as_secs_f64() * SHARE)
    };
    let (width, height) = sizes.into_iter().find(fits).unwrap_or((640, 360));
    PatternSettings { width, height, ..usual }
}

/// Viewers, a browser and everything else want some of the machine, too.
const SHARE: f64 = 0.5;

/// How long drawing and encoding a picture takes: the quickest of some.
fn picture_takes(host: &Host, width: usize, height: usize, rate: FrameRate) -> Option<Duration> {
    let shown = pattern::Settings { name: String::new(), width, height, frame_rate: rate };
    let mut pattern = Pattern::new(&shown).ok()?;
    let settings = h264::Settings::new(width, height, rate.as_f64() as f32);
    let mut encoder = h264::Encoder::new(settings).ok()?;
    let mut least: Option<Duration> = None;
    for number in 0..PICTURES_TRIED {
        let began = host.now();
        let pts = rate.time_of(number.into());
        let moment = Moment { frame: number, pts, now: None };
        let stamp = Stamp { pts, duration: None, capture: None, arrival: began, is_key: false };
        encoder.encode(pattern.draw(&moment), &stamp).ok()?;
        let took = host.now().since(began);
        // The first is a key frame, and everything is cold.
        if number > 0 {
            least = Some(least.map_or(took, |least| least.min(took)));
        }
    }
    least
}

const PICTURES_TRIED: u32 = 4;

/// The port, or any free one if it is taken.
fn free(host: &Host, bind: IpAddr, port: u16) -> u16 {
    match host.tcp_listen(SocketAddr::new(bind, port)) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            tracing::info!("port {port} is taken: another one is used");
            0
        }
        _ => port,
    }
}

fn has_desktop() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Asks the desktop to show a page; where that does not work, the address stands in the banner.
fn open(page: &str) {
    let program = Path::new("xdg-open");
    let null = Stdio::null;
    let opened =
        Command::new(program).arg(page).stdin(null()).stdout(null()).stderr(null()).spawn();
    if let Err(error) = opened {
        tracing::debug!("no browser was opened: {error}");
    }
}
