//! Doorbells: many sources wake one task and say which of them they were.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Wakes one waiting task and tells it the keys that were rung, in ascending order.
///
/// A delivery shard has one: streams ring it when a frame is due, sockets when they can take
/// more. A key that was rung and not yet heard is kept once, so the doorbell holds at most one
/// entry for each key in use.
#[derive(Clone, Default)]
pub struct Doorbell {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rung: BTreeSet<u64>,
    waker: Option<Waker>,
}

impl Doorbell {
    /// A doorbell that nobody has rung.
    pub fn new() -> Self {
        Doorbell::default()
    }

    /// Rings with `key`, from any thread.
    pub fn ring(&self, key: u64) {
        let mut state = self.lock();
        state.rung.insert(key);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether both are handles of one doorbell.
    pub fn same(&self, other: &Doorbell) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }

    /// Waits until somebody rings, and moves the keys into `keys` (cleared first).
    pub async fn rung(&self, keys: &mut Vec<u64>) {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.rung.is_empty() {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            keys.clear();
            keys.extend(std::mem::take(&mut state.rung));
            Poll::Ready(())
        })
        .await;
    }

    /// The keys that were rung, if any, without waiting.
    pub fn take(&self, keys: &mut Vec<u64>) {
        keys.clear();
        keys.extend(std::mem::take(&mut self.lock().rung));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
