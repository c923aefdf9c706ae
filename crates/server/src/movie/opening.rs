//! One at a time opens a movie, however many ask for it at once.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Movies that are being opened, by the versions of their files, and who waits for each. Those of
/// a format without an index are read as a whole for that: once, and not once for each viewer.
#[derive(Default)]
pub(crate) struct Opening {
    waiting: Mutex<BTreeMap<u64, Vec<Waker>>>,
}

/// The right to open a movie; whoever waits for it goes on when this is dropped.
pub(crate) struct Turn<'a> {
    opening: &'a Opening,
    identity: u64,
}

impl Opening {
    /// Waits until nobody else opens this version of a file. It may be there by then.
    pub(crate) async fn turn(&self, identity: u64) -> Turn<'_> {
        poll_fn(|cx| {
            let mut all = self.lock();
            if let Some(waiting) = all.get_mut(&identity) {
                waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            // Under the same lock: shards on other threads wake at once.
            all.insert(identity, Vec::new());
            Poll::Ready(())
        })
        .await;
        Turn { opening: self, identity }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<Waker>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let waiting = self.opening.lock().remove(&self.identity);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}
