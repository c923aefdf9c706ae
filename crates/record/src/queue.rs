//! The way from those who measure to whoever writes it down.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_time::Instant;

use crate::event::RecordsDropped;
use crate::{Event, Level, Record};

/// A bounded queue of records: the end to emit into, which can be cloned, and the end to drain.
///
/// Records up to `level` are taken. `records_max` records fit: under 100 bytes each, and the
/// texts (at most [`TEXT_BYTES_MAX`](crate::TEXT_BYTES_MAX)) and histograms that they hold.
/// Packet records leave the last quarter to the other levels and second records leave the last
/// eighth to events, so that a flood of packets costs no total.
pub fn queue(level: Level, records_max: usize) -> (Sink, Drain) {
    let shared = Arc::new(Shared { level, records_max, waiting: Mutex::default() });
    let sink = Sink { shared: Some(Arc::clone(&shared)) };
    let drain = Drain { shared, spare: VecDeque::new(), taken: Vec::new() };
    (sink, drain)
}

/// Where events are emitted. Cheap to clone; never blocks on what the drain does.
#[derive(Clone, Debug, Default)]
pub struct Sink {
    shared: Option<Arc<Shared>>,
}

impl Sink {
    /// A sink that wants nothing and keeps nothing.
    pub const fn none() -> Self {
        Sink { shared: None }
    }

    /// Whether events of `level` are kept. Ask before making an event that costs something.
    pub fn wants(&self, level: Level) -> bool {
        self.shared.as_ref().is_some_and(|shared| level <= shared.level)
    }

    /// Keeps `event`, which happened at `now`, if its level is wanted. In a full queue it is
    /// dropped and counted; the count is written where the records are missing.
    pub fn emit(&self, now: Instant, event: impl Into<Event>) {
        let Some(shared) = &self.shared else {
            return;
        };
        let event = event.into();
        let level = event.level();
        if level > shared.level {
            return;
        }
        let mut waiting = shared.lock();
        if waiting.records.len() < shared.room(level) {
            waiting.records.push_back(Record { at: now, event });
        } else {
            waiting.miss(now, level);
        }
    }
}

/// Where records are taken out, by whoever writes or watches them.
#[derive(Debug)]
pub struct Drain {
    shared: Arc<Shared>,
    /// Empty, with room: what the sinks fill after the next take.
    spare: VecDeque<Record>,
    /// Emptied at each [`Drain::drain`]; kept for its room.
    taken: Vec<Record>,
}

impl Drain {
    /// Appends all records that wait to `out`, oldest first. If records were dropped since the
    /// last call, a [`RecordsDropped`] follows them.
    pub fn take(&mut self, out: &mut Vec<Record>) {
        let missed = {
            let mut waiting = self.shared.lock();
            core::mem::swap(&mut waiting.records, &mut self.spare);
            waiting.missed.take()
        };
        let last = self.spare.back().map_or(Instant::ZERO, |record| record.at);
        out.extend(self.spare.drain(..));
        if let Some(Missed { until, dropped }) = missed {
            out.push(Record { at: until.max(last), event: dropped.into() });
        }
    }

    /// Appends the lines of all records that wait to `out`.
    pub fn drain(&mut self, out: &mut Vec<u8>) {
        let mut taken = core::mem::take(&mut self.taken);
        self.take(&mut taken);
        for record in taken.drain(..) {
            record.encode(out);
        }
        self.taken = taken;
    }

    /// Whether no sink is left, so that a last drain gets all there is.
    pub fn is_closed(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }
}

#[derive(Debug)]
struct Shared {
    level: Level,
    records_max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    records: VecDeque<Record>,
    missed: Option<Missed>,
}

/// What was dropped since the last take.
#[derive(Debug)]
struct Missed {
    until: Instant,
    dropped: RecordsDropped,
}

impl Shared {
    /// Never held longer than it takes to move one record or to swap a pointer.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A record is pushed whole or not at all, whatever panicked beside it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of waiting records up to which one more of `level` is taken.
    fn room(&self, level: Level) -> usize {
        match level {
            Level::Event => self.records_max,
            Level::Second => self.records_max - self.records_max / 8,
            Level::Packet => self.records_max - self.records_max / 4,
        }
    }
}

impl Waiting {
    fn miss(&mut self, now: Instant, level: Level) {
        let missed = self.missed.get_or_insert(Missed {
            until: now,
            dropped: RecordsDropped {
                first_t_ns: now.as_nanos(),
                events: 0,
                seconds: 0,
                packets: 0,
            },
        });
        missed.until = missed.until.max(now);
        let count = match level {
            Level::Event => &mut missed.dropped.events,
            Level::Second => &mut missed.dropped.seconds,
            Level::Packet => &mut missed.dropped.packets,
        };
        *count = count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{FirstByte, RtpPacket, TrackSecond};

    fn packet() -> RtpPacket {
        RtpPacket { track: 0, seq: 1, rtp_timestamp: 2, marker: false, bytes: 3, ip_bytes: None }
    }

    fn take(drain: &mut Drain) -> Vec<Record> {
        let mut out = Vec::new();
        drain.take(&mut out);
        out
    }

    #[test]
    fn a_sink_keeps_its_level_and_those_before_it() {
        let (sink, mut drain) = queue(Level::Second, 8);
        sink.emit(Instant::ZERO, packet());
        sink.emit(Instant::ZERO, TrackSecond::default());
        sink.emit(Instant::ZERO, FirstByte { after_ns: 1 });
        assert!(sink.wants(Level::Event) && sink.wants(Level::Second));
        assert!(!sink.wants(Level::Packet) && !Sink::none().wants(Level::Event));
        let names: Vec<_> = take(&mut drain).iter().map(|record| record.event.name()).collect();
        assert_eq!(names, ["track_second", "first_byte"]);
    }

    #[test]
    fn a_full_queue_drops_packets_first_and_says_how_many_are_missing() {
        let (sink, mut drain) = queue(Level::Packet, 8);
        for nanos in 0..10 {
            sink.emit(Instant::from_nanos(nanos), packet());
        }
        sink.emit(Instant::from_nanos(10), TrackSecond::default());
        sink.emit(Instant::from_nanos(11), TrackSecond::default());
        sink.emit(Instant::from_nanos(12), FirstByte { after_ns: 1 });
        sink.emit(Instant::from_nanos(13), FirstByte { after_ns: 1 });
        let records = take(&mut drain);
        assert_eq!(records.len(), 9);
        let dropped = RecordsDropped { first_t_ns: 6, events: 1, seconds: 1, packets: 4 };
        assert_eq!(records[8].at, Instant::from_nanos(13));
        assert_eq!(records[8].event, dropped.into());
        assert!(take(&mut drain).is_empty());
    }

    #[test]
    fn threads_share_a_queue() {
        let (sink, mut drain) = queue(Level::Event, 1000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let sink = sink.clone();
                scope.spawn(move || {
                    for _ in 0..100 {
                        sink.emit(Instant::ZERO, FirstByte { after_ns: 1 });
                    }
                });
            }
        });
        assert!(!drain.is_closed());
        drop(sink);
        assert!(drain.is_closed());
        assert_eq!(take(&mut drain).len(), 400);
    }
}
