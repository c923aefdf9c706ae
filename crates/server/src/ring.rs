//! The ring: a live stream's packed frames, shared by all its viewers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weir_media::{KeyKind, MediaTime, TrackId};
use weir_net::Doorbell;
use weir_time::Instant;

/// One frame as a format carries it: never changed, shared by reference.
#[derive(Debug)]
pub(crate) struct Slot<W> {
    pub(crate) track: TrackId,
    /// When it is decoded: what sending is paced by.
    pub(crate) dts: MediaTime,
    pub(crate) pts: MediaTime,
    /// When it is over.
    pub(crate) end: MediaTime,
    /// A viewer can be started here: a key picture, or any sound where there are no pictures.
    pub(crate) starts: bool,
    /// A picture, which sound may wait for.
    pub(crate) picture: bool,
    pub(crate) bytes: usize,
    pub(crate) wire: W,
}

/// How much a ring keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) bytes_max: usize,
    pub(crate) span_max: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { bytes_max: 32 << 20, span_max: Duration::from_secs(6) }
    }
}

/// The newest frames of a stream in one format, in order of decoding.
///
/// It keeps what its bounds allow, and always the newest frame that a viewer can be started at,
/// unless the bytes behind it alone exceed their bound.
pub(crate) struct Ring<W> {
    bounds: Bounds,
    inner: Mutex<Inner<W>>,
}

struct Inner<W> {
    window: Window<W>,
    bytes: usize,
    subscribers: Vec<(Doorbell, u64)>,
}

/// A stretch of a ring: what it held when it was last looked at.
#[derive(Debug)]
pub(crate) struct Window<W> {
    base: u64,
    slots: VecDeque<Arc<Slot<W>>>,
    newest_start: Option<u64>,
    pub(crate) clock: Option<StreamClock>,
    pub(crate) closed: bool,
}

/// Where a stream's time line stands: at `at` it had come to `pts`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamClock {
    pub(crate) at: Instant,
    pub(crate) pts: MediaTime,
}

impl<W> Default for Window<W> {
    fn default() -> Self {
        Window { base: 0, slots: VecDeque::new(), newest_start: None, clock: None, closed: false }
    }
}

impl<W> Window<W> {
    /// The number of the oldest slot that is there.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The number that the next slot will have.
    pub(crate) fn head(&self) -> u64 {
        self.base + self.slots.len() as u64
    }

    /// The slot with this number, if it is there.
    pub(crate) fn get(&self, number: u64) -> Option<&Arc<Slot<W>>> {
        self.slots.get(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    /// The newest slot that a viewer can be started at.
    pub(crate) fn newest_start(&self) -> Option<u64> {
        self.newest_start.filter(|number| *number >= self.base)
    }

    /// Bits a second over all that is there, once that is at least half a second.
    pub(crate) fn bit_rate(&self) -> Option<f64> {
        let (first, last) = (self.slots.front()?, self.slots.back()?);
        let span = (last.dts - first.dts).as_secs_f64();
        let bytes: usize = self.slots.iter().map(|slot| slot.bytes).sum();
        (span >= 0.5).then(|| bytes as f64 * 8.0 / span)
    }

    fn push(&mut self, slot: Arc<Slot<W>>) {
        if slot.starts {
            self.newest_start = Some(self.head());
        }
        self.slots.push_back(slot);
    }
}

impl<W> Ring<W> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let inner = Inner { window: Window::default(), bytes: 0, subscribers: Vec::new() };
        Ring { bounds, inner: Mutex::new(inner) }
    }

    /// Adds the next frames and wakes every subscriber, once.
    pub(crate) fn push(&self, slots: impl IntoIterator<Item = Slot<W>>, now: Instant) {
        let mut inner = self.lock();
        for slot in slots {
            let window = &mut inner.window;
            window.clock.get_or_insert(StreamClock { at: now, pts: slot.pts });
            let bytes = slot.bytes;
            window.push(Arc::new(slot));
            inner.bytes += bytes;
        }
        inner.trim(&self.bounds);
        inner.ring_all();
    }

    /// Says that nothing will follow.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.window.closed = true;
        inner.ring_all();
    }

    /// Rings `bell` with `key` whenever there is something new.
    pub(crate) fn subscribe(&self, bell: &Doorbell, key: u64) {
        self.lock().subscribers.push((bell.clone(), key));
    }

    pub(crate) fn unsubscribe(&self, bell: &Doorbell, key: u64) {
        self.lock().subscribers.retain(|(other, k)| *k != key || !other.same(bell));
    }

    /// Brings a copy of the window up to date: costs what has changed.
    pub(crate) fn sync(&self, copy: &mut Window<W>) {
        let inner = self.lock();
        let window = &inner.window;
        while copy.base < window.base && copy.slots.pop_front().is_some() {
            copy.base += 1;
        }
        copy.base = copy.base.max(window.base);
        let known = copy.slots.len();
        copy.slots.extend(window.slots.iter().skip(known).cloned());
        copy.newest_start = window.newest_start;
        copy.clock = window.clock;
        copy.closed = window.closed;
    }

    fn lock(&self) -> MutexGuard<'_, Inner<W>> {
        // What is inside stays whole whatever panicked while it was held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> Inner<W> {
    fn trim(&mut self, bounds: &Bounds) {
        let window = &mut self.window;
        let Some(last) = window.slots.back().map(|slot| slot.dts) else {
            return;
        };
        while let Some(first) = window.slots.front() {
            let is_old = (last - first.dts).to_duration() > bounds.span_max;
            let is_needed = window.newest_start.is_none_or(|start| window.base >= start);
            if self.bytes <= bounds.bytes_max && (!is_old || is_needed) {
                return;
            }
            self.bytes -= first.bytes;
            window.slots.pop_front();
            window.base += 1;
        }
    }

    fn ring_all(&self) {
        for (bell, key) in &self.subscribers {
            bell.ring(*key);
        }
    }
}

/// Whether a viewer of `tracks` can be started at a frame of `track`.
pub(crate) fn starts(key: KeyKind, is_picture: bool, has_pictures: bool) -> bool {
    key.starts() && (is_picture || !has_pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(seconds: i64, bytes: usize, starts: bool) -> Slot<()> {
        let at = MediaTime::from_nanos(seconds * 1_000_000_000);
        Slot {
            track: TrackId(0),
            dts: at,
            pts: at,
            end: at,
            starts,
            picture: true,
            bytes,
            wire: (),
        }
    }

    fn ring(bytes_max: usize, span_s: u64) -> Ring<()> {
        Ring::new(Bounds { bytes_max, span_max: Duration::from_secs(span_s) })
    }

    fn window(ring: &Ring<()>) -> Window<()> {
        let mut window = Window::default();
        ring.sync(&mut window);
        window
    }

    #[test]
    fn old_frames_go_but_the_newest_start_stays() {
        let ring = ring(1000, 3);
        for second in 0..20 {
            ring.push([slot(second, 1, second % 10 == 0)], Instant::ZERO);
        }
        let window = window(&ring);
        assert_eq!((window.base(), window.head(), window.newest_start()), (10, 20, Some(10)));
    }

    #[test]
    fn bytes_are_bounded_even_behind_the_newest_start() {
        let ring = ring(10, 100);
        for second in 0..20 {
            ring.push([slot(second, 1, second == 0)], Instant::ZERO);
        }
        let window = window(&ring);
        assert_eq!((window.base(), window.newest_start()), (10, None));
    }

    #[test]
    fn a_copy_that_missed_everything_is_brought_up_to_date() {
        let ring = ring(5, 100);
        let mut copy = window(&ring);
        for second in 0..9 {
            ring.push([slot(second, 1, true)], Instant::ZERO);
            if second == 3 {
                ring.sync(&mut copy);
                assert_eq!((copy.base(), copy.head()), (0, 4));
            }
        }
        ring.sync(&mut copy);
        assert_eq!((copy.base(), copy.head()), (4, 9));
        assert_eq!(copy.get(4).unwrap().dts.as_secs_f64(), 4.0);
        assert!(copy.get(3).is_none() && copy.get(9).is_none());
    }

    #[test]
    fn subscribers_are_rung_until_they_leave() {
        let ring = ring(5, 100);
        let (bell, mut keys) = (Doorbell::new(), Vec::new());
        ring.subscribe(&bell, 7);
        ring.push([slot(0, 1, true)], Instant::ZERO);
        bell.take(&mut keys);
        assert_eq!(keys, [7]);
        ring.unsubscribe(&bell, 7);
        ring.close();
        bell.take(&mut keys);
        assert!(keys.is_empty() && window(&ring).closed);
    }
}
