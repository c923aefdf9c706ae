//! The thread that writes a capture.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use weir_link::Direction;
use weir_record::Sink;
use weir_record::event::{CaptureEnded, CaptureStarted, Warning};
use weir_time::Instant;

use super::feed::{Feed, Slot};
use super::order::Order;
use super::{page, pcapng};
use crate::clock::Clock;
use crate::inbox::{Command, Remote};
use crate::links::LinkIndex;
use crate::observer::link_of;
use crate::session::Error;

/// What a session captures: one file at a time.
#[derive(Debug)]
pub(crate) struct Captures {
    made: Made,
    going: Mutex<Option<Going>>,
}

/// What captures are made with.
#[derive(Debug)]
pub(crate) struct Made {
    /// The names of the links, in their order.
    pub(crate) links: Vec<String>,
    pub(crate) slot: Arc<Slot>,
    pub(crate) clock: Clock,
    pub(crate) records: Sink,
    pub(crate) remote: Remote,
}

/// A capture that goes on, or has ended by itself.
#[derive(Debug)]
struct Going {
    file: PathBuf,
    link: Option<String>,
    progress: Arc<Progress>,
    thread: JoinHandle<()>,
}

/// A capture as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct CaptureStatus {
    /// The file.
    pub file: PathBuf,
    /// The link; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Packets written, on their way in and on their way out.
    pub packets: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Packets left out because they came faster than they could be written.
    pub packets_missed: u64,
    /// Why it ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

#[derive(Debug, Default)]
struct Progress {
    packets: AtomicU64,
    bytes: AtomicU64,
    packets_missed: AtomicU64,
    failed: Mutex<Option<String>>,
}

impl Captures {
    pub(crate) fn new(made: Made) -> Captures {
        Captures { made, going: Mutex::default() }
    }

    /// Begins to write packets of one link, or of all, to a new file; at most `bytes_max` bytes
    /// of each.
    pub(crate) fn start(
        &self,
        file: &Path,
        link: Option<&str>,
        bytes_max: usize,
    ) -> Result<CaptureStatus, Error> {
        let mut going = self.lock();
        if let Some(going) = going.as_ref().filter(|going| !going.thread.is_finished()) {
            return Err(Error::Capturing { file: going.file.clone() });
        }
        let index = link.map(|name| self.find(name)).transpose()?;
        let cannot = |source| Error::Capture { file: file.to_owned(), source };
        let out = create(file).map_err(cannot)?;
        let began = self.made.clock.now();
        let (feed, filled, emptied) = Feed::new(index, bytes_max);
        let progress = Arc::new(Progress::default());
        let (lanes, first_lane) = (self.made.links.len() * 2, index.map_or(0, |index| index.0 * 2));
        let mut writer = Writer {
            file: file.to_owned(),
            out,
            order: Order::new(lanes, first_lane, HELD_BYTES_MAX, self.utc(Instant::ZERO)),
            interfaces: self.interfaces(index),
            buffer: Vec::new(),
            progress: Arc::clone(&progress),
            records: self.made.records.clone(),
            clock: self.made.clock,
            began,
        };
        writer.begin(bytes_max).map_err(cannot)?;
        let name = "weir-capture".to_owned();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || writer.run(&filled, &emptied))
            .map_err(cannot)?;
        self.made.slot.put(Some(feed));
        self.made.records.emit(began, CaptureStarted { file: shown(file).as_str().into() });
        let (file, link) = (file.to_owned(), link.map(str::to_owned));
        let started = going.insert(Going { file, link, progress, thread });
        Ok(started.status())
    }

    /// The capture that goes on, or the last.
    pub(crate) fn status(&self) -> Option<CaptureStatus> {
        self.lock().as_ref().map(Going::status)
    }

    /// Ends the capture that goes on; gives what it came to.
    pub(crate) fn stop(&self) -> Option<CaptureStatus> {
        let mut going = self.lock();
        let ended = going.take()?;
        self.made.slot.put(None);
        // The driver lets go of it at its next packet, or now.
        self.made.remote.tell(Command::Tick);
        let Going { file, link, progress, thread } = ended;
        let until = std::time::Instant::now() + END_WITHIN;
        while !thread.is_finished() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        Some(progress.status(&file, link))
    }

    fn find(&self, name: &str) -> Result<LinkIndex, Error> {
        let place = self.made.links.iter().position(|link| link == name);
        let links = || self.made.links.join(", ");
        place.map(LinkIndex).ok_or_else(|| Error::NoLink { name: name.to_owned(), links: links() })
    }

    /// The names of all interfaces; absent where they are not captured.
    fn interfaces(&self, link: Option<LinkIndex>) -> Vec<Option<String>> {
        let lanes = (0..self.made.links.len() * 2).flat_map(|lane| {
            let (index, direction) = link_of(lane);
            let is_wanted = link.is_none_or(|only| only == index);
            let name = self.made.links.get(index.0).map_or("", String::as_str);
            let way = if direction == Direction::Up { "up" } else { "down" };
            ["in", "out"].map(|side| is_wanted.then(|| format!("{name} {way} {side}")))
        });
        lanes.collect()
    }

    fn utc(&self, at: Instant) -> u64 {
        u64::try_from(self.made.clock.since_1970(at).as_nanos()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Going>> {
        self.going.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Going {
    fn status(&self) -> CaptureStatus {
        self.progress.status(&self.file, self.link.clone())
    }
}

impl Progress {
    fn status(&self, file: &Path, link: Option<String>) -> CaptureStatus {
        CaptureStatus {
            file: file.to_owned(),
            link,
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            packets_missed: self.packets_missed.load(Ordering::Relaxed),
            failed: self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Writes what comes in pages, until the feed ends or the file takes no more.
struct Writer {
    file: PathBuf,
    out: File,
    order: Order,
    /// The names of all interfaces, absent where they are not captured.
    interfaces: Vec<Option<String>>,
    buffer: Vec<u8>,
    progress: Arc<Progress>,
    records: Sink,
    clock: Clock,
    began: Instant,
}

impl Writer {
    /// The head of the file.
    fn begin(&mut self, bytes_max: usize) -> io::Result<()> {
        pcapng::section(&mut self.buffer, concat!("weir ", env!("CARGO_PKG_VERSION")));
        for number in 0..self.interfaces.len() {
            let Some(name) = self.interfaces[number].clone() else { continue };
            let side = match number % 2 {
                0 => "packets as they arrive at the link",
                _ => "packets as they leave the link",
            };
            let snaplen = u32::try_from(bytes_max).unwrap_or(u32::MAX).min(SNAPLEN_MAX);
            let description = side.to_owned();
            let described = pcapng::Interface { name, description, snaplen, speed_bps: None };
            pcapng::interface(&mut self.buffer, &described);
        }
        self.flush()
    }

    fn run(mut self, filled: &Receiver<Vec<u8>>, emptied: &SyncSender<Vec<u8>>) {
        let mut failed = None;
        while let Ok(mut page) = filled.recv() {
            let mut rest = page.as_slice();
            while let Some(event) = page::next(&mut rest) {
                self.order.handle(&event);
            }
            page.clear();
            // The feed may be gone.
            let _ = emptied.try_send(page);
            let packets = self.order.drain(&mut self.buffer);
            if let Err(error) = self.flush() {
                failed = Some(error);
                break;
            }
            self.progress.packets.fetch_add(packets, Ordering::Relaxed);
            self.progress.packets_missed.store(self.order.packets_missed, Ordering::Relaxed);
        }
        let failed = failed.or_else(|| self.end().err());
        self.report(failed.as_ref());
    }

    /// What still waits, and the counts of each interface.
    fn end(&mut self) -> io::Result<()> {
        let packets = self.order.finish(&mut self.buffer);
        let utc = |at| u64::try_from(self.clock.since_1970(at).as_nanos()).unwrap_or(u64::MAX);
        let (from_ns, until_ns) = (utc(self.began), utc(self.clock.now()));
        let wanted = (0..self.interfaces.len()).filter(|number| self.interfaces[*number].is_some());
        for (interface, number) in wanted.enumerate() {
            let received = self.order.received.get(number).copied().unwrap_or(0);
            let dropped = if interface == 0 { self.order.packets_missed } else { 0 };
            let interface = interface as u32;
            let counts = pcapng::Counts { interface, from_ns, until_ns, received, dropped };
            pcapng::counts(&mut self.buffer, &counts);
        }
        self.flush()?;
        self.progress.packets.fetch_add(packets, Ordering::Relaxed);
        self.progress.packets_missed.store(self.order.packets_missed, Ordering::Relaxed);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = self.buffer.len() as u64;
        let written = self.out.write_all(&self.buffer);
        self.buffer.clear();
        written?;
        self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn report(&self, failed: Option<&io::Error>) {
        let now = self.clock.now();
        let file = shown(&self.file);
        let failed = failed.map(ToString::to_string);
        if let Some(why) = &failed {
            let text = format!("the capture to {file} has ended: {why}; the traffic goes on");
            tracing::warn!("{text}");
            self.records.emit(now, Warning { text: text.as_str().into() });
            *self.progress.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed.clone();
        }
        let ended = CaptureEnded {
            file: file.as_str().into(),
            packets: self.progress.packets.load(Ordering::Relaxed),
            packets_missed: self.order.packets_missed,
            failed: failed.as_deref().map(Into::into),
        };
        self.records.emit(now, ended);
    }
}

/// A new file; one that holds data is never written over.
fn create(file: &Path) -> io::Result<File> {
    if std::fs::metadata(file).is_ok_and(|file| file.is_file() && file.len() > 0) {
        let text = "it holds data, and captures are never written over: name another";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    OpenOptions::new().write(true).create(true).truncate(true).open(file)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// What may wait for its fate, and once more for what flies.
const HELD_BYTES_MAX: usize = 64 << 20;
/// A driver that hangs does not let go of its capture: it is not waited for.
const END_WITHIN: Duration = Duration::from_secs(5);
const SNAPLEN_MAX: u32 = 262_144;
