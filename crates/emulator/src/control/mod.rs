//! Control of running links from outside: a Unix socket, and HTTP on loopback if asked for.
//!
//! On the socket each line is a JSON object: a [`Request`] goes in, a [`Response`] comes back, one
//! after another. All doors lead to one [`Desk`], which asks the driver.

mod client;
mod http;
mod place;
mod socket;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use weir_link::{Change, Counters, Direction};

use crate::capture::{CaptureStatus, Captures};
use crate::clock::Clock;
use crate::inbox::{Command, Remote, Reply};
use crate::links::{DirectionStatus, LinkStatus};
use crate::observer::Recent;

pub(crate) use self::http::HttpDoor;
pub use client::{Client, Error, running};
pub(crate) use socket::SocketDoor;

/// A place for the control socket of this process, of this user: where [`running`] looks.
///
/// # Errors
/// When no folder can be had that is this user's alone.
pub fn free_place() -> std::io::Result<PathBuf> {
    Ok(place::free(&place::usable()?))
}

/// What is asked of a running command: one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Request {
    /// How its links stand.
    Show {},
    /// Change a link.
    Set {
        /// Its name; may be left out where there is one link alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
        /// One direction; both, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        direction: Option<Direction>,
        /// What changes: `rate=2mbit delay=50ms`.
        set: String,
    },
    /// Write packets to a new file.
    CaptureStart {
        /// The file, with its whole path.
        file: PathBuf,
        /// One link alone; all, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
        /// The most bytes kept of a packet; all, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes_max: Option<u32>,
    },
    /// End the capture.
    CaptureStop {},
}

/// The answer: how all stands after what was asked, or why it was not done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Why it was not done; then nothing else is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The command that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Its links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Shown>,
    /// The capture that goes on, or that has just ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureStatus>,
}

/// A command that runs links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its process.
    pub pid: u32,
    /// What was typed.
    pub command: String,
    /// What carries the packets.
    pub driver: String,
    /// How long it has run.
    pub age_ns: u64,
}

/// A link as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// From the first end to the second.
    pub up: ShownDirection,
    /// From the second end to the first.
    pub down: ShownDirection,
}

/// One direction of a link as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShownDirection {
    /// What is asked: `rate=5mbit delay=40ms`.
    pub settings: String,
    /// Packets that wait.
    pub queue_packets: u64,
    /// Bytes that wait.
    pub queue_bytes: u64,
    /// Totals since the start.
    pub counters: Counters,
    /// The last second; absent before the first is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<Recent>,
}

impl Request {
    /// Reads a line; the error says what is wrong with it.
    ///
    /// # Errors
    /// When it is no request.
    pub fn read(line: &[u8]) -> Result<Request, String> {
        serde_json::from_slice(line).map_err(|error| {
            format!("expected a request such as {{\"do\":\"show\"}} or {{\"do\":\"set\",\"set\":\"rate=2mbit\"}}: {error}")
        })
    }
}

impl Response {
    fn refused(why: impl Into<String>) -> Response {
        Response { error: Some(why.into()), ..Response::default() }
    }
}

/// Answers requests, from any thread.
#[derive(Clone, Debug)]
pub struct Desk {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    command: String,
    driver: &'static str,
    clock: Clock,
    remote: Remote,
    recent: Arc<Mutex<Vec<Recent>>>,
    captures: Captures,
}

impl Desk {
    pub(crate) fn new(
        command: String,
        driver: &'static str,
        clock: Clock,
        recent: Arc<Mutex<Vec<Recent>>>,
        remote: Remote,
        captures: Captures,
    ) -> Desk {
        Desk { inner: Arc::new(Inner { command, driver, clock, remote, recent, captures }) }
    }

    /// Does what is asked. Waits for the driver for 5 s at most.
    pub fn answer(&self, request: Request) -> Response {
        match request {
            Request::Show {} => self.ask(Command::Show),
            Request::Set { link, direction, set } => match set.parse::<Change>() {
                Ok(change) if change == Change::default() => {
                    Response::refused("nothing to change: expected such as rate=2mbit delay=50ms")
                }
                Ok(change) => self.ask(Command::Set { link, direction, change: Box::new(change) }),
                Err(error) => Response::refused(error.to_string()),
            },
            Request::CaptureStart { file, link, bytes_max } => {
                let bytes_max = bytes_max.map_or(usize::MAX, |bytes| bytes as usize);
                self.start_capture(&file, link.as_deref(), bytes_max)
            }
            Request::CaptureStop {} => match self.inner.captures.stop() {
                Some(ended) => Response { capture: Some(ended), ..self.ask(Command::Show) },
                None => Response::refused("no capture is running"),
            },
        }
    }

    pub(crate) fn captures(&self) -> &Captures {
        &self.inner.captures
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.inner.remote
    }

    fn start_capture(&self, file: &Path, link: Option<&str>, bytes_max: usize) -> Response {
        if !file.is_absolute() {
            return Response::refused(format!("the file needs its whole path: {}", file.display()));
        }
        match self.inner.captures.start(file, link, bytes_max) {
            Ok(_) => self.ask(Command::Show),
            Err(error) => Response::refused(crate::session::chain(&error)),
        }
    }

    fn ask(&self, command: Command) -> Response {
        match self.inner.remote.ask(command) {
            Reply::Refused(why) => Response::refused(why),
            Reply::Links(links) => Response {
                error: None,
                run: Some(self.run()),
                links: self.shown(&links),
                capture: self.inner.captures.status(),
            },
        }
    }

    fn run(&self) -> Run {
        let age_ns = self.inner.clock.now().as_nanos();
        let (command, driver) = (self.inner.command.clone(), self.inner.driver.to_owned());
        Run { pid: std::process::id(), command, driver, age_ns }
    }

    fn shown(&self, links: &[LinkStatus]) -> Vec<Shown> {
        let recent = self.inner.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let direction = |lane: usize, status: &DirectionStatus| ShownDirection {
            settings: status.settings.to_string(),
            queue_packets: status.queue_packets as u64,
            queue_bytes: status.queue_bytes,
            counters: status.counters.to_owned(),
            second: recent.get(lane).filter(|recent| recent.span_ns > 0).copied(),
        };
        let links = links.iter().enumerate();
        links
            .map(|(number, link)| Shown {
                name: link.name.clone(),
                up: direction(number * 2, &link.up),
                down: direction(number * 2 + 1, &link.down),
            })
            .collect()
    }
}
