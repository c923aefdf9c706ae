//! The driver's end of a capture: pages that are filled on its thread and never waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use weir_link::Passage;
use weir_time::Instant;

use super::page;
use crate::links::{LinkIndex, Wire};

/// What the driver's thread holds: the capture that goes on, if one does.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    slot: Arc<Slot>,
    feed: Option<Feed>,
}

/// Where a capture is put that is to begin, by any thread.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    is_new: AtomicBool,
    next: Mutex<Option<Feed>>,
}

impl Slot {
    /// From the driver's next packet on, `feed` gets all; what got it before has its end.
    pub(super) fn put(&self, feed: Option<Feed>) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = feed;
        self.is_new.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<Feed> {
        self.is_new.store(false, Ordering::Release);
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Feeds {
    pub(crate) fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.slot)
    }

    /// Whether there is anything to do for a packet.
    pub(crate) fn are_on(&self) -> bool {
        self.feed.is_some() || self.slot.is_new.load(Ordering::Relaxed)
    }

    pub(crate) fn entered(&mut self, lane: usize, index: u64, at: Instant, packet: &dyn Wire) {
        self.renew();
        self.with(|feed| feed.entered(lane, index, at, packet));
    }

    pub(crate) fn passed(&mut self, lane: usize, passage: &Passage) {
        self.with(|feed| feed.passed(lane, passage));
    }

    pub(crate) fn left(&mut self, lane: usize, index: u64, due: Instant, at: Instant) {
        self.with(|feed| feed.left(lane, index, due, at));
    }

    /// Hands on what there is: nothing may come for long.
    pub(crate) fn tick(&mut self, at: Instant) {
        self.renew();
        self.with(|feed| feed.turn(at));
    }

    fn renew(&mut self) {
        if self.slot.is_new.load(Ordering::Acquire) {
            self.feed = self.slot.take();
        }
    }

    /// A feed whose reader has given up is dropped.
    fn with(&mut self, act: impl FnOnce(&mut Feed)) {
        if let Some(feed) = &mut self.feed {
            act(feed);
            if feed.is_over {
                self.feed = None;
            }
        }
    }
}

/// Fills pages for one capture.
#[derive(Debug)]
pub(crate) struct Feed {
    /// One link alone, or all.
    link: Option<LinkIndex>,
    bytes_max: usize,
    page: Vec<u8>,
    began: Instant,
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    /// Packets that found no room since the last page.
    missed: u64,
    is_over: bool,
}

impl Feed {
    /// A feed, where its pages come out, and where empty ones go back.
    pub(super) fn new(
        link: Option<LinkIndex>,
        bytes_max: usize,
    ) -> (Feed, Receiver<Vec<u8>>, SyncSender<Vec<u8>>) {
        let (full, filled) = sync_channel(PAGES);
        let (emptied, empty) = sync_channel(PAGES);
        for _ in 1..PAGES {
            // There is room for all of them.
            let _ = emptied.try_send(Vec::with_capacity(PAGE_BYTES));
        }
        let bytes_max = bytes_max.clamp(1, PACKET_BYTES_MAX);
        let page = Vec::with_capacity(PAGE_BYTES);
        let began = Instant::ZERO;
        let feed = Feed { link, bytes_max, page, began, full, empty, missed: 0, is_over: false };
        (feed, filled, emptied)
    }

    fn entered(&mut self, lane: usize, index: u64, at: Instant, packet: &dyn Wire) {
        let room = page::EVENT_BYTES_MAX + self.bytes_max.min(packet.ip_bytes() as usize);
        if !self.wants(lane) || !self.has_room(room, at) {
            return;
        }
        page::entered(&mut self.page, lane, index, at, packet, self.bytes_max);
    }

    fn passed(&mut self, lane: usize, passage: &Passage) {
        if self.wants(lane) && self.has_room(page::EVENT_BYTES_MAX, passage.entered) {
            page::passed(&mut self.page, lane, passage);
        }
    }

    fn left(&mut self, lane: usize, index: u64, due: Instant, at: Instant) {
        if self.wants(lane) && self.has_room(page::EVENT_BYTES_MAX, at) {
            page::left(&mut self.page, lane, index, due, at);
        }
    }

    fn wants(&self, lane: usize) -> bool {
        self.link.is_none_or(|link| link.0 == lane / 2)
    }

    /// Whether so many bytes fit into the page, or into a next one. What does not fit is missed.
    fn has_room(&mut self, bytes: usize, at: Instant) -> bool {
        if self.page.is_empty() {
            self.began = at;
        }
        let is_full = self.page.len() + bytes + page::EVENT_BYTES_MAX > PAGE_BYTES;
        if (is_full || at.since(self.began) > PAGE_SPAN) && !self.page.is_empty() {
            self.turn(at);
            if is_full && !self.page.is_empty() {
                self.missed += 1;
                return false;
            }
        }
        true
    }

    /// Hands the page on, if there is an empty one to go on with.
    fn turn(&mut self, at: Instant) {
        if self.page.is_empty() {
            return;
        }
        let Ok(next) = self.empty.try_recv() else { return };
        let page = std::mem::replace(&mut self.page, next);
        self.page.clear();
        self.began = at;
        // There are as many pages as fit.
        self.is_over = self.full.try_send(page).is_err();
        if self.missed > 0 {
            page::missed(&mut self.page, self.missed);
            self.missed = 0;
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if !self.page.is_empty() {
            // The last page needs no next one.
            let _ = self.full.try_send(std::mem::take(&mut self.page));
        }
    }
}

/// At 1 Gbit/s a page is full in 2 ms, and all of them in 130 ms: so long the disk may take.
const PAGES: usize = 64;
const PAGE_BYTES: usize = 256 << 10;
const PAGE_SPAN: Duration = Duration::from_millis(100);
/// The longest IP packet.
const PACKET_BYTES_MAX: usize = 65_535;
