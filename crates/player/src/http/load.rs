//! Fetches one rendition, as far ahead as is wanted.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use weir_dial::http::Client;
use weir_media::MediaTime;
use weir_net::{Doorbell, Host};

use super::source::{Feed, Piece};

/// What the loaders and the player share.
#[derive(Default)]
pub(super) struct Shared {
    inbox: RefCell<VecDeque<Message>>,
    /// Rung when there is a message.
    pub(super) bell: Doorbell,
    pub(super) demands: Vec<Demand>,
}

/// What the player wants of a loader.
#[derive(Default)]
pub(super) struct Demand {
    /// The next piece is wanted.
    wanted: Cell<bool>,
    seek: Cell<Option<MediaTime>>,
    is_over: Cell<bool>,
    /// Pieces of before the last seek are passed over.
    generation: Cell<u64>,
    bell: Doorbell,
}

/// What a loader says.
pub(super) struct Message {
    pub(super) feed: usize,
    pub(super) generation: u64,
    pub(super) what: Loaded,
}

pub(super) enum Loaded {
    Piece(Box<Piece>),
    Ended,
    /// It is tried again.
    Warning(String),
    Failed(String),
}

/// How often a fetch that failed is tried again.
const TRIES_MAX: u32 = 5;
const RETRY: Duration = Duration::from_secs(1);

impl Shared {
    pub(super) fn new(feeds: usize) -> Rc<Self> {
        let demands = (0..feeds).map(|_| Demand::default()).collect();
        Rc::new(Shared { demands, ..Shared::default() })
    }

    pub(super) fn take(&self) -> Option<Message> {
        self.inbox.borrow_mut().pop_front()
    }

    /// The pieces that wait are one for each loader at most: it goes on only when asked to.
    fn put(&self, message: Message) {
        self.inbox.borrow_mut().push_back(message);
        self.bell.ring(0);
    }
}

impl Demand {
    /// Asks for one piece more.
    pub(super) fn want(&self) {
        if !self.wanted.replace(true) {
            self.bell.ring(0);
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.get()
    }

    pub(super) fn seek(&self, to: MediaTime) {
        self.seek.set(Some(to));
        self.generation.set(self.generation.get() + 1);
        self.bell.ring(0);
    }

    pub(super) fn finish(&self) {
        self.is_over.set(true);
        self.bell.ring(0);
    }
}

/// Fetches until the player is over.
pub(super) async fn load(
    host: Host,
    mut client: Client,
    mut feed: Feed,
    shared: Rc<Shared>,
    number: usize,
) {
    let Some(demand) = shared.demands.get(number) else {
        return;
    };
    let mut tries = 0;
    let mut keys = Vec::new();
    let mut has_ended = false;
    while !demand.is_over.get() {
        if let Some(to) = demand.seek.take() {
            feed.seek(to);
            has_ended = false;
        }
        if !demand.wanted.get() || has_ended {
            keys.clear();
            demand.bell.rung(&mut keys).await;
            continue;
        }
        let generation = demand.generation.get();
        let what = match feed.next(&host, &mut client).await {
            Ok(Some(piece)) => {
                tries = 0;
                demand.wanted.set(false);
                Loaded::Piece(Box::new(piece))
            }
            Ok(None) => {
                has_ended = true;
                Loaded::Ended
            }
            Err(failed) if failed.is_passing() && tries + 1 < TRIES_MAX => {
                tries += 1;
                let text = format!("{failed}; it is tried again ({tries} of {TRIES_MAX})");
                shared.put(Message { feed: number, generation, what: Loaded::Warning(text) });
                host.sleep(RETRY).await;
                continue;
            }
            Err(failed) => {
                has_ended = true;
                Loaded::Failed(failed.to_string())
            }
        };
        shared.put(Message { feed: number, generation, what });
    }
}
