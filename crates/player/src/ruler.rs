//! Reads the time code, the flash and the beep of the test pattern, wherever it comes from.
//!
//! Frames are decoded away from the packets, as they come. What the picture says is put together
//! with the time at which the frame was shown (or arrived), by its presentation time. A stream
//! whose first pictures bear no time code is left alone.

mod eye;
pub(crate) mod rtp;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use weir_codec::timecode::TimeCode;
use weir_media::{Frame, Kind, MediaTime, Track};
use weir_net::{Doorbell, Host};
use weir_record::event::{LatencyBasis, LatencySecond, LatencyTotal};
use weir_record::{Histogram, Sink};
use weir_time::{Instant, Utc};

use eye::{Eye, Seen};

/// Measures true latency and lip sync. Handles share one content.
pub(crate) struct Ruler {
    host: Host,
    records: Sink,
    shared: Rc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: RefCell<State>,
    /// Rung when there is something to decode, and at the end.
    filled: Doorbell,
    /// Rung when all is decoded.
    emptied: Doorbell,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    waiting_bytes: usize,
    /// What was left out since: pictures until the next key frame cannot be decoded.
    is_overrun: bool,
    closing: bool,
    is_done: bool,
    /// No time code was found: nothing is decoded any more.
    is_off: bool,
    codes: BTreeMap<MediaTime, TimeCode>,
    shown: BTreeMap<MediaTime, Utc>,
    second: Histogram,
    total: LatencyTotal,
    flashes: VecDeque<MediaTime>,
    beeps: VecDeque<MediaTime>,
}

/// Something to look at.
pub(super) enum Job {
    Track(usize, Track),
    Frame(usize, Frame),
}

/// Frames that wait to be decoded.
const WAITING_MAX: usize = 4_096;
const WAITING_BYTES_MAX: usize = 64 << 20;
/// What waits for its other half.
const HALVES_MAX: usize = 4_096;
/// Pictures that may bear no time code before a stream is left alone.
const BLANK_MAX: u64 = 30;
/// A flash and a beep further apart belong to different seconds.
const SKEW_MAX: Duration = Duration::from_millis(400);
/// Frames that are decoded in one go.
const BATCH: usize = 32;

impl Ruler {
    /// A ruler whose latencies go up to `basis`.
    pub(crate) fn new(host: &Host, records: &Sink, basis: LatencyBasis) -> Self {
        let shared = Rc::new(Shared::default());
        shared.state.borrow_mut().total.basis = basis;
        host.spawn(look(host.clone(), Rc::clone(&shared)));
        Ruler { host: host.clone(), records: records.clone(), shared }
    }

    /// A track begins, or its configuration has changed.
    pub(crate) fn track(&self, number: usize, track: &Track) {
        self.put(Job::Track(number, track.clone()));
    }

    /// A frame has come, in order of decoding, with the times of the presentation.
    pub(crate) fn frame(&self, track: usize, kind: Kind, frame: &Frame) {
        let mut state = self.shared.state.borrow_mut();
        if state.is_off {
            return;
        }
        let is_full = state.waiting.len() >= WAITING_MAX
            || state.waiting_bytes + frame.payload.len() > WAITING_BYTES_MAX;
        if kind == Kind::Video {
            state.is_overrun &= !frame.key.starts();
            if is_full || state.is_overrun {
                state.is_overrun = true;
                state.total.frames_skipped += 1;
                return;
            }
        } else if is_full {
            return;
        }
        drop(state);
        self.put(Job::Frame(track, frame.clone()));
    }

    /// The picture with this presentation time was shown, or arrived.
    pub(crate) fn shown(&self, pts: MediaTime, at: Instant) {
        let now = self.host.now();
        let age = i64::try_from(now.since(at).as_nanos()).unwrap_or(i64::MAX);
        let utc = Utc::from_nanos(self.host.utc().as_nanos().saturating_add_signed(-age));
        let mut state = self.shared.state.borrow_mut();
        if !state.is_off {
            bound(&mut state.shown);
            state.shown.insert(pts, utc);
            state.join(pts);
        }
    }

    /// Writes down the second that is over.
    pub(crate) fn second(&self, now: Instant, span: Duration) {
        let mut state = self.shared.state.borrow_mut();
        if state.second.is_empty() {
            return;
        }
        let latency_ns = std::mem::take(&mut state.second);
        let span_ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let second = LatencySecond { span_ns, basis: state.total.basis, latency_ns };
        self.records.emit(now, second);
    }

    /// Waits until all is decoded, and writes down the total, if there was a time code.
    pub(crate) async fn finish(self) {
        self.shared.state.borrow_mut().closing = true;
        self.shared.filled.ring(0);
        while !self.shared.state.borrow().is_done {
            self.shared.emptied.rung(&mut Vec::new()).await;
        }
        let total = self.shared.state.borrow().total.clone();
        if total.frames_live + total.frames_recorded > 0 {
            self.records.emit(self.host.now(), total);
        }
    }

    fn put(&self, job: Job) {
        let mut state = self.shared.state.borrow_mut();
        if let Job::Frame(_, frame) = &job {
            state.waiting_bytes += frame.payload.len();
        }
        state.waiting.push_back(job);
        drop(state);
        self.shared.filled.ring(0);
    }
}

impl State {
    /// Takes in what was seen.
    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Code(pts, code) if code.is_live => {
                bound(&mut self.codes);
                self.codes.insert(pts, code);
                self.join(pts);
            }
            Seen::Code(..) => self.total.frames_recorded += 1,
            Seen::Blank => self.total.frames_unread += 1,
            Seen::Failed => self.total.frames_skipped += 1,
            Seen::Flash(pts) => {
                self.flashes.push_back(pts);
                self.pair();
            }
            Seen::Beep(pts) => {
                self.beeps.push_back(pts);
                self.pair();
            }
        }
        let found = self.total.frames_live + self.total.frames_recorded + self.codes.len() as u64;
        if found == 0 && self.total.frames_unread >= BLANK_MAX {
            self.is_off = true;
            self.waiting.clear();
            self.shown.clear();
        }
    }

    /// Both halves of a frame's latency are there, perhaps.
    fn join(&mut self, pts: MediaTime) {
        let (Some(code), Some(at)) = (self.codes.get(&pts), self.shown.get(&pts)) else {
            return;
        };
        let captured_ns = code.time_ms.saturating_mul(1_000_000);
        let latency_ns = at.as_nanos().saturating_sub(captured_ns);
        self.second.record(latency_ns);
        self.total.latency_ns.record(latency_ns);
        self.total.frames_live += 1;
        self.codes.remove(&pts);
        self.shown.remove(&pts);
    }

    /// Puts flashes and beeps together that belong to one second.
    fn pair(&mut self) {
        while let (Some(&flash), Some(&beep)) = (self.flashes.front(), self.beeps.front()) {
            let apart = (flash - beep).as_nanos().unsigned_abs();
            if Duration::from_nanos(apart) <= SKEW_MAX {
                self.total.skew_ns.record(apart);
                self.flashes.pop_front();
                self.beeps.pop_front();
            } else if flash < beep {
                self.flashes.pop_front();
            } else {
                self.beeps.pop_front();
            }
        }
        for queue in [&mut self.flashes, &mut self.beeps] {
            while queue.len() > HALVES_MAX {
                queue.pop_front();
            }
        }
    }
}

fn bound<T>(map: &mut BTreeMap<MediaTime, T>) {
    while map.len() >= HALVES_MAX {
        map.pop_first();
    }
}

/// Decodes what comes, in the order in which it comes.
async fn look(host: Host, shared: Rc<Shared>) {
    let mut eye = Eye::default();
    let mut keys = Vec::new();
    loop {
        let jobs: Vec<Job> = {
            let mut state = shared.state.borrow_mut();
            let count = state.waiting.len().min(BATCH);
            let jobs: Vec<Job> = state.waiting.drain(..count).collect();
            let bytes = jobs.iter().map(|job| match job {
                Job::Frame(_, frame) => frame.payload.len(),
                Job::Track(..) => 0,
            });
            state.waiting_bytes = state.waiting_bytes.saturating_sub(bytes.sum());
            jobs
        };
        if jobs.is_empty() {
            if shared.state.borrow().closing {
                break;
            }
            keys.clear();
            shared.filled.rung(&mut keys).await;
            continue;
        }
        let mut seen = Vec::new();
        (eye, seen) = host
            .blocking(move || {
                jobs.into_iter().for_each(|job| eye.look(job, &mut seen));
                (eye, seen)
            })
            .await;
        let mut state = shared.state.borrow_mut();
        seen.into_iter().for_each(|seen| state.take(seen));
    }
    let mut seen = Vec::new();
    eye.finish(&mut seen);
    let mut state = shared.state.borrow_mut();
    seen.into_iter().for_each(|seen| state.take(seen));
    state.is_done = true;
    drop(state);
    shared.emptied.ring(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(millis: i64) -> MediaTime {
        MediaTime::from_nanos(millis * 1_000_000)
    }

    fn code(time_ms: u64) -> TimeCode {
        TimeCode { is_live: true, frame: 1, time_ms }
    }

    #[test]
    fn latency_is_known_once_both_halves_are_there() {
        let mut state = State::default();
        state.take(Seen::Code(media(40), code(1_000)));
        assert_eq!(state.total.frames_live, 0);
        state.shown.insert(media(40), Utc::from_nanos(1_250_000_000));
        state.join(media(40));
        assert_eq!(state.total.latency_ns.max(), Some(250_000_000));
        assert_eq!((state.total.frames_live, state.codes.len(), state.shown.len()), (1, 0, 0));
    }

    #[test]
    fn a_recorded_time_code_has_no_latency() {
        let mut state = State::default();
        state.take(Seen::Code(media(40), TimeCode { is_live: false, ..code(40) }));
        assert_eq!((state.total.frames_recorded, state.total.latency_ns.count()), (1, 0));
    }

    #[test]
    fn flash_and_beep_of_one_second_make_a_pair() {
        let mut state = State::default();
        for (flash, beep) in [(1_000, 1_012), (2_000, 1_995)] {
            state.take(Seen::Flash(media(flash)));
            state.take(Seen::Beep(media(beep)));
        }
        // Its beep was lost.
        state.take(Seen::Flash(media(3_000)));
        state.take(Seen::Flash(media(4_000)));
        state.take(Seen::Beep(media(4_001)));
        assert_eq!(state.total.skew_ns.count(), 3);
        assert_eq!(state.total.skew_ns.max(), Some(12_000_000));
    }

    #[test]
    fn a_stream_without_a_time_code_is_left_alone() {
        let mut state = State::default();
        (0..BLANK_MAX).for_each(|_| state.take(Seen::Blank));
        assert!(state.is_off);
        let mut state = State::default();
        state.take(Seen::Code(media(0), code(1)));
        (0..BLANK_MAX).for_each(|_| state.take(Seen::Blank));
        assert!(!state.is_off);
    }
}
