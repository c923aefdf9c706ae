//! Threads with a loop of their own: the delivery shards.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::thread;

use weir_time::Instant;

use super::blocking::Blocking;
use super::reactor::{Reactor, Registration};
use super::{check, monotonic_now};
use crate::exec::{Clock, Executor, Ready, Timers};
use crate::host::{Body, Host, ShardBody, ShardHandle};

/// How the threads are started.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How many delivery shards; `None` for one a core. The first is the calling thread.
    pub shards: Option<usize>,
}

/// Runs `main` on this thread, which is the first shard, with the other shards beside it;
/// returns when `main` does. The other shards are then told to stop and are waited for.
///
/// Ctrl-C and SIGTERM no longer end the program by themselves: `main` waits for
/// [`Host::shutdown_requested`].
///
/// # Errors
/// When the system gives no epoll, no thread or no signal descriptor.
pub fn run<T, F: Future<Output = T> + 'static>(
    settings: &Settings,
    main: impl FnOnce(Host) -> F,
) -> io::Result<T>
where
    T: 'static,
{
    block_signals()?;
    raise_file_limit();
    share_one_arena();
    let count = settings
        .shards
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
        .max(1);
    let shared = Arc::new(Shared { remotes: OnceLock::new(), blocking: Blocking::default() });
    let first = Thread::new(&shared)?;
    let mut remotes = vec![first.remote()];
    let mut threads = Vec::new();
    for index in 1..count {
        let (sender, receiver) = std::sync::mpsc::channel();
        let shared = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name(format!("weir-shard-{index}")).spawn(move || {
                let thread = match Thread::new(&shared) {
                    Ok(thread) => thread,
                    Err(error) => return drop(sender.send(Err(error))),
                };
                if sender.send(Ok(thread.remote())).is_ok() {
                    thread.run_until_stopped();
                }
            })?;
        remotes.push(receiver.recv().map_err(io::Error::other)??);
        threads.push(thread);
    }
    let others: Vec<Remote> = remotes[1..].to_vec();
    shared.remotes.set(remotes).unwrap_or_else(|_| unreachable!("set in this place alone"));

    let out = first.run_main(main);
    for remote in others {
        remote.stop();
    }
    for thread in threads {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
    out
}

/// Rounds of tasks after which sockets are looked at without sleeping.
const ROUNDS_MAX: u32 = 16;

/// What the threads of one program share.
struct Shared {
    remotes: OnceLock<Vec<Remote>>,
    blocking: Blocking,
}

/// One thread: executor, reactor and clock.
pub(crate) struct Thread {
    pub(crate) executor: Executor,
    pub(crate) reactor: Rc<Reactor>,
    wake: Registration,
    wake_fd: Arc<OwnedFd>,
    shared: Arc<Shared>,
    stopped: std::cell::Cell<bool>,
}

/// Reaches a thread from the others.
#[derive(Clone)]
pub(crate) struct Remote {
    ready: Arc<Ready>,
}

thread_local! {
    /// The host of the thread that runs, for work that comes from others.
    static CURRENT: RefCell<Option<Rc<Thread>>> = const { RefCell::new(None) };
}

impl Thread {
    fn new(shared: &Arc<Shared>) -> io::Result<Rc<Self>> {
        precise_timers();
        let reactor = Rc::new(Reactor::new()?);
        // SAFETY: a plain call; its result is checked and owned at once.
        let wake_fd = Arc::new(unsafe {
            OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?)
        });
        let wake = reactor.register(wake_fd.as_raw_fd())?;
        let unpark = Arc::clone(&wake_fd);
        let executor = Executor::new(Some(Box::new(move || {
            let one = 1u64.to_ne_bytes();
            // SAFETY: the descriptor is open and the buffer valid. A full counter wakes as well.
            unsafe { libc::write(unpark.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        })));
        let thread = Rc::new(Thread {
            executor,
            reactor,
            wake,
            wake_fd,
            shared: Arc::clone(shared),
            stopped: std::cell::Cell::new(false),
        });
        Ok(thread)
    }

    fn remote(&self) -> Remote {
        Remote { ready: Arc::clone(self.executor.ready()) }
    }

    pub(crate) fn shards(&self) -> Vec<ShardHandle> {
        let remotes = self.shared.remotes.get().map_or(&[][..], Vec::as_slice);
        remotes.iter().map(|remote| ShardHandle { body: ShardBody::Os(remote.clone()) }).collect()
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.shared.blocking.run(work).await
    }

    /// Waits for SIGINT or SIGTERM.
    pub(crate) async fn shutdown_requested(self: &Rc<Self>) {
        // Should the system refuse the descriptor, the program still ends by SIGKILL alone; the
        // same would be true of a program that ignores the signals.
        let Ok(fd) = signal_fd() else {
            return std::future::pending().await;
        };
        let Ok(registration) = self.reactor.register(fd.as_raw_fd()) else {
            return std::future::pending().await;
        };
        let _ = std::future::poll_fn(|cx| {
            registration.poll_read(cx, |fd| {
                let mut info = [0u8; 128];
                // SAFETY: the buffer is valid for its length.
                super::check_len(unsafe { libc::read(fd, info.as_mut_ptr().cast(), info.len()) })
            })
        })
        .await;
    }

    fn run_main<T: 'static, F: Future<Output = T> + 'static>(
        self: Rc<Self>,
        main: impl FnOnce(Host) -> F,
    ) -> io::Result<T> {
        let out: Rc<RefCell<Option<T>>> = Rc::default();
        let slot = Rc::clone(&out);
        let future = main(Host { body: Body::Os(Rc::clone(&self)) });
        self.executor.spawn(async move {
            let value = future.await;
            *slot.borrow_mut() = Some(value);
        });
        self.enter();
        let ran = self.run_while(|| out.borrow().is_none());
        self.leave();
        ran?;
        let value = out.borrow_mut().take();
        Ok(value.expect("the loop runs until there is a value"))
    }

    fn run_until_stopped(self: Rc<Self>) {
        self.enter();
        if let Err(error) = self.run_while(|| !self.stopped.get()) {
            tracing::error!(%error, "a delivery shard has stopped");
        }
        self.leave();
    }

    fn enter(self: &Rc<Self>) {
        CURRENT.with_borrow_mut(|current| *current = Some(Rc::clone(self)));
    }

    fn leave(&self) {
        self.executor.clear();
        CURRENT.with_borrow_mut(|current| *current = None);
    }

    fn run_while(&self, more: impl Fn() -> bool) -> io::Result<()> {
        let mut rounds = 0;
        while more() {
            self.executor.timers.fire(monotonic_now());
            if self.executor.run_ready() {
                rounds += 1;
                if rounds >= ROUNDS_MAX {
                    // However busy the tasks are, sockets get their turn.
                    rounds = 0;
                    self.reactor.wait(Some(Instant::ZERO))?;
                }
            } else if self.executor.ready().prepare_sleep() {
                rounds = 0;
                let waited = self.reactor.wait(self.executor.timers.next_due());
                self.executor.ready().awake();
                self.drain_wake();
                waited?;
            }
        }
        Ok(())
    }

    fn drain_wake(&self) {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = self.wake.poll_read(&mut cx, |_| {
            let mut count = [0u8; 8];
            // SAFETY: the descriptor is open and the buffer valid for its length.
            super::check_len(unsafe {
                libc::read(self.wake_fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len())
            })
        });
    }
}

impl Clock for Thread {
    fn now(&self) -> Instant {
        monotonic_now()
    }

    fn timers(&self) -> &Timers {
        &self.executor.timers
    }
}

impl Remote {
    /// Starts a task on the thread.
    pub(crate) fn spawn<F: Future<Output = ()> + 'static>(
        &self,
        work: impl FnOnce(Host) -> F + Send + 'static,
    ) {
        self.ready.inject(Box::new(move || {
            let thread = CURRENT.with_borrow(Clone::clone);
            // A thread that has stopped drops what still comes for it.
            if let Some(thread) = thread {
                let host = Host { body: Body::Os(Rc::clone(&thread)) };
                thread.executor.spawn(work(host));
            }
        }));
    }

    fn stop(&self) {
        self.ready.inject(Box::new(|| {
            if let Some(thread) = CURRENT.with_borrow(Clone::clone) {
                thread.stopped.set(true);
            }
        }));
    }
}

/// Has all threads allocate from one arena. What is read on one thread is freed on another, and
/// with an arena for each thread a third of the memory of a full cache lies idle. Shards do not
/// allocate where it would be waited for.
fn share_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it changes a setting of the allocator, under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Lets the program open as many files as the system allows: a viewer is one. Where that is
/// refused, the old limit stays.
fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is valid for the calls to fill in and to read.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Timers fire when they are due: by default the kernel may add 50 microseconds.
fn precise_timers() {
    // SAFETY: a plain call with integer arguments; a refusal only costs precision.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1usize) };
}

fn shutdown_signals() -> libc::sigset_t {
    // SAFETY: the set is initialised by sigemptyset before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGINT);
        libc::sigaddset(&mut set, libc::SIGTERM);
        set
    }
}

fn block_signals() -> io::Result<()> {
    // SAFETY: the set is valid, and no old set is asked for.
    let failed = unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, &shutdown_signals(), std::ptr::null_mut())
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(failed)) }
}

fn signal_fd() -> io::Result<OwnedFd> {
    // SAFETY: the set is valid; the new descriptor is checked and owned at once.
    unsafe {
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        let fd = check(libc::signalfd(-1, &shutdown_signals(), flags))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}
