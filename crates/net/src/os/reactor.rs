//! Readiness of descriptors: one epoll for each thread, edge-triggered.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use weir_time::Instant;

use super::{check, monotonic_now};
use crate::Doorbell;

/// Waits for descriptors and gives out readiness.
pub(crate) struct Reactor {
    epoll: OwnedFd,
    sources: RefCell<Vec<Option<Rc<Source>>>>,
    free: RefCell<Vec<usize>>,
    events: RefCell<Vec<libc::epoll_event>>,
    has_pwait2: Cell<bool>,
}

/// One watched descriptor.
pub(crate) struct Source {
    fd: RawFd,
    readable: Cell<bool>,
    writable: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Writer>,
}

#[derive(Default)]
enum Writer {
    #[default]
    Nobody,
    Task(Waker),
    Bell(Doorbell, u64),
}

/// A descriptor's registration; ends with the value.
pub(crate) struct Registration {
    source: Rc<Source>,
    reactor: Weak<Reactor>,
    token: usize,
}

const EVENTS_MAX: usize = 512;

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: a plain call; its result is checked and owned at once.
        let epoll = unsafe {
            let fd = check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?;
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Reactor {
            epoll,
            sources: RefCell::default(),
            free: RefCell::default(),
            events: RefCell::new(Vec::with_capacity(EVENTS_MAX)),
            has_pwait2: Cell::new(true),
        })
    }

    /// Watches `fd`, which the caller keeps open as long as the registration lives.
    pub(crate) fn register(self: &Rc<Self>, fd: RawFd) -> io::Result<Registration> {
        let token = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut sources = self.sources.borrow_mut();
            sources.push(None);
            sources.len() - 1
        });
        let interest = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: interest as u32, u64: token as u64 };
        // SAFETY: both descriptors are open and the event is valid for the call.
        let added = check(unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event)
        });
        if let Err(error) = added {
            self.free.borrow_mut().push(token);
            return Err(error);
        }
        let source = Rc::new(Source {
            fd,
            readable: Cell::new(true),
            writable: Cell::new(true),
            reader: RefCell::default(),
            writer: RefCell::default(),
        });
        self.sources.borrow_mut()[token] = Some(Rc::clone(&source));
        Ok(Registration { source, reactor: Rc::downgrade(self), token })
    }

    /// Waits until a descriptor is ready or `until` has come, and wakes who waited for it.
    /// `Instant::ZERO` looks without waiting.
    pub(crate) fn wait(&self, until: Option<Instant>) -> io::Result<()> {
        let mut events = self.events.borrow_mut();
        let count = match self.epoll_wait(&mut events, until) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        // SAFETY: the kernel has filled in `count` events, at most the capacity.
        unsafe { events.set_len(count) };
        for event in events.iter() {
            let token = event.u64 as usize;
            let source = self.sources.borrow().get(token).and_then(Clone::clone);
            if let Some(source) = source {
                source.mark(event.events as i32);
            }
        }
        Ok(())
    }

    fn epoll_wait(
        &self,
        events: &mut Vec<libc::epoll_event>,
        until: Option<Instant>,
    ) -> io::Result<usize> {
        let span_nanos = until.map(|at| at.as_nanos().saturating_sub(monotonic_now().as_nanos()));
        if self.has_pwait2.get() {
            let timeout = span_nanos.map(|nanos| libc::timespec {
                tv_sec: (nanos / 1_000_000_000).min(1 << 31) as libc::time_t,
                tv_nsec: (nanos % 1_000_000_000) as libc::c_long,
            });
            let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: the buffer is valid for its capacity, the timeout is null or valid.
            let count = unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    self.epoll.as_raw_fd(),
                    events.as_mut_ptr(),
                    EVENTS_MAX as libc::c_int,
                    timeout,
                    std::ptr::null::<libc::sigset_t>(),
                    0usize,
                )
            };
            match usize::try_from(count) {
                Ok(count) => return Ok(count),
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.raw_os_error() != Some(libc::ENOSYS) {
                        return Err(error);
                    }
                    // Kernels before 5.11 count whole milliseconds.
                    self.has_pwait2.set(false);
                }
            }
        }
        let timeout_ms = span_nanos
            .map_or(-1, |nanos| i32::try_from(nanos.div_ceil(1_000_000)).unwrap_or(i32::MAX));
        // SAFETY: the buffer is valid for its capacity.
        let count = check(unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                events.as_mut_ptr(),
                EVENTS_MAX as libc::c_int,
                timeout_ms,
            )
        })?;
        Ok(count as usize)
    }
}

impl Source {
    fn mark(&self, events: i32) {
        let over = events & (libc::EPOLLHUP | libc::EPOLLERR) != 0;
        if over || events & (libc::EPOLLIN | libc::EPOLLRDHUP) != 0 {
            self.readable.set(true);
            if let Some(waker) = self.reader.borrow_mut().take() {
                waker.wake();
            }
        }
        if over || events & libc::EPOLLOUT != 0 {
            let was_full = !self.writable.replace(true);
            match &mut *self.writer.borrow_mut() {
                Writer::Bell(bell, key) if was_full || over => bell.ring(*key),
                writer @ Writer::Task(_) => {
                    if let Writer::Task(waker) = std::mem::take(writer) {
                        waker.wake();
                    }
                }
                Writer::Bell(..) | Writer::Nobody => {}
            }
        }
    }
}

impl Registration {
    /// Tries `read` when the descriptor may be readable, and waits when it is not.
    pub(crate) fn poll_read<T>(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(RawFd) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        while self.source.readable.get() {
            match read(self.source.fd) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.source.readable.set(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
        *self.source.reader.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Tries `write`; remembers when the descriptor is full.
    pub(crate) fn try_write<T>(
        &self,
        mut write: impl FnMut(RawFd) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match write(self.source.fd) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.note_full();
                    return Err(error);
                }
                done => return done,
            }
        }
    }

    /// Remembers that the descriptor took nothing, or less than all.
    pub(crate) fn note_full(&self) {
        self.source.writable.set(false);
    }

    /// Waits until the descriptor may take more.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.source.writable.get() {
            return Poll::Ready(());
        }
        *self.source.writer.borrow_mut() = Writer::Task(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn ring_when_writable(&self, bell: &Doorbell, key: u64) {
        *self.source.writer.borrow_mut() = Writer::Bell(bell.clone(), key);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(reactor) = self.reactor.upgrade() else {
            return;
        };
        // SAFETY: the caller keeps the descriptor open as long as the registration.
        unsafe {
            libc::epoll_ctl(
                reactor.epoll.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                self.source.fd,
                std::ptr::null_mut(),
            );
        }
        reactor.sources.borrow_mut()[self.token] = None;
        reactor.free.borrow_mut().push(self.token);
    }
}
