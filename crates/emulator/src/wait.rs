//! Waiting for packets and for exact times.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use weir_time::Instant;

use crate::clock::Clock;

/// Waits on many descriptors, level-triggered, and wakes at exact times: the last stretch before a
/// time it spins, because the kernel wakes threads late.
#[derive(Debug)]
pub struct Waiter {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
    spin: Duration,
}

/// What to wait for on a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// There is something to read.
    pub read: bool,
    /// There is room to write.
    pub write: bool,
}

/// A descriptor that has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What it was watched under.
    pub token: u64,
    /// There is something to read, or the end, or an error.
    pub read: bool,
    /// There is room to write, or an error.
    pub write: bool,
    /// There is an error, or both directions have ended.
    pub failed: bool,
}

impl Waiter {
    /// For the thread that calls: its timer slack becomes 1 ns. `spin` bounds what it spins.
    pub fn new(spin: Duration) -> io::Result<Self> {
        // SAFETY: neither call takes a pointer; a result of 0 or more is a new descriptor of our own.
        let epoll = unsafe {
            libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64, 0_u64, 0_u64, 0_u64);
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let none = libc::epoll_event { events: 0, u64: 0 };
        Ok(Waiter { epoll, events: vec![none; EVENTS_MAX], spin })
    }

    /// Watches a descriptor.
    pub fn watch(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, interest)
    }

    /// Watches a descriptor both ways, and tells of each change once (edge-triggered): until then
    /// reads and writes are tried, and a read or write that would block is the sign to wait.
    pub fn watch_edges(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let events = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
        self.apply(libc::EPOLL_CTL_ADD, fd, token, events)
    }

    /// Changes how long before an exact time it begins to spin.
    pub fn set_spin(&mut self, spin: Duration) {
        self.spin = spin;
    }

    /// Changes what is waited for.
    pub fn change(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, interest)
    }

    /// Watches a descriptor no more.
    pub fn forget(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Interest::default())
    }

    /// Waits until a descriptor has something or the time has come. `ready` is emptied first.
    pub fn wait(
        &mut self,
        clock: &Clock,
        until: Option<Instant>,
        ready: &mut Vec<Ready>,
    ) -> io::Result<()> {
        ready.clear();
        let left = until.map(|until| until.since(clock.now()));
        self.collect(left.map(|left| left.saturating_sub(self.spin)), ready)?;
        let Some(until) = until else { return Ok(()) };
        while ready.is_empty() {
            let left = until.since(clock.now());
            if left.is_zero() {
                return Ok(());
            }
            if left > self.spin {
                // A signal ended the sleep: sleep on.
                self.collect(Some(left - self.spin), ready)?;
            } else {
                self.collect(Some(Duration::ZERO), ready)?;
            }
        }
        Ok(())
    }

    /// One look at the descriptors, asleep for `span` at most: for ever, if absent.
    fn collect(&mut self, span: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let span = span.map(|span| libc::timespec {
            tv_sec: span.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(span.subsec_nanos() as i32),
        });
        let span = span.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the events are ours and as many as said; the span lives until the call returns.
        let count = unsafe {
            libc::epoll_pwait2(
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS_MAX as i32,
                span,
                std::ptr::null(),
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        let failed = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
        let read = (libc::EPOLLIN | libc::EPOLLRDHUP) as u32 | failed;
        let write = libc::EPOLLOUT as u32 | failed;
        ready.extend(self.events.iter().take(count as usize).map(|event| Ready {
            token: event.u64,
            read: event.events & read != 0,
            write: event.events & write != 0,
            failed: event.events & failed != 0,
        }));
        Ok(())
    }

    fn control(
        &self,
        action: libc::c_int,
        fd: BorrowedFd<'_>,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        let mut events = 0;
        if interest.read {
            events |= (libc::EPOLLIN | libc::EPOLLRDHUP) as u32;
        }
        if interest.write {
            events |= libc::EPOLLOUT as u32;
        }
        self.apply(action, fd, token, events)
    }

    fn apply(
        &self,
        action: libc::c_int,
        fd: BorrowedFd<'_>,
        token: u64,
        events: u32,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: both descriptors are open while they are borrowed, the event is ours.
        let result = unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), action, fd.as_raw_fd(), &raw mut event)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

const EVENTS_MAX: usize = 256;
