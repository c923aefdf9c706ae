//! What a player can be told while it plays.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Something to do while a stream is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Pause, unless that was done before.
    Pause,
    /// Play on from where the pause was made, if there was one.
    Resume,
    /// Play on from another place of the movie.
    Seek(Duration),
    /// Play on from a place so much later.
    Forward(Duration),
    /// Play on from a place so much earlier.
    Back(Duration),
    /// End the session.
    Stop,
}

/// The actions that a player is still to take: a bounded queue, whose handles share one content.
/// One handle stands in the player's settings, another one is filled from keys, by a script or by
/// a test.
///
/// ```
/// use weir_player::{Action, Actions};
///
/// let actions = Actions::new();
/// let keys = actions.clone();
/// assert!(keys.push(Action::Pause));
/// ```
#[derive(Clone, Default)]
pub struct Actions {
    shared: Rc<RefCell<Shared>>,
}

#[derive(Default)]
struct Shared {
    waiting: VecDeque<Action>,
    dropped: u64,
    waker: Option<Waker>,
}

/// Actions that wait to be taken.
pub const ACTIONS_MAX: usize = 64;

impl Actions {
    /// An empty queue.
    pub fn new() -> Self {
        Actions::default()
    }

    /// Adds an action; whether there was room. One that finds none is dropped, and counted.
    pub fn push(&self, action: Action) -> bool {
        let mut shared = self.shared.borrow_mut();
        if action == Action::Stop {
            // What it was to do before has no more sense; and there is always room.
            shared.waiting.clear();
        } else if shared.waiting.len() >= ACTIONS_MAX {
            shared.dropped += 1;
            return false;
        }
        shared.waiting.push_back(action);
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// How many actions were dropped.
    pub fn dropped(&self) -> u64 {
        self.shared.borrow().dropped
    }

    pub(crate) fn pop(&self) -> Option<Action> {
        self.shared.borrow_mut().waiting.pop_front()
    }

    /// Whether it is to stop. All that waits goes.
    pub(crate) fn take_stop(&self) -> bool {
        let mut shared = self.shared.borrow_mut();
        let stops = shared.waiting.contains(&Action::Stop);
        if stops {
            shared.waiting.clear();
        }
        stops
    }

    /// Waits until there is an action: any one, or one that stops.
    pub(crate) async fn wait(&self, any: bool) {
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            if shared.waiting.iter().any(|action| any || *action == Action::Stop) {
                return Poll::Ready(());
            }
            shared.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.shared.borrow().waiting).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts_and_still_takes_a_stop() {
        let actions = Actions::new();
        for _ in 0..ACTIONS_MAX {
            assert!(actions.push(Action::Pause));
        }
        assert!(!actions.push(Action::Resume));
        assert_eq!(actions.dropped(), 1);
        assert!(actions.push(Action::Stop));
        assert!(actions.take_stop());
        assert_eq!(actions.pop(), None);
    }
}
