//! `weir serve`: movies and live streams to any RTSP player.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use weir_net::{Host, os};
use weir_player::{Recorder, header};
use weir_proto::rtsp::url::encode_path;
use weir_record::{Role, Sink};
use weir_server::{Hub, Library, LiveFile, LivePattern, PatternSettings, Server, Settings, Start};

use crate::config::{self, Config};
use crate::demo::Demo;
use crate::log;
use crate::pattern::PatternArg;
use crate::records::{RecordLevel, move_aside};

/// Serve movies and live streams to any RTSP player.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Movies (MP4, MOV, FLV, TS, M2TS, MJPEG), and folders of movies.
    #[arg(value_name = "FILE|DIR")]
    movies: Vec<PathBuf>,
    /// Show this movie as a live stream that never ends; may be given several times.
    #[arg(long, value_name = "FILE")]
    live: Vec<PathBuf>,
    /// Serve the test pattern live under the name pattern, 1280x720@30 or as said behind =
    #[arg(long, value_name = "WxH@FPS", num_args = 0..=1, require_equals = true,
        default_missing_value = "1280x720@30")]
    pattern: Option<PatternArg>,
    /// The address to listen on; `0.0.0.0` is all of IPv4 [default: all of IPv4 and IPv6].
    #[arg(long, value_name = "ADDR")]
    bind: Option<IpAddr>,
    /// The TCP port for RTSP; 0 takes any free one [default: 8554].
    #[arg(long, value_name = "N")]
    rtsp_port: Option<u16>,
    /// The TCP port for HTTP: pages, movies, the API; 0 takes any free one [default: 8080].
    #[arg(long, value_name = "N", conflicts_with = "no_http")]
    http_port: Option<u16>,
    /// Serve nothing by HTTP.
    #[arg(long)]
    no_http: bool,
    /// The UDP port from which RTP leaves, RTCP has the next; 0 takes any free pair [default: 0].
    #[arg(long, value_name = "N")]
    rtp_port: Option<u16>,
    /// Where viewers of a live stream begin [default: keyframe].
    #[arg(long, value_enum)]
    start: Option<config::Start>,
    /// Threads that deliver [default: one a core].
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Settings in a file [default: weir.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print a settings file with every key explained, and end.
    #[arg(long)]
    print_config: bool,
    /// Write down what happens, as JSON lines (docs/records.md).
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// How much is recorded [default: second].
    #[arg(long, value_enum)]
    record_level: Option<RecordLevel>,
    /// Print the addresses as JSON.
    #[arg(long)]
    json: bool,
    /// Say more: who comes and goes; twice: everything.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

const EXAMPLES: &str = "\
Examples:
  weir serve movie.mp4                     one movie at rtsp://HOST:8554/movie
  weir serve films/                        every movie of a folder, looked through again and again
  weir serve --live loop.mp4               a movie as a live stream that never ends
  weir serve --pattern                     the test pattern at rtsp://HOST:8554/pattern
  weir serve --pattern=640x360@25          a smaller one
  weir serve movie.mp4 --bind 127.0.0.1    for this machine only
  weir serve movie.mp4 --rtsp-port 0       on any free port, which is printed
  weir serve films/ --record run.jsonl     and write down who saw what";

/// How long viewers may take to get the last of what they were sent, at the end.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// Records that may wait to be written.
const RECORDS_MAX: usize = 65_536;
const CACHE_MIB_DEFAULT: usize = 256;
/// Room for the largest stretches of a movie, and what a large machine may have.
const CACHE_BYTES: std::ops::RangeInclusive<usize> = 1 << 20..=1 << 40;
/// Players give a sign of life at half of it.
const SESSION_TIMEOUT_LEAST: Duration = Duration::from_secs(2);

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.print_config {
        log::print(&config::sample())?;
        return Ok(ExitCode::SUCCESS);
    }
    log::start(args.verbose);
    let plan = Plan::new(args, config::read(args.config.as_deref())?)?;
    let shards = os::Settings { shards: plan.shards };
    os::run(&shards, |host| async move { plan.serve(host).await })
        .context("cannot start")?
        .map(|()| ExitCode::SUCCESS)
}

/// What is to be served, and how: the command line over the file over the defaults.
pub(crate) struct Plan {
    demo: Option<Demo>,
    movies: Vec<PathBuf>,
    live: Vec<PathBuf>,
    /// Test patterns by their names.
    patterns: BTreeMap<String, PatternSettings>,
    settings: Settings,
    shards: Option<usize>,
    cache_bytes: usize,
    record: Option<PathBuf>,
    record_level: RecordLevel,
    json: bool,
}

impl Plan {
    fn new(args: &Args, config: Config) -> anyhow::Result<Plan> {
        let defaults = Settings::default();
        let mut patterns = config.patterns()?;
        if let Some(PatternArg(pattern)) = args.pattern {
            patterns.insert(PATTERN_NAME.to_owned(), pattern);
        }
        let start = args.start.or(config.start).map_or(defaults.start, |start| match start {
            config::Start::Keyframe => Start::Keyframe,
            config::Start::Live => Start::Live,
        });
        let session_timeout = config.rtsp.session_timeout_s.map(Duration::from_secs);
        let settings = Settings {
            bind: args.bind.or(config.bind).unwrap_or(defaults.bind),
            rtsp_port: args.rtsp_port.or(config.rtsp.port).unwrap_or(defaults.rtsp_port),
            http_port: http_port(args, &config.http),
            http_connections_max: config
                .http
                .connections_max
                .unwrap_or(defaults.http_connections_max),
            rtp_port: args.rtp_port.or(config.rtsp.rtp_port).unwrap_or(defaults.rtp_port),
            start,
            session_timeout: session_timeout.unwrap_or(defaults.session_timeout),
            congestion: config.rtsp.congestion,
        };
        let plan = Plan {
            demo: None,
            patterns,
            movies: [args.movies.clone(), config.movies].concat(),
            live: [args.live.clone(), config.live].concat(),
            settings,
            shards: args.shards.or(config.shards),
            cache_bytes: config.cache_mib.unwrap_or(CACHE_MIB_DEFAULT).saturating_mul(1 << 20),
            record: args.record.clone().or(config.record.file),
            record_level: args.record_level.or(config.record.level).unwrap_or_default(),
            json: args.json,
        };
        plan.check()?;
        Ok(plan)
    }

    /// The live pattern and a folder.
    pub(crate) fn demo(
        demo: Demo,
        pattern: PatternSettings,
        settings: Settings,
        json: bool,
    ) -> Plan {
        Plan {
            movies: vec![demo.folder.clone()],
            demo: Some(demo),
            live: Vec::new(),
            patterns: BTreeMap::from([(PATTERN_NAME.to_owned(), pattern)]),
            settings,
            shards: None,
            cache_bytes: CACHE_MIB_DEFAULT << 20,
            record: None,
            record_level: RecordLevel::default(),
            json,
        }
    }

    /// Finds mistakes before anything is opened.
    fn check(&self) -> anyhow::Result<()> {
        if self.movies.is_empty() && self.live.is_empty() && self.patterns.is_empty() {
            bail!(
                "nothing to serve: name a movie or a folder, as in `weir serve movie.mp4`, or \
                 take the test pattern: `weir serve --pattern`"
            );
        }
        for path in self.movies.iter().filter(|path| !path.exists()) {
            let text = path.to_string_lossy();
            if text.parse::<PatternArg>().is_ok() {
                bail!("cannot serve {text}: did you mean --pattern={text}?");
            }
        }
        for path in self.movies.iter().chain(&self.live) {
            check_served(path).with_context(|| format!("cannot serve {}", path.display()))?;
        }
        if !CACHE_BYTES.contains(&self.cache_bytes) {
            let (least, most) = (CACHE_BYTES.start() >> 20, CACHE_BYTES.end() >> 20);
            bail!("cache_mib: expected {least} to {most}");
        }
        if let Some(name) = &self.settings.congestion {
            os::check_congestion(name).context("rtsp.congestion")?;
        }
        if self.shards == Some(0) {
            bail!("0 shards serve nobody: expected 1 or more");
        }
        if self.settings.session_timeout < SESSION_TIMEOUT_LEAST {
            let least = SESSION_TIMEOUT_LEAST.as_secs();
            bail!("rtsp.session_timeout_s: expected {least} or more, so that players can keep up");
        }
        if !self.settings.rtp_port.is_multiple_of(2) {
            bail!("RTP port {}: expected an even one; RTCP has the next", self.settings.rtp_port);
        }
        if let Some(record) = self.record.as_ref().and_then(|path| path.canonicalize().ok()) {
            let mut served = self.movies.iter().chain(&self.live);
            if served.any(|path| path.canonicalize().is_ok_and(|path| path == record)) {
                bail!("cannot record to {}: it is served", record.display());
            }
        }
        Ok(())
    }

    /// Serves until the program is asked to end.
    ///
    /// # Errors
    /// When something cannot be opened or recorded.
    pub(crate) async fn serve(self, host: Host) -> anyhow::Result<()> {
        let level = self.record_level.into();
        let (sink, drain) = match &self.record {
            Some(_) => weir_record::queue(level, RECORDS_MAX),
            None => (Sink::none(), weir_record::queue(level, 1).1),
        };
        let (hub, server) = self.open(&host, sink).await?;
        let Some(path) = &self.record else {
            return self.run(&host, &hub, &server).await;
        };
        // Only now, when nothing else can go wrong.
        let older = move_aside(path);
        let older = older.with_context(|| format!("cannot record to {}", path.display()))?;
        if let Some(older) = older {
            tracing::info!("the records of an earlier run are now in {}", older.display());
        }
        let mut recorder = Recorder::new(drain);
        let header = header(&host, Role::Server, self.asked());
        let made = recorder.write_to(&host, path, &header, level).await;
        made.with_context(|| format!("cannot record to {}", path.display()))?;
        let (ran, written) = recorder.during(&host, self.run(&host, &hub, &server)).await;
        ran?;
        written.with_context(|| format!("the records in {} are not whole", path.display()))
    }

    /// Reads what is to be served, and opens the ports.
    async fn open(&self, host: &Host, sink: Sink) -> anyhow::Result<(Arc<Hub>, Server)> {
        let hub = Hub::new(Library::new(self.movies.clone()), self.cache_bytes);
        for (name, pattern) in &self.patterns {
            let live = LivePattern::open(host, &hub, name, pattern, sink.clone())
                .with_context(|| format!("cannot serve the test pattern {name:?}"))?;
            let (runner, name) = (host.clone(), name.clone());
            host.spawn(async move {
                let Err(error) = live.run(&runner).await;
                tracing::error!("the test pattern {name:?} has ended: {error}");
            });
        }
        for path in &self.live {
            let name = stream_name(path);
            let live = LiveFile::open(host, &hub, &name, path).await?;
            let runner = host.clone();
            host.spawn(async move {
                let Err(error) = live.run(&runner).await;
                tracing::error!("the live stream {name:?} has ended: {error}");
            });
        }
        // One movie that cannot be read is a mistake that is told at once; in a folder of many
        // it is told when somebody asks for it.
        for path in self.movies.iter().filter(|path| path.is_file()) {
            hub.find(host, &file_name(path)).await?;
        }
        let server = Server::start(host, &hub, self.settings.clone(), sink)?;
        Ok((hub, server))
    }

    /// Serves until the program is asked to end.
    async fn run(&self, host: &Host, hub: &Hub, server: &Server) -> anyhow::Result<()> {
        let listing = hub.library().list(host).await;
        // A live stream wins over a movie of the same name, which keeps its full name.
        let live = hub.live_names();
        let movies: Vec<String> = listing
            .names
            .iter()
            .filter_map(|name| match live.contains(name) {
                true => listing.other_name(name).map(str::to_owned),
                false => Some(name.clone()),
            })
            .collect();
        log::print(&self.banner(hub, server, &movies, &listing.warnings))?;
        if let (Some(demo), Some(page)) = (&self.demo, Addresses::here(server).http("", "")) {
            demo.begin(host, &page);
        }
        host.shutdown_requested().await;
        if !self.json {
            log::say("weir: ending; viewers get a good-bye");
        }
        server.drain(host, DRAIN_LIMIT).await;
        Ok(())
    }

    fn asked(&self) -> BTreeMap<String, Value> {
        let paths = |paths: &[PathBuf]| -> Value {
            paths.iter().map(|path| path.display().to_string()).collect()
        };
        let settings = &self.settings;
        let start = format!("{:?}", settings.start).to_lowercase();
        [
            ("command", json!("serve")),
            ("movies", paths(&self.movies)),
            ("live", paths(&self.live)),
            ("patterns", self.patterns.keys().cloned().collect()),
            ("bind", json!(settings.bind.to_string())),
            ("rtsp_port", json!(settings.rtsp_port)),
            ("http_port", json!(settings.http_port)),
            ("start", json!(start)),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }

    fn banner(&self, hub: &Hub, server: &Server, movies: &[String], warnings: &[String]) -> String {
        let live = hub.live_names();
        let addresses = Addresses::of(server);
        if self.json {
            let stream = |name: &String, live: bool| {
                let mut row = json!({ "name": name, "live": live, "url": addresses.rtsp(name) });
                if let Some(page) = addresses.page(name) {
                    row["page"] = json!(page);
                }
                row
            };
            let lives = live.iter().map(|name| stream(name, true));
            let streams: Vec<Value> =
                lives.chain(movies.iter().map(|name| stream(name, false))).collect();
            let (rtp, rtcp) = server.rtp_ports();
            let address = server.rtsp_address().to_string();
            let mut banner = json!({ "rtsp": address, "rtp_port": rtp, "rtcp_port": rtcp,
                "streams": streams, "warnings": warnings });
            if let Some(http) = server.http_address() {
                banner["http"] = json!(http.to_string());
            }
            return format!("{banner}\n");
        }
        if let (Some(demo), Some(pattern)) = (&self.demo, self.patterns.get(PATTERN_NAME)) {
            return demo.banner(pattern, &Addresses::of_demo(server));
        }
        let place = in_words(server.rtsp_address());
        let mut text = format!("weir {} serves RTSP on {place}\n", env!("CARGO_PKG_VERSION"));
        if let Some(http) = server.http_address() {
            text += &format!("and HTTP on {}\n", in_words(http));
        }
        for name in &live {
            text += &format!("  live   {}\n", addresses.best(name));
        }
        // What is odd about some of them stands in the log.
        for name in movies.iter().take(MOVIES_SHOWN) {
            text += &format!("  movie  {}\n", addresses.best(name));
        }
        if movies.len() > MOVIES_SHOWN {
            text += &format!("  and {} more movies\n", movies.len() - MOVIES_SHOWN);
        }
        if live.is_empty() && movies.is_empty() {
            text += "  no movie yet: the folders are looked through again and again\n";
        }
        if let Some(first) = live.first().or(movies.first()) {
            text += &addresses.all(first, live.contains(first));
        }
        text += &format!("{}; Ctrl-C ends.\n", capitalised(hub.access().in_words()));
        if let Some(first) = live.first().or(movies.first()) {
            text += &format!("Try: ffplay {}\n", addresses.rtsp(first));
        }
        text
    }
}

/// Where the pattern of `--pattern` is.
const PATTERN_NAME: &str = "pattern";
/// The addresses of streams, as others on the network can use them.
struct Addresses {
    rtsp: String,
    http: Option<String>,
}

impl Addresses {
    fn of(server: &Server) -> Self {
        let http = server.http_address().map(host_to_paste);
        Addresses { rtsp: host_to_paste(server.rtsp_address()), http }
    }

    /// For browsers on this machine.
    fn here(server: &Server) -> Self {
        let local = |address: SocketAddr| match address.ip().is_unspecified() {
            true => format!("localhost:{}", address.port()),
            false => address.to_string(),
        };
        let http = server.http_address().map(local);
        Addresses { rtsp: local(server.rtsp_address()), http }
    }

    /// What the demo names.
    fn of_demo(server: &Server) -> Vec<(&'static str, String)> {
        let (here, all) = (Addresses::here(server), Addresses::of(server));
        let elsewhere = all.http("", "").filter(|page| Some(page) != here.http("", "").as_ref());
        [
            ("open this", here.http("", "")),
            ("elsewhere", elsewhere),
            ("live picture", here.page(PATTERN_NAME)),
            ("HLS", all.http(PATTERN_NAME, "/index.m3u8")),
            ("DASH", all.http(PATTERN_NAME, "/manifest.mpd")),
            ("RTSP", Some(all.rtsp(PATTERN_NAME))),
        ]
        .into_iter()
        .filter_map(|(what, address)| Some((what, address?)))
        .collect()
    }

    fn rtsp(&self, name: &str) -> String {
        format!("rtsp://{}/{}", self.rtsp, encode_path(name))
    }

    fn http(&self, name: &str, ending: &str) -> Option<String> {
        let host = self.http.as_ref()?;
        Some(format!("http://{host}/{}{ending}", encode_path(name)))
    }

    fn page(&self, name: &str) -> Option<String> {
        self.http(name, "/")
    }

    /// The one to begin with.
    fn best(&self, name: &str) -> String {
        self.page(name).unwrap_or_else(|| self.rtsp(name))
    }

    /// Where each protocol finds a stream, a line each.
    fn all(&self, name: &str, is_live: bool) -> String {
        let endings = [("HLS", "/index.m3u8"), ("DASH", "/manifest.mpd"), ("MP4", ".mp4")];
        let endings = endings.iter().filter(|(protocol, _)| !is_live || *protocol != "MP4");
        let by_http = endings.filter_map(|(protocol, ending)| {
            Some(format!("  {protocol:<5}  {}\n", self.http(name, ending)?))
        });
        let by_http: String = by_http.collect();
        match self.http {
            Some(_) => {
                let rtsp = self.rtsp(name);
                format!(
                    "Each stream has more addresses, {name:?} for one:\n{by_http}  RTSP   {rtsp}\n"
                )
            }
            None => String::new(),
        }
    }
}

/// The command line over the file over the default.
fn http_port(args: &Args, config: &config::Http) -> Option<u16> {
    let is_off = args.no_http || (args.http_port.is_none() && config.enabled == Some(false));
    let port = args.http_port.or(config.port).or(Settings::default().http_port);
    port.filter(|_| !is_off)
}

/// Movies that the banner names one by one; in JSON it names all.
const MOVIES_SHOWN: usize = 40;

/// Where a server listens, for people.
fn in_words(address: SocketAddr) -> String {
    let port = address.port();
    match address.ip() {
        ip if ip.is_unspecified() && ip.is_ipv6() => {
            format!("port {port} of all addresses of this machine, IPv4 and IPv6")
        }
        ip if ip.is_unspecified() => format!("port {port} of all IPv4 addresses of this machine"),
        _ => address.to_string(),
    }
}

/// Host and port as others on the network can use them.
fn host_to_paste(address: SocketAddr) -> String {
    let ip = match address.ip() {
        ip if ip.is_unspecified() => own_address().unwrap_or(Ipv4Addr::LOCALHOST.into()),
        ip => ip,
    };
    SocketAddr::new(ip, address.port()).to_string()
}

/// This machine's address on the network, if it has one.
fn own_address() -> Option<IpAddr> {
    let elsewhere = |ip: IpAddr| os::address_towards(SocketAddr::new(ip, 9));
    // Addresses for documentation: nothing is sent there.
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    elsewhere(Ipv4Addr::new(192, 0, 2, 1).into()).or_else(|| elsewhere(v6.into()))
}

/// Whether a path can be served, as far as can be seen without opening it.
fn check_served(path: &Path) -> anyhow::Result<()> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Ok(());
    }
    if !metadata.is_file() {
        bail!("it is no regular file");
    }
    if path.file_name().is_none_or(|name| name.to_str().is_none()) {
        bail!("its name is not UTF-8, so that no address can name it; rename it");
    }
    Ok(())
}

fn stream_name(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
