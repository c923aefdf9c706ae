//! What is measured of a stream that is fetched, without input or output.

use std::time::Duration;

use weir_media::{Frame, Kind, MediaTime, Track};
use weir_record::Sink;
use weir_record::event::{self, EndReason, MediaKind};
use weir_time::Instant;

use super::source::Piece;
use crate::Progress;

/// Counts what comes and what is shown, and writes it down.
pub(super) struct Measure {
    records: Sink,
    started: Instant,
    tracks: Vec<Counts>,
    first_byte: bool,
    shown_first_at: Option<Instant>,
    /// The timer `second`.
    pub(super) second_at: Option<Instant>,
    second_from: Instant,
}

struct Counts {
    /// Which feed it comes from, and its place there.
    feed: usize,
    place: usize,
    kind: Kind,
    codec: &'static str,
    now: Snapshot,
    at_last_second: Snapshot,
    first_at: Option<Instant>,
    last_at: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct Snapshot {
    frames: u64,
    key_frames: u64,
    bytes: u64,
    shown: u64,
}

const SECOND: Duration = Duration::from_secs(1);

impl Measure {
    pub(super) fn new(records: Sink, now: Instant) -> Self {
        Measure {
            records,
            started: now,
            tracks: Vec::new(),
            first_byte: false,
            shown_first_at: None,
            second_at: None,
            second_from: now,
        }
    }

    pub(super) fn since_start(&self, at: Instant) -> u64 {
        nanos(at.since(self.started))
    }

    /// Adds the tracks that a feed turns out to have.
    pub(super) fn add_track(&mut self, now: Instant, feed: usize, place: usize, track: &Track) {
        let kind = track.codec.kind();
        let number = self.tracks.len();
        let described = event::TrackDescribed {
            track: u8::try_from(number).unwrap_or(u8::MAX),
            kind: match kind {
                Kind::Video => MediaKind::Video,
                Kind::Audio => MediaKind::Audio,
            },
            codec: track.codec.name().into(),
            clock_rate_hz: None,
        };
        self.records.emit(now, described);
        self.tracks.push(Counts {
            feed,
            place,
            kind,
            codec: track.codec.name(),
            now: Snapshot::default(),
            at_last_second: Snapshot::default(),
            first_at: None,
            last_at: None,
        });
    }

    /// The number of a feed's track.
    pub(super) fn track(&self, feed: usize, place: usize) -> Option<usize> {
        self.tracks.iter().position(|track| (track.feed, track.place) == (feed, place))
    }

    /// A piece has come.
    pub(super) fn piece(&mut self, feed: usize, piece: &Piece) {
        if !std::mem::replace(&mut self.first_byte, true) {
            let at = piece.times.answered_at;
            self.records.emit(at, event::FirstByte { after_ns: self.since_start(at) });
        }
        let track = self.track(feed, 0).unwrap_or(0);
        let fetched = event::SegmentFetched {
            track: u8::try_from(track).unwrap_or(u8::MAX),
            number: piece.number,
            bytes: piece.bytes,
            duration_ns: nanos(piece.duration.to_duration()),
            to_answer_ns: nanos(piece.times.answered_at.since(piece.times.asked_at)),
            took_ns: nanos(piece.done_at.since(piece.times.asked_at)),
        };
        self.records.emit(piece.done_at, fetched);
        self.second_at.get_or_insert(piece.done_at + SECOND);
    }

    /// A frame of a track has come.
    pub(super) fn frame(&mut self, track: usize, frame: &Frame) {
        let after_ns = self.since_start(frame.arrival);
        let Some(counts) = self.tracks.get_mut(track) else {
            return;
        };
        let is_key = frame.key.starts();
        if is_key && counts.now.key_frames == 0 {
            let track = u8::try_from(track).unwrap_or(u8::MAX);
            self.records.emit(frame.arrival, event::FirstDecodableFrame { track, after_ns });
        }
        counts.now.frames += 1;
        counts.now.key_frames += u64::from(is_key);
        counts.now.bytes += frame.payload.len() as u64;
        counts.first_at.get_or_insert(frame.arrival);
        counts.last_at = counts.last_at.max(Some(frame.arrival));
    }

    /// A frame of a track is shown.
    pub(super) fn shown(&mut self, track: usize) {
        if let Some(counts) = self.tracks.get_mut(track) {
            counts.now.shown += 1;
        }
    }

    pub(super) fn started(&mut self, at: Instant, position: MediaTime) {
        if self.shown_first_at.replace(at).is_none() {
            let after_ns = self.since_start(at);
            let position_ns = position.as_nanos();
            self.records.emit(at, event::PlayoutStarted { after_ns, position_ns });
        }
    }

    /// Writes the second that is over.
    pub(super) fn tick(&mut self, now: Instant, buffer: impl Fn(usize) -> Option<Duration>) {
        if self.second_at.is_some_and(|at| at <= now) {
            self.write_seconds(now, buffer);
            self.second_at = Some(now + SECOND);
        }
    }

    fn write_seconds(&mut self, now: Instant, buffer: impl Fn(usize) -> Option<Duration>) {
        let span_ns = nanos(now.since(std::mem::replace(&mut self.second_from, now)));
        for (number, track) in self.tracks.iter_mut().enumerate() {
            let before = std::mem::replace(&mut track.at_last_second, track.now);
            let second = event::MediaSecond {
                track: u8::try_from(number).unwrap_or(u8::MAX),
                span_ns,
                frames: track.now.frames - before.frames,
                key_frames: track.now.key_frames - before.key_frames,
                bytes: track.now.bytes - before.bytes,
                frames_shown: track.now.shown - before.shown,
                buffer_ns: buffer(number).map(nanos),
            };
            self.records.emit(now, second);
        }
    }

    /// Writes the totals and the end.
    pub(super) fn finish(&mut self, now: Instant, reason: EndReason, text: Option<&str>) {
        if self.second_at.take().is_some() {
            self.write_seconds(now, |_| None);
        }
        for (number, track) in self.tracks.iter().enumerate() {
            let receiving =
                track.first_at.zip(track.last_at).map(|(first, last)| last.since(first));
            let total = event::MediaTotal {
                track: u8::try_from(number).unwrap_or(u8::MAX),
                codec: track.codec.into(),
                frames: track.now.frames,
                key_frames: track.now.key_frames,
                bytes: track.now.bytes,
                frames_shown: track.now.shown,
                receiving_ns: receiving.filter(|span| !span.is_zero()).map(nanos),
            };
            self.records.emit(now, total);
        }
        self.records.emit(now, event::Ended { reason, text: text.map(Into::into) });
    }

    pub(super) fn progress(
        &self,
        now: Instant,
        position: Option<MediaTime>,
        end: Option<MediaTime>,
    ) -> Progress {
        let main = self.tracks.iter().find(|track| track.kind == Kind::Video);
        Progress {
            played: self.shown_first_at.map_or(Duration::ZERO, |at| now.since(at)),
            position,
            end,
            frames: main.or(self.tracks.first()).map_or(0, |track| track.now.shown),
            bytes: self.tracks.iter().map(|track| track.now.bytes).sum(),
            ..Progress::default()
        }
    }

    /// Whether anything was shown.
    pub(super) fn has_shown(&self) -> bool {
        self.shown_first_at.is_some()
    }
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
