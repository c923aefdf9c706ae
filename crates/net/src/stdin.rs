//! Standard input, read away from the loop: keys of a terminal, or what a pipe brings.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::Host;
use crate::host::Body;

/// The program's standard input.
///
/// A thread reads it into a bounded mailbox and waits while that is full. If it is a terminal
/// that the program stands in the foreground of, keys come one by one and are not echoed, from
/// the opening on until this is dropped; Ctrl-C and Ctrl-Z keep their meaning. The terminal is
/// put back as it was when this is dropped, and before a panic is told.
///
/// Open it once in a program: bytes that were read and not taken are lost with it.
pub struct StandardInput {
    shared: Arc<Shared>,
    is_terminal: bool,
}

#[derive(Default)]
struct Shared {
    mailbox: Mutex<Mailbox>,
    /// Told when there is room in the mailbox, and when nobody reads it any more.
    taken: Condvar,
}

#[derive(Default)]
struct Mailbox {
    chunks: VecDeque<Vec<u8>>,
    ended: bool,
    /// Nobody takes chunks any more.
    closed: bool,
    waker: Option<Waker>,
}

/// Chunks that wait to be taken.
const CHUNKS_MAX: usize = 16;
const CHUNK_BYTES: usize = 4_096;
/// How often a program in the background looks whether it has the terminal again.
const BACKGROUND_PERIOD: Duration = Duration::from_millis(200);

impl Host {
    /// Opens standard input. In a simulation it is at its end.
    pub fn standard_input(&self) -> StandardInput {
        match &self.body {
            Body::Os(_) => StandardInput::open(),
            Body::Sim(_) => StandardInput::ended(),
        }
    }
}

impl StandardInput {
    fn open() -> Self {
        let shared = Arc::new(Shared::default());
        let reader = Arc::clone(&shared);
        let is_terminal = take_terminal();
        let started =
            thread::Builder::new().name("weir-stdin".into()).spawn(move || reader.read_on());
        if started.is_err() {
            shared.lock().ended = true;
        }
        StandardInput { shared, is_terminal }
    }

    fn ended() -> Self {
        let shared = Shared::default();
        shared.lock().ended = true;
        StandardInput { shared: shared.into(), is_terminal: false }
    }

    /// Whether keys come one by one from a terminal.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// The next bytes, at least one; `None` at the end. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        poll_fn(|cx| {
            let mut mailbox = self.shared.lock();
            if let Some(chunk) = mailbox.chunks.pop_front() {
                self.shared.taken.notify_one();
                return Poll::Ready(Some(chunk));
            }
            if mailbox.ended {
                return Poll::Ready(None);
            }
            mailbox.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for StandardInput {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.taken.notify_one();
        if self.is_terminal {
            restore_terminal();
        }
    }
}

impl fmt::Debug for StandardInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandardInput").field("is_terminal", &self.is_terminal).finish()
    }
}

impl Shared {
    /// Reads until the end, or until nobody takes any more.
    fn read_on(&self) {
        // A program in the background that reads a terminal is stopped by this signal, unless it
        // is blocked: then the read fails.
        block_signal(libc::SIGTTIN);
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            // SAFETY: the buffer is valid for its length; standard input may be closed, which is
            // an error of the call.
            let read = super::os::check_len(unsafe {
                libc::read(libc::STDIN_FILENO, chunk.as_mut_ptr().cast(), chunk.len())
            });
            match read {
                Ok(0) => return self.end(),
                Ok(count) => {
                    chunk.truncate(count);
                    if !self.put(chunk) {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_readable(),
                Err(_) if is_background() => thread::sleep(BACKGROUND_PERIOD),
                Err(_) => return self.end(),
            }
            if self.lock().closed {
                return;
            }
        }
    }

    /// Waits for room; whether anybody still takes chunks.
    fn put(&self, chunk: Vec<u8>) -> bool {
        let mut mailbox = self.lock();
        while mailbox.chunks.len() >= CHUNKS_MAX && !mailbox.closed {
            mailbox = self.taken.wait(mailbox).unwrap_or_else(PoisonError::into_inner);
        }
        if mailbox.closed {
            return false;
        }
        mailbox.chunks.push_back(chunk);
        wake(mailbox);
        true
    }

    fn end(&self) {
        let mut mailbox = self.lock();
        mailbox.ended = true;
        wake(mailbox);
    }

    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes who waits, once the mailbox is free again.
fn wake(mut mailbox: MutexGuard<'_, Mailbox>) {
    let waker = mailbox.waker.take();
    drop(mailbox);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// How the terminal was before keys were read one by one.
static BEFORE: Mutex<Option<libc::termios>> = Mutex::new(None);

/// Makes the terminal give keys one by one, if standard input is one and is this program's to
/// read; whether it is.
fn take_terminal() -> bool {
    // SAFETY: plain calls; a descriptor that is no terminal gives errors.
    let is_ours = unsafe { libc::isatty(libc::STDIN_FILENO) } == 1 && !is_background();
    if !is_ours {
        return false;
    }
    // SAFETY: all zeroes is a valid termios for the call to fill in.
    let mut modes: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: `modes` is valid for the call to fill in.
    if unsafe { libc::tcgetattr(libc::STDIN_FILENO, &mut modes) } != 0 {
        return false;
    }
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(modes);
    modes.c_lflag &= !(libc::ICANON | libc::ECHO);
    modes.c_cc[libc::VMIN] = 1;
    modes.c_cc[libc::VTIME] = 0;
    // SAFETY: `modes` is valid and stays so over the call.
    if unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &modes) } != 0 {
        return false;
    }
    restore_before_panics();
    true
}

/// Puts the terminal back as it was. In the background it is left alone: it is others' then.
fn restore_terminal() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(modes) = before.filter(|_| !is_background()) {
        // SAFETY: `modes` is what the system gave before.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &modes) };
    }
}

/// A panic is told on a terminal as it was before; what it ends may never be dropped.
fn restore_before_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore_terminal();
            before(panic);
        }));
    });
}

/// Whether standard input is a terminal that another group of programs has.
fn is_background() -> bool {
    // SAFETY: plain calls without memory.
    let (foreground, own) = unsafe { (libc::tcgetpgrp(libc::STDIN_FILENO), libc::getpgrp()) };
    foreground >= 0 && foreground != own
}

fn wait_readable() {
    let mut wanted = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid entry; whatever it says, the next read tells more.
    unsafe { libc::poll(&mut wanted, 1, -1) };
}

fn block_signal(signal: libc::c_int) {
    // SAFETY: the set is initialised by sigemptyset before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}

/// How many columns the terminal has that standard error goes to; `None` if it goes elsewhere.
pub fn terminal_columns() -> Option<u16> {
    // SAFETY: all zeroes is a valid winsize, and the call fills it in.
    let (done, size) = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        (libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, &mut size), size)
    };
    (done == 0 && size.ws_col > 0).then_some(size.ws_col)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::World;

    #[test]
    fn in_a_simulation_standard_input_is_at_its_end() {
        let world = World::new(1);
        let host = world.host("alone");
        let ended = world.run(async move { host.standard_input().next().await.is_none() });
        assert_eq!(ended, Some(true));
    }

    #[test]
    fn a_full_mailbox_makes_the_reader_wait_and_a_closed_one_ends_it() {
        let shared = Arc::new(Shared::default());
        for _ in 0..CHUNKS_MAX {
            assert!(shared.put(vec![1]));
        }
        let writer = Arc::clone(&shared);
        let waiting = thread::spawn(move || writer.put(vec![2]));
        drop(StandardInput { shared: Arc::clone(&shared), is_terminal: false });
        assert!(!waiting.join().expect("it ends"));
        assert_eq!(shared.lock().chunks.len(), CHUNKS_MAX);
    }
}
