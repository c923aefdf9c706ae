//! What every driver's command has around it: records, captures, control, and the certificate.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use weir_record::event::{self, EndReason, Ended, Event};
use weir_record::{Drain, Header, Level, Role, Sink, queue};
use weir_time::{Instant, Utc, hash};

use crate::capture::{Captures, Feeds, Made};
use crate::certificate::Certificate;
use crate::clock::Clock;
use crate::control::{Desk, HttpDoor, SocketDoor};
use crate::inbox::{Command, Inbox, Remote};
use crate::links::Plan;
use crate::observer::{Account, Accountant, Letter, Observer};
use crate::tap::Tap;

/// What a session is made of.
#[derive(Clone, Debug, Default)]
pub struct SessionSettings {
    /// What was typed.
    pub command: String,
    /// Where records go; a file that holds data is refused.
    pub record: Option<PathBuf>,
    /// Where packets go from the start on; a file that holds data is refused.
    pub capture: Option<PathBuf>,
    /// The most bytes kept of a packet in that capture; 0 for all.
    pub capture_bytes_max: usize,
    /// What carries the packets: `relay udp`, `relay tcp`, `namespace`.
    pub driver: &'static str,
    /// Models that stand in for real parts, by the part: `("tcp", tcp::MODEL)`.
    pub models: Vec<(String, String)>,
    /// What is not as on a real link, in sentences.
    pub fidelity: Vec<String>,
    /// Whether every packet is a record.
    pub packets: bool,
    /// Where the control socket stands; at a place of its own, if absent.
    pub control: Option<PathBuf>,
    /// The port of the HTTP API on loopback, 0 for any; none, if absent.
    pub http_control: Option<u16>,
}

/// Why a session cannot do what is asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file of records cannot be made.
    #[error("cannot write the records to {file}", file = file.display())]
    Record {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The capture cannot be made.
    #[error("cannot capture to {file}", file = file.display())]
    Capture {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A capture goes on.
    #[error("a capture to {file} is running: stop it first", file = file.display())]
    Capturing {
        /// Its file.
        file: PathBuf,
    },
    /// There is no such link.
    #[error("there is no link {name:?}; there are: {links}")]
    NoLink {
        /// The name.
        name: String,
        /// All names.
        links: String,
    },
    /// The control socket cannot be made.
    #[error("cannot open the control socket (name another place with --control PATH)")]
    Control {
        /// What the system says.
        source: io::Error,
    },
    /// The HTTP API cannot be opened.
    #[error("cannot listen on 127.0.0.1:{port} (name another port with --http-control PORT)")]
    Http {
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no thread or no descriptor.
    #[error("the system gives no thread or no descriptor")]
    System(#[from] io::Error),
}

/// What a driver's command has around it. Made before the driver's thread starts, finished after
/// it ended.
#[derive(Debug)]
pub struct Session {
    settings: SessionSettings,
    seed: u64,
    names: Vec<String>,
    clock: Clock,
    desk: Desk,
    records: Sink,
    ended: EndReason,
    is_stopping: Arc<AtomicBool>,
    accountant: JoinHandle<Counted>,
    writer: Option<RecordWriter>,
    socket: Option<SocketDoor>,
    http: Option<HttpDoor>,
}

/// What the accountant's thread ends with.
#[derive(Debug)]
struct Counted {
    account: Account,
    cpu: Option<Cpu>,
}

/// Where the driver's thread spent its time.
#[derive(Clone, Copy, Debug)]
struct Cpu {
    used_ns: u64,
    waited_ns: u64,
    at: Instant,
}

impl Session {
    /// Opens files and doors, and starts the threads beside the driver's. The driver lets the tap
    /// watch its links, and serves the inbox.
    ///
    /// # Errors
    /// When a file or a door cannot be opened.
    pub fn start(
        settings: SessionSettings,
        clock: Clock,
        seed: u64,
        links: &[Plan],
    ) -> Result<(Session, Box<dyn Tap>, Inbox), Error> {
        let names: Vec<String> = links.iter().map(|link| link.name.clone()).collect();
        let (records, writer) = open_records(&settings, clock, seed, &names)?;
        let (inbox, remote) = Inbox::new()?;
        let feeds = Feeds::default();
        let captures = Captures::new(Made {
            links: names.clone(),
            slot: feeds.slot(),
            clock,
            records: records.clone(),
            remote: remote.clone(),
        });
        let (observer, letters, spent) =
            Observer::new(names.len(), records.clone(), feeds, Some(clock));
        let accountant = Accountant::new(names.clone(), records.clone(), spent);
        let (command, driver, recent) =
            (settings.command.clone(), settings.driver, accountant.recent());
        let desk = Desk::new(command, driver, clock, recent, remote.clone(), captures);
        if let Some(file) = &settings.capture {
            desk.captures().start(file, None, whole(settings.capture_bytes_max))?;
        }
        let (socket, http) = open_doors(&settings, &desk)?;
        let is_stopping = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&is_stopping);
        let accountant = std::thread::Builder::new()
            .name("weir-account".to_owned())
            .spawn(move || account(accountant, &letters, &remote, clock, &stopping))?;
        let session = Session {
            settings,
            seed,
            names,
            clock,
            desk,
            records,
            ended: EndReason::Stopped,
            is_stopping,
            accountant,
            writer,
            socket: Some(socket),
            http,
        };
        Ok((session, Box::new(observer), inbox))
    }

    /// Sends commands to the driver.
    pub fn remote(&self) -> Remote {
        self.desk.remote().clone()
    }

    /// Answers what the control socket answers, without a socket.
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Where the control socket stands.
    pub fn control_path(&self) -> Option<&Path> {
        self.socket.as_ref().map(SocketDoor::path)
    }

    /// Where the HTTP API listens.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(HttpDoor::address)
    }

    /// Why the run ended, for the records; that it was stopped, unless it is said.
    pub fn ended(&mut self, reason: EndReason) {
        self.ended = reason;
    }

    /// Ends all after the driver's thread ended: writes the last records, closes the capture and
    /// the doors, and says what was achieved.
    pub fn finish(self) -> Certificate {
        let Session { settings, seed, names, clock, desk, records, ended, .. } = self;
        self.is_stopping.store(true, Ordering::SeqCst);
        let counted = self.accountant.join().ok();
        let capture = desk.captures().stop();
        drop((self.socket, self.http));
        let mut certificate = match &counted {
            Some(counted) => Certificate::of(&counted.account, &names),
            None => Certificate::default(),
        };
        certificate.driver = settings.driver.to_owned();
        certificate.seed = seed;
        certificate.models = settings.models;
        certificate.fidelity = settings.fidelity;
        certificate.capture = capture;
        if counted.is_none() {
            certificate.warnings.push("what was counted is lost: please report this".to_owned());
        }
        let cpu = counted.and_then(|counted| counted.cpu);
        let share = |nanos: u64, cpu: Cpu| nanos as f64 / cpu.at.as_nanos() as f64;
        let used = cpu.map(|cpu| share(cpu.used_ns, cpu));
        certificate.judge(used, cpu.map(|cpu| share(cpu.waited_ns, cpu)));
        let now = clock.now();
        for record in certificate.records() {
            records.emit(now, Event::LinkCertificate(Box::new(record)));
        }
        let verdict = event::Certificate {
            driver: settings.driver.into(),
            is_too_slow: certificate.machine.is_too_slow,
            verdict: certificate.verdict().into(),
        };
        records.emit(now, verdict);
        records.emit(now, Ended { reason: ended, text: None });
        drop((records, desk));
        if let Some(Err(error)) = self.writer.map(RecordWriter::finish) {
            let file = settings.record.unwrap_or_default();
            let text = format!("the records in {} are not whole: {error}", file.display());
            certificate.warnings.push(text);
        }
        certificate
    }
}

/// Where records go, and who writes them.
fn open_records(
    settings: &SessionSettings,
    clock: Clock,
    seed: u64,
    links: &[String],
) -> Result<(Sink, Option<RecordWriter>), Error> {
    let Some(file) = &settings.record else { return Ok((Sink::none(), None)) };
    let level = if settings.packets { Level::Packet } else { Level::Second };
    let (sink, drain) = queue(level, RECORDS_MAX);
    let header = header(settings, clock, seed, links);
    let failed = |source| Error::Record { file: file.clone(), source };
    let writer = RecordWriter::start(file, &header, drain).map_err(failed)?;
    Ok((sink, Some(writer)))
}

fn open_doors(
    settings: &SessionSettings,
    desk: &Desk,
) -> Result<(SocketDoor, Option<HttpDoor>), Error> {
    let socket = SocketDoor::open(settings.control.as_deref(), desk.clone());
    let socket = socket.map_err(|source| Error::Control { source })?;
    let http = settings.http_control.map(|port| {
        let opened = HttpDoor::open(port, desk.clone());
        opened.map_err(|source| Error::Http { port, source })
    });
    Ok((socket, http.transpose()?))
}

/// An error with all its causes.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// The accountant's thread: reads until the driver is gone, and gives the beat of seconds.
fn account(
    mut accountant: Accountant,
    letters: &Receiver<Letter>,
    remote: &Remote,
    clock: Clock,
    is_stopping: &AtomicBool,
) -> Counted {
    let (mut next, mut cpu, mut patience) = (clock.now() + SECOND, None, PATIENCE);
    while !accountant.is_closed() && patience > 0 {
        let wait = next.since(clock.now()).min(PERIOD);
        match letters.recv_timeout(wait) {
            Ok(Letter::Tick { at, thread }) => {
                cpu = read_cpu(thread, at).or(cpu);
                accountant.take(Letter::Tick { at, thread });
            }
            Ok(letter) => accountant.take(letter),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if is_stopping.load(Ordering::SeqCst) {
                    patience -= 1;
                }
            }
        }
        if clock.now() >= next {
            remote.tell(Command::Tick);
            // A machine that slept makes up for nothing.
            next = (next + SECOND).max(clock.now());
        }
    }
    accountant.read(letters);
    Counted { account: accountant.finish(), cpu }
}

/// What the scheduler says of a thread of this process.
fn read_cpu(thread: i32, at: Instant) -> Option<Cpu> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    let mut fields = text.split_whitespace().map(str::parse::<u64>);
    let (used_ns, waited_ns) = (fields.next()?.ok()?, fields.next()?.ok()?);
    (at > Instant::ZERO).then_some(Cpu { used_ns, waited_ns, at })
}

fn header(settings: &SessionSettings, clock: Clock, seed: u64, links: &[String]) -> Header {
    let zero = clock.since_1970(Instant::ZERO).as_nanos() as u64;
    let session = format!("{:016x}", hash([zero, u64::from(std::process::id())]));
    let mut header = Header::new(session, Role::Link, Utc::from_nanos(zero));
    header.seed = Some(seed);
    header.models = settings.models.iter().map(|(_, model)| model.as_str().into()).collect();
    header.asked = BTreeMap::from([
        ("command".to_owned(), json!(settings.command)),
        ("driver".to_owned(), json!(settings.driver)),
        ("links".to_owned(), json!(links)),
        ("fidelity".to_owned(), json!(settings.fidelity)),
    ]);
    header
}

/// The thread that writes records.
#[derive(Debug)]
struct RecordWriter {
    stop: Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl RecordWriter {
    fn start(file: &Path, header: &Header, mut drain: Drain) -> io::Result<RecordWriter> {
        if std::fs::metadata(file).is_ok_and(|file| file.is_file() && file.len() > 0) {
            let text = "it holds data, and records are never written over: name another";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).open(file)?;
        let mut lines = Vec::new();
        header.encode(&mut lines);
        write(&mut out, &mut lines)?;
        let (stop, stopped) = mpsc::channel::<()>();
        let name = "weir-records".to_owned();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let mut written = Ok(());
            loop {
                let is_over = stopped.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout);
                drain.drain(&mut lines);
                if written.is_ok() {
                    written = write(&mut out, &mut lines);
                    if let Err(error) = &written {
                        tracing::warn!("recording has stopped: {error}; the traffic goes on");
                    }
                }
                // What cannot be written must not heap up.
                lines.clear();
                if is_over {
                    return written;
                }
            }
        })?;
        Ok(RecordWriter { stop, thread })
    }

    /// Writes the rest.
    fn finish(self) -> io::Result<()> {
        drop(self.stop);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread has failed")))
    }
}

fn write(out: &mut File, lines: &mut Vec<u8>) -> io::Result<()> {
    let written = out.write_all(lines);
    lines.clear();
    written
}

fn whole(bytes_max: usize) -> usize {
    if bytes_max == 0 { usize::MAX } else { bytes_max }
}

/// Records that wait to be written: at packet level some seconds of 100 Mbit/s.
const RECORDS_MAX: usize = 1 << 18;
const SECOND: Duration = Duration::from_secs(1);
const PERIOD: Duration = Duration::from_millis(200);
/// A driver that has ended and told nothing gets so many periods.
const PATIENCE: u32 = 10;
