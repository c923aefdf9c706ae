//! Commands to a driver from other threads.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::Duration;

use weir_link::{Change, Direction};
use weir_time::Instant;

use crate::links::{LinkStatus, Links, Wire};

/// What can be asked of a driver while it runs.
#[derive(Clone, Debug)]
pub enum Command {
    /// How all links stand.
    Show,
    /// A second has gone by for whoever watches; answered without links.
    Tick,
    /// Change what is asked of a link.
    Set {
        /// Its name; may be left out where there is one link alone.
        link: Option<String>,
        /// One direction; both, if absent.
        direction: Option<Direction>,
        /// What changes.
        change: Box<Change>,
    },
}

/// What a driver answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// How all links stand, after what was asked was done.
    Links(Vec<LinkStatus>),
    /// It was not done; the text says why and what to do.
    Refused(String),
}

/// Sends commands to a driver; cheap to copy.
#[derive(Clone, Debug)]
pub struct Remote {
    letters: SyncSender<Letter>,
    bell: Arc<OwnedFd>,
}

/// A driver's end: readable when there is a command.
#[derive(Debug)]
pub struct Inbox {
    letters: Receiver<Letter>,
    bell: Arc<OwnedFd>,
}

#[derive(Debug)]
struct Letter {
    command: Command,
    reply: Sender<Reply>,
}

impl Inbox {
    /// An inbox, and what writes to it.
    pub fn new() -> io::Result<(Inbox, Remote)> {
        // SAFETY: eventfd takes no pointers; a result of 0 or more is a new descriptor of our own.
        let bell = unsafe {
            let fd = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let bell = Arc::new(bell);
        let (letters, received) = mpsc::sync_channel(COMMANDS_MAX);
        let remote = Remote { letters, bell: Arc::clone(&bell) };
        Ok((Inbox { letters: received, bell }, remote))
    }

    /// Does all that was asked since the last call.
    pub fn serve<P: Wire + Clone>(&mut self, now: Instant, links: &mut Links<P>) {
        let mut count = [0_u8; 8];
        // SAFETY: the buffer holds the eight bytes that an eventfd gives. Nothing to read is fine.
        unsafe { libc::read(self.bell.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
        while let Ok(Letter { command, reply }) = self.letters.try_recv() {
            // Who asked may have gone meanwhile.
            let _ = reply.send(links.command(now, command));
        }
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Remote {
    /// Asks the driver, and waits for its answer for 5 s at most.
    pub fn ask(&self, command: Command) -> Reply {
        let (reply, answered) = mpsc::channel();
        if !self.send(command, reply) {
            return Reply::Refused("the link has ended".to_owned());
        }
        let answer = answered.recv_timeout(ANSWER_WITHIN);
        answer.unwrap_or_else(|_| Reply::Refused("the link does not answer".to_owned()))
    }

    /// Asks the driver and does not wait. Whether the driver is still there.
    pub fn tell(&self, command: Command) -> bool {
        // Nobody reads the answer, which costs the driver nothing.
        self.send(command, mpsc::channel().0)
    }

    fn send(&self, command: Command, reply: Sender<Reply>) -> bool {
        if self.letters.try_send(Letter { command, reply }).is_err() {
            return false;
        }
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight bytes, as an eventfd takes them. It is full only if it rings already.
        unsafe { libc::write(self.bell.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        true
    }
}

/// Commands that wait for the driver; clients are bounded too, and each waits for its answer.
const COMMANDS_MAX: usize = 256;
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
