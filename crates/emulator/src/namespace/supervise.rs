//! Commands on the hosts of a network: started, watched, ended.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::enter::place;
use super::error::{Error, doing, last};
use super::space::Space;

/// Watches over commands. While it is there, signals that would end this process are its own.
#[derive(Debug)]
pub struct Supervisor {
    signals: OwnedFd,
    commands: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    pid: i32,
    /// The run ends when no such command runs any more.
    is_awaited: bool,
    code: Option<u8>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The commands ended: with the code of the first that failed, or 0. A command that a signal
    /// ended has the code 128 and the signal's number.
    Ended(u8),
    /// Somebody asked for the end.
    Interrupted,
    /// The driver ended by itself.
    DriverEnded,
}

impl Supervisor {
    /// To be made before any other thread is.
    pub fn new() -> Result<Self, Error> {
        // SAFETY: the set is ours; signalfd gives a new descriptor of our own; prctl takes numbers.
        let signals = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGCHLD]
            {
                libc::sigaddset(&raw mut set, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            // What a command leaves behind becomes ours to wait for.
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1_u64, 0_u64, 0_u64, 0_u64);
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
            if fd < 0 {
                return Err(last("waiting for signals"));
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Supervisor { signals, commands: Vec::new() })
    }

    /// Starts a command on a host. One `in_front` has the terminal's input; the others have none.
    /// The run lasts until every awaited command has ended.
    pub(crate) fn start(
        &mut self,
        host: &str,
        space: &Space,
        words: &[String],
        in_front: bool,
        is_awaited: bool,
    ) -> Result<(), Error> {
        let Some((program, arguments)) = words.split_first() else { return Ok(()) };
        let mut command = Command::new(program);
        command.args(arguments).env("WEIR_HOST", host);
        if !in_front {
            command.stdin(Stdio::null());
        }
        let here = std::env::current_dir().map_err(doing("reading the working directory"))?;
        place(&mut command, space, &here)?;
        let child = command.spawn().map_err(|source| Error::Command {
            command: program.clone(),
            host: host.to_owned(),
            source,
        })?;
        // Waited for by its number, beside what it leaves behind.
        self.commands.push(Running { pid: child.id() as i32, is_awaited, code: None });
        Ok(())
    }

    /// Waits until the awaited commands have ended, or, where there are none, until somebody asks
    /// for the end. A command in front decides itself whether it ends then. `driver_ended` is
    /// readable when the driver is no more.
    pub(crate) fn wait(
        &mut self,
        has_front: bool,
        driver_ended: BorrowedFd<'_>,
    ) -> Result<Outcome, Error> {
        let has_awaited = self.commands.iter().any(|command| command.is_awaited);
        let mut asked = 0;
        loop {
            self.reap();
            let awaited = || self.commands.iter().filter(|command| command.is_awaited);
            if has_awaited && awaited().all(|command| command.code.is_some()) {
                let codes = awaited().filter_map(|command| command.code);
                return Ok(Outcome::Ended(codes.into_iter().find(|code| *code != 0).unwrap_or(0)));
            }
            let ready = poll_readable(&[self.signals.as_fd(), driver_ended], None)
                .map_err(doing("waiting for commands"))?;
            if ready & 2 != 0 {
                return Ok(Outcome::DriverEnded);
            }
            while let Some((signal, from_terminal)) = self.next_signal() {
                if signal == libc::SIGCHLD {
                    continue;
                }
                asked += 1;
                if !has_front || asked > ASKED_MAX {
                    return Ok(Outcome::Interrupted);
                }
                // Who types at the terminal has told the commands already.
                if !from_terminal {
                    self.tell(signal);
                }
            }
        }
    }

    /// Ends whatever still runs in these namespaces: asked at first, then killed.
    pub(crate) fn end_all(&mut self, spaces: &[&Space]) {
        let inodes: Vec<u64> = spaces.iter().filter_map(|space| inode(&space.network)).collect();
        for (signal, patience) in [(libc::SIGTERM, PATIENCE), (libc::SIGKILL, PATIENCE)] {
            let until = Instant::now() + patience;
            let mut told = Vec::new();
            loop {
                self.reap();
                let left = inhabitants(&inodes);
                if left.is_empty() {
                    return;
                }
                for pid in left.into_iter().filter(|pid| !told.contains(pid)).collect::<Vec<_>>() {
                    told.push(pid);
                    // SAFETY: no pointers; the process was seen in a namespace of ours just now.
                    unsafe { libc::kill(pid, signal) };
                }
                if Instant::now() >= until {
                    break;
                }
                let _ = poll_readable(&[self.signals.as_fd()], Some(LOOK_AGAIN));
                while self.next_signal().is_some() {}
            }
        }
    }

    fn tell(&self, signal: i32) {
        for command in self.commands.iter().filter(|command| command.code.is_none()) {
            // SAFETY: no pointers; the process has not been waited for, so the number is its own.
            unsafe { libc::kill(command.pid, signal) };
        }
    }

    fn reap(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: the status is ours.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            if pid <= 0 {
                return;
            }
            let ended = self.commands.iter_mut().find(|command| command.pid == pid);
            if let Some(command) = ended {
                command.code = Some(match libc::WIFEXITED(status) {
                    true => libc::WEXITSTATUS(status) as u8,
                    false => 128_u8.saturating_add(libc::WTERMSIG(status) as u8),
                });
            }
        }
    }

    /// The next signal that came, and whether the terminal sent it.
    fn next_signal(&self) -> Option<(i32, bool)> {
        // SAFETY: the structure is ours, and zeros are a valid one.
        unsafe {
            let mut signal: libc::signalfd_siginfo = std::mem::zeroed();
            let size = size_of::<libc::signalfd_siginfo>();
            let count = libc::read(self.signals.as_raw_fd(), (&raw mut signal).cast(), size);
            (count == size as isize)
                .then_some((signal.ssi_signo as i32, signal.ssi_code == SENT_BY_KERNEL))
        }
    }
}

/// Which of these have something to read, as bits; without a span it waits for ever.
fn poll_readable(fds: &[BorrowedFd<'_>], span: Option<Duration>) -> io::Result<u32> {
    let mut polled: Vec<libc::pollfd> = fds
        .iter()
        .map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    let span = span.map_or(-1, |span| span.as_millis() as i32);
    // SAFETY: the array is ours and as long as said.
    let count = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, span) };
    if count < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(0) } else { Err(error) };
    }
    let bits = polled.iter().enumerate().filter(|(_, one)| one.revents != 0);
    Ok(bits.map(|(number, _)| 1 << number).sum())
}

/// The processes whose network is one of these.
fn inhabitants(inodes: &[u64]) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let network = fs::metadata(entry.path().join("ns/net"));
        if network.is_ok_and(|network| inodes.contains(&network.ino())) {
            found.push(pid);
        }
    }
    found
}

fn inode(fd: &OwnedFd) -> Option<u64> {
    // SAFETY: the structure is ours, and zeros are a valid one.
    unsafe {
        let mut found: libc::stat = std::mem::zeroed();
        (libc::fstat(fd.as_raw_fd(), &raw mut found) == 0).then_some(found.st_ino)
    }
}

/// `si_code` of a signal that no process sent.
const SENT_BY_KERNEL: i32 = 0x80;
/// How often somebody must ask for the end until it comes whatever the command does.
const ASKED_MAX: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
