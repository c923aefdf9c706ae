//! Delivery shards: one thread each, with its viewers for life.
//!
//! A shard waits on one doorbell, which streams ring when they have something new and sockets
//! when they have room, and on its timers. Then it visits every viewer that is concerned and
//! hands the network one batch.

mod beats;
mod classroom;
mod deliver;
mod feed;
mod outlet;
mod part;
mod reports;
mod slab;
mod state;
mod viewer;
mod watch;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use weir_net::{
    BatchStorage, DetachedTcp, Doorbell, Either, Host, Scratch, TcpStream, UdpSocket, select,
};
use weir_record::Level;
use weir_time::Instant;

use crate::Context;
use crate::sink::http::{self, Asked};
use deliver::Plan;
use outlet::Outlet;
use state::{State, Wishes};

pub(crate) use feed::SOUND_AHEAD;
pub(crate) use viewer::{Target, Viewer, Way};
pub(crate) use watch::{Begun, From, Setup, TrackSetup};

/// How much faster than real time a viewer by UDP that joins a live stream is brought up to it.
const JOIN_SPEED: u32 = 3;
/// Between sender reports (RFC 3550 section 6.2: five seconds at least).
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Between two bursts to one viewer by UDP: a large frame leaves in parts.
const UDP_BURST_GAP: Duration = Duration::from_millis(2);
/// After the system's own queue was full.
const UDP_RETRY: Duration = Duration::from_millis(1);
/// Between the last packet and the good-bye.
const GOODBYE_WAIT: Duration = Duration::from_millis(200);
/// How long the good-bye waits for the end of the last frame.
const LAST_FRAME_WAIT_MAX: Duration = Duration::from_millis(500);
/// What reads of control connections share.
const SCRATCH_BYTES: usize = 16 * 1024;

/// One delivery shard, on its own thread.
pub(crate) struct Shard {
    pub(crate) host: Host,
    pub(crate) context: Arc<Context>,
    pub(crate) mailbox: Mailbox,
    pub(crate) scratch: Scratch,
    pub(crate) http: http::Local,
    udp: Option<Udp>,
    state: RefCell<State>,
    storage: RefCell<BatchStorage>,
    plans: RefCell<Vec<Plan>>,
    /// When streams were last summarised.
    summarised: Cell<Instant>,
}

/// This shard's handles of the port pair that all viewers share.
pub(crate) struct Udp {
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
}

/// Reaches a shard from other threads.
#[derive(Clone)]
pub(crate) struct Mailbox {
    bell: Doorbell,
    letters: Arc<Mutex<VecDeque<Letter>>>,
}

/// What other threads tell a shard.
pub(crate) enum Letter {
    /// A connection is this shard's from now on.
    Connection(Door, DetachedTcp, SocketAddr),
    /// Say whom it serves.
    Viewers(Arc<Asked>),
    /// RTCP came from a viewer.
    Rtcp { viewer: usize, number: u64, data: Bytes, at: Instant },
    /// The server ends: say good-bye to everyone.
    Drain,
    /// Say what is held.
    #[cfg(test)]
    Census(Arc<Mutex<Census>>),
}

/// What a shard holds.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) viewers: usize,
    pub(crate) outlets: usize,
    pub(crate) tallies: usize,
    pub(crate) timers: usize,
    /// Places that viewers and outlets have had at once, and that are used again.
    pub(crate) places: usize,
}

/// The listener that a connection came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Rtsp,
    Http,
}

/// RTCP that waits to be read; beyond it, it is dropped.
const LETTERS_MAX: usize = 4096;

impl Mailbox {
    pub(crate) fn new() -> Self {
        Mailbox { bell: Doorbell::new(), letters: Arc::default() }
    }

    /// Leaves a letter; `false` if too many wait already.
    pub(crate) fn post(&self, letter: Letter) -> bool {
        let mut letters = self.lock();
        if letters.len() >= LETTERS_MAX && !matches!(letter, Letter::Drain) {
            return false;
        }
        letters.push_back(letter);
        drop(letters);
        self.bell.ring(KEY_WAKE);
        true
    }

    fn take(&self) -> VecDeque<Letter> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The doorbell's keys: what rang, and above it the kind.
const KEY_WAKE: u64 = 0;
const KEY_FEED: u64 = 1 << 32;
const KEY_OUTLET: u64 = 2 << 32;

impl Shard {
    pub(crate) fn new(
        host: Host,
        context: Arc<Context>,
        mailbox: Mailbox,
        udp: Option<Udp>,
    ) -> Rc<Self> {
        let state = RefCell::new(State::new(context.records.clone()));
        Rc::new(Shard {
            summarised: Cell::new(host.now()),
            host,
            context,
            mailbox,
            scratch: Scratch::new(SCRATCH_BYTES),
            http: http::Local::new(),
            udp,
            state,
            storage: RefCell::default(),
            plans: RefCell::default(),
        })
    }

    /// Serves for ever. `accept` is called for each connection that is given to this shard.
    pub(crate) async fn run(
        self: Rc<Self>,
        accept: impl Fn(&Rc<Self>, Door, DetachedTcp, SocketAddr),
    ) {
        if self.context.records.wants(Level::Second) {
            self.host.spawn(Rc::clone(&self).summarise());
        }
        let mut keys = Vec::new();
        loop {
            self.wait(&mut keys).await;
            let now = self.host.now();
            for key in keys.drain(..) {
                self.hear(key, now);
            }
            self.state.borrow_mut().fire(now);
            for letter in self.mailbox.take() {
                self.read(letter, &accept);
            }
            while self.state.borrow().has_ready() {
                self.round();
                // Other tasks of the thread get their turn between two rounds.
                self.host.yield_now().await;
            }
        }
    }

    async fn wait(&self, keys: &mut Vec<u64>) {
        let due = self.state.borrow().next_due();
        let rung = self.mailbox.bell.rung(keys);
        match due {
            Some(due) => {
                if let Either::Second(()) = select(rung, self.host.sleep_until(due)).await {}
            }
            None => rung.await,
        }
    }

    fn hear(&self, key: u64, now: Instant) {
        let mut state = self.state.borrow_mut();
        let number = (key & 0xffff_ffff) as usize;
        match key & !0xffff_ffff {
            KEY_FEED => state.advance_feed(number, now),
            KEY_OUTLET => state.outlet_writable(number),
            _ => {}
        }
    }

    fn read(
        self: &Rc<Self>,
        letter: Letter,
        accept: &impl Fn(&Rc<Self>, Door, DetachedTcp, SocketAddr),
    ) {
        match letter {
            Letter::Connection(door, connection, peer) => accept(self, door, connection, peer),
            Letter::Viewers(asked) => asked.answer(self.state.borrow().audience()),
            Letter::Rtcp { viewer, number, data, at } => {
                self.rtcp_from_viewer(viewer, Some(number), &data, at);
            }
            Letter::Drain => self.drain(),
            #[cfg(test)]
            Letter::Census(census) => {
                *census.lock().unwrap_or_else(PoisonError::into_inner) =
                    self.state.borrow().census();
            }
        }
    }

    /// Visits every viewer that is ready, and sends what is due to all of them as one batch.
    fn round(self: &Rc<Self>) {
        let now = self.host.now();
        let mut wishes = Wishes::default();
        let utc = self.host.utc();
        let mut state = self.state.borrow_mut();
        state.set_utc(utc);
        state.prepare(now, &mut wishes);
        drop(state);
        for (viewer, last) in wishes.reports.drain(..) {
            self.send_report(viewer, last);
        }
        let mut storage = self.storage.borrow_mut();
        let mut plans = self.plans.borrow_mut();
        plans.clear();
        let results = {
            let state = self.state.borrow();
            let mut batch = storage.begin();
            let rtp = self.udp.as_ref().map(|udp| &udp.rtp);
            state.gather(&wishes.visits, rtp, &mut batch, &mut plans);
            batch.submit(&self.host)
        };
        let mut state = self.state.borrow_mut();
        state.apply(&plans, results, now);
        for visit in &wishes.visits {
            state.settle(visit.viewer, now);
        }
        drop(state);
        for viewer in wishes.fetches {
            self.fetch(viewer);
        }
    }

    /// Whether viewers can be served by UDP.
    pub(crate) fn has_udp(&self) -> bool {
        self.udp.is_some()
    }

    /// Takes over the writing side of a connection.
    pub(crate) fn add_outlet(&self, stream: &Rc<TcpStream>) -> usize {
        let id = self.state.borrow_mut().outlets.insert(Outlet::new(Rc::clone(stream)));
        stream.ring_when_writable(&self.mailbox.bell, KEY_OUTLET | id as u64);
        id
    }

    /// Sends a message on a connection, between two media messages; `false` if the peer has let
    /// too much wait, or is gone.
    pub(crate) fn send(&self, outlet: usize, message: Bytes) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(out) = state.outlets.get_mut(outlet) else {
            return false;
        };
        if out.failed || !out.push(message) {
            return false;
        }
        out.flush();
        true
    }

    /// Shuts a connection down once all that waits is sent.
    pub(crate) fn close(&self, outlet: usize) {
        if let Some(outlet) = self.state.borrow_mut().outlets.get_mut(outlet) {
            outlet.closing = true;
            outlet.flush();
        }
    }

    /// Whether everything was sent, or never will be.
    pub(crate) fn is_flushed(&self, outlet: usize) -> bool {
        let state = self.state.borrow();
        state.outlets.get(outlet).is_none_or(|out| out.failed || out.waiting_bytes() == 0)
    }

    /// Whether a connection is over.
    pub(crate) fn is_gone(&self, outlet: usize) -> bool {
        self.state.borrow().outlets.get(outlet).is_none_or(|outlet| outlet.failed)
    }

    /// Forgets a connection.
    pub(crate) fn remove_outlet(&self, outlet: usize) {
        self.state.borrow_mut().outlets.remove(outlet);
    }

    /// Says good-bye to every viewer, and ends every connection.
    fn drain(self: &Rc<Self>) {
        let viewers = self.state.borrow().viewers.keys();
        for viewer in viewers {
            self.send_report(viewer, true);
        }
        if self.context.records.wants(Level::Second) {
            self.summarise_until(self.host.now());
        }
        let outlets = self.state.borrow().outlets.keys();
        for outlet in outlets {
            self.close(outlet);
        }
        self.http.drain();
        let shard = Rc::clone(self);
        self.host.spawn(async move {
            while !shard.is_drained() {
                shard.host.sleep(DRAIN_LOOK_INTERVAL).await;
            }
            shard.context.shard_drained();
        });
    }

    /// Whether nothing waits to be sent on any connection.
    fn is_drained(&self) -> bool {
        let state = self.state.borrow();
        let is_sent = state.outlets.iter().all(|(_, out)| out.failed || out.waiting_bytes() == 0);
        is_sent && self.http.is_idle()
    }

    /// Writes a summary of each stream every second.
    async fn summarise(self: Rc<Self>) {
        loop {
            let at = self.summarised.get() + SUMMARY_INTERVAL;
            self.host.sleep_until(at).await;
            self.summarise_until(at);
        }
    }

    fn summarise_until(&self, at: Instant) {
        let span = at.since(self.summarised.replace(at));
        let span_ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.state.borrow_mut().summarise(at, span_ns);
    }
}

/// Between two looks at whether all is sent, when the server ends.
const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(5);
const SUMMARY_INTERVAL: Duration = Duration::from_secs(1);
