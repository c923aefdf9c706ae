//! What is measured of a movie in the classroom dialect, without input or output.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use weir_dial::classroom::{Event, Happened};
use weir_proto::classroom::{Jitter, PAYLOAD_TYPE};
use weir_proto::rtp::Packet;
use weir_proto::rtp::receive::{ArrivalKind, Counts, Reorder, ReorderConfig, Statistics};
use weir_record::event::{self, DiscardReason, EndReason, MediaKind};
use weir_record::{Histogram, Level, Sink};
use weir_time::Instant;

use crate::Progress;

/// Measures a movie: events in, records out. Use it as [`crate::Measure`].
pub struct Measure {
    records: Sink,
    started: Option<Instant>,
    /// When the server last began to play.
    playing_since: Option<Instant>,
    paused: bool,
    last_packet: Option<Instant>,
    /// The timer `second`.
    second_at: Option<Instant>,
    second_from: Instant,
    statistics: Statistics,
    jitter: Jitter,
    /// Images with their extended numbers.
    reorder: Reorder<(u64, Bytes)>,
    images: VecDeque<Bytes>,
    frames: u64,
    frames_discarded: u64,
    at_last_second: Snapshot,
    inter_arrival: Histogram,
    inter_arrival_second: Histogram,
    /// The first and the last packet since the last pause.
    stretch: Option<(Instant, Instant)>,
    stretches_before: Duration,
    dropped: Dropped,
}

/// All counts at one time.
#[derive(Clone, Copy, Default)]
struct Snapshot {
    counts: Counts,
    frames: u64,
    frames_discarded: u64,
    late: u64,
}

/// What came and was not used.
#[derive(Clone, Copy, Default)]
struct Dropped {
    no_rtp: u64,
    other_payload_types: u64,
    images_not_kept: u64,
}

/// The only track.
const TRACK: u8 = 0;
/// Images that wait for [`Measure::poll_image`].
const IMAGES_MAX: usize = 1_024;
const SECOND: Duration = Duration::from_secs(1);

impl Measure {
    /// Measures into `records`. Poll the images after each event.
    pub fn new(records: Sink) -> Self {
        Measure {
            records,
            started: None,
            playing_since: None,
            paused: false,
            last_packet: None,
            second_at: None,
            second_from: Instant::ZERO,
            // Without a clock: time stamps of the dialect are whole seconds of the day.
            statistics: Statistics::new(0),
            jitter: Jitter::default(),
            reorder: Reorder::new(ReorderConfig::UDP),
            images: VecDeque::new(),
            frames: 0,
            frames_discarded: 0,
            at_last_second: Snapshot::default(),
            inter_arrival: Histogram::new(),
            inter_arrival_second: Histogram::new(),
            stretch: None,
            stretches_before: Duration::ZERO,
            dropped: Dropped::default(),
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, happened: &Happened) {
        let at = happened.at;
        match &happened.event {
            Event::Connecting { url } => {
                self.started.get_or_insert(at);
                let (url, transport) = (url.as_str().into(), "classroom/udp".into());
                self.records.emit(at, event::Connecting { url, transport });
            }
            Event::Connected { peer } => {
                let (after_ns, peer) = (self.since_start(at), Some(peer.to_string().into()));
                self.records.emit(at, event::Connected { after_ns, peer });
            }
            Event::Response { method, status, round_trip } => {
                let response = event::Response {
                    method: method.as_str().into(),
                    status: *status,
                    round_trip_ns: nanos(*round_trip),
                };
                self.records.emit(at, response);
            }
            Event::Playing => self.playing(at),
            Event::Paused => self.pause(at),
            Event::Rtp { data } => self.rtp(now, at, data),
            Event::Warning(text) => self.warn(at, text),
            Event::Failed(error) => self.fail(at, &error.to_string()),
            _ => {}
        }
    }

    /// Gives up what was waited for in vain, and writes the seconds that are over.
    pub fn tick(&mut self, now: Instant) {
        self.release(now);
        if self.second_at.is_some_and(|at| at <= now) {
            self.write_second(now);
            let next = self.second_at.unwrap_or(now) + SECOND;
            self.second_at = Some(if next <= now { now + SECOND } else { next });
        }
    }

    /// When to tick although nothing happens.
    pub fn next_timeout(&self) -> Option<Instant> {
        [self.reorder.next_timeout(), self.second_at].into_iter().flatten().min()
    }

    /// The next whole image, in the order of the numbers.
    pub fn poll_image(&mut self) -> Option<Bytes> {
        self.images.pop_front()
    }

    /// Gives up what is waited for: nothing more comes.
    pub fn flush(&mut self, now: Instant) {
        self.reorder.flush();
        self.release(now);
        self.end_stretch();
    }

    /// Writes the last second, the totals and the end; [`Measure::flush`] comes before.
    pub fn finish(&mut self, now: Instant, reason: EndReason, text: Option<&str>) {
        if self.second_at.take().is_some() {
            self.write_second(now);
        }
        for (what, count) in [
            ("datagrams that are no RTP", self.dropped.no_rtp),
            ("RTP packets of another payload type", self.dropped.other_payload_types),
            ("images that were not kept", self.dropped.images_not_kept),
            ("RTP packets too far behind to be told from duplicates", self.counts().too_late),
        ] {
            self.note_dropped(now, what, count);
        }
        if self.playing_since.is_some() {
            self.records.emit(now, self.total());
        }
        self.records.emit(now, event::Ended { reason, text: text.map(Into::into) });
    }

    /// Writes down what was dropped, if anything was.
    pub fn note_dropped(&self, now: Instant, what: &str, count: u64) {
        if count > 0 {
            self.records.emit(now, event::Dropped { what: what.into(), count });
        }
    }

    /// Writes down that something is odd.
    pub fn warn(&self, now: Instant, text: &str) {
        self.records.emit(now, event::Warning { text: text.into() });
    }

    /// Writes down that something failed.
    pub fn fail(&self, now: Instant, text: &str) {
        self.records.emit(now, event::Failure { text: text.into() });
    }

    /// Whether the movie stands still as was asked.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// When the server last began to play.
    pub fn playing_since(&self) -> Option<Instant> {
        self.playing_since
    }

    /// When the last image came.
    pub fn last_packet(&self) -> Option<Instant> {
        self.last_packet
    }

    /// How far the movie is, after `played`.
    pub fn progress(&self, played: Duration) -> Progress {
        let counts = self.counts();
        Progress {
            played,
            frames: self.frames,
            bytes: counts.bytes,
            lost: counts.lost,
            expected: counts.expected,
            ..Progress::default()
        }
    }

    fn counts(&self) -> Counts {
        self.statistics.counts()
    }

    fn since_start(&self, at: Instant) -> u64 {
        nanos(at.since(self.started.unwrap_or(at)))
    }

    fn playing(&mut self, at: Instant) {
        if self.playing_since.is_none() {
            let described = event::TrackDescribed {
                track: TRACK,
                kind: MediaKind::Video,
                codec: CODEC.into(),
                clock_rate_hz: None,
            };
            self.records.emit(at, described);
        }
        self.playing_since = Some(at);
        self.paused = false;
        self.start_seconds(at);
        let start =
            event::TrackStart { track: TRACK, ssrc: None, first_seq: None, rtp_timestamp: None };
        let playing = event::Playing { from_ns: None, to_ns: None, tracks: vec![start] };
        self.records.emit(at, playing);
    }

    fn pause(&mut self, at: Instant) {
        self.paused = true;
        self.end_stretch();
        self.records.emit(at, event::Paused { position_ns: None });
    }

    fn end_stretch(&mut self) {
        self.jitter.pause();
        if let Some((first, last)) = self.stretch.take() {
            self.stretches_before += last.since(first);
        }
    }

    fn start_seconds(&mut self, at: Instant) {
        if self.second_at.is_none() {
            self.second_from = at;
            self.second_at = Some(at + SECOND);
        }
    }

    fn rtp(&mut self, now: Instant, at: Instant, data: &Bytes) {
        let Ok(packet) = Packet::parse(data) else {
            self.dropped.no_rtp += 1;
            return;
        };
        if packet.header.payload_type != PAYLOAD_TYPE {
            self.dropped.other_payload_types += 1;
            return;
        }
        if self.last_packet.is_none() {
            self.records.emit(at, event::FirstByte { after_ns: self.since_start(at) });
        }
        self.start_seconds(at);
        self.last_packet = self.last_packet.max(Some(at));
        let header = packet.header;
        let bytes = packet.payload.len();
        let arrival = self.statistics.receive(at, header.sequence, header.time, bytes);
        if arrival.kind == ArrivalKind::Restarted {
            self.reorder.flush();
            self.release(now);
            self.end_stretch();
        }
        if arrival.kind.is_usable() {
            self.note_arrival(at, arrival.extended);
            let image = data.slice_ref(packet.payload);
            self.take_image(at, &image);
            self.reorder.push(now, arrival.extended, (arrival.extended, image));
            self.release(now);
        }
        if self.records.wants(Level::Packet) {
            let packet = event::RtpPacket {
                track: TRACK,
                seq: arrival.extended,
                rtp_timestamp: header.time.0,
                marker: header.marker,
                bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
                // A large datagram travels in fragments, whose headers nobody sees here.
                ip_bytes: None,
            };
            self.records.emit(at, packet);
        }
    }

    fn note_arrival(&mut self, at: Instant, extended: u64) {
        self.jitter.add(at, extended);
        let Some((_, last)) = &mut self.stretch else {
            self.stretch = Some((at, at));
            return;
        };
        let since = nanos(at.since(*last));
        *last = at.max(*last);
        self.inter_arrival.record(since);
        self.inter_arrival_second.record(since);
    }

    /// Counts an image: whole, or nothing that can be shown.
    fn take_image(&mut self, at: Instant, image: &[u8]) {
        if !is_whole(image) {
            self.frames_discarded += 1;
            let reason = DiscardReason::Malformed;
            let discarded = event::FrameDiscarded { track: TRACK, pts_ns: None, reason };
            return self.records.emit(at, discarded);
        }
        self.frames += 1;
        if self.frames == 1 {
            let after_ns = self.since_start(at);
            self.records.emit(at, event::FirstDecodableFrame { track: TRACK, after_ns });
        }
    }

    /// Puts images in order.
    fn release(&mut self, now: Instant) {
        while let Some(((extended, image), lost_before)) = self.reorder.poll(now) {
            if lost_before > 0 {
                let first_seq = extended - lost_before;
                let gap = event::Gap { track: TRACK, first_seq, count: lost_before };
                self.records.emit(now, gap);
            }
            if !is_whole(&image) {
                continue;
            }
            if self.images.len() >= IMAGES_MAX {
                self.dropped.images_not_kept += 1;
            } else {
                self.images.push_back(image);
            }
        }
    }

    fn write_second(&mut self, now: Instant) {
        let span_ns = nanos(now.since(std::mem::replace(&mut self.second_from, now)));
        let at_end = self.snapshot();
        let before = std::mem::replace(&mut self.at_last_second, at_end);
        let (counts, counts_before) = (at_end.counts, before.counts);
        let frames = at_end.frames - before.frames;
        let second = event::TrackSecond {
            track: TRACK,
            span_ns,
            frames,
            key_frames: frames,
            frames_discarded: at_end.frames_discarded - before.frames_discarded,
            bytes: counts.bytes - counts_before.bytes,
            ip_bytes: None,
            packets: counts.received - counts_before.received,
            expected: counts.expected - counts_before.expected,
            lost: counts.lost as i64 - counts_before.lost as i64,
            reordered: counts.reordered - counts_before.reordered,
            duplicates: counts.duplicates - counts_before.duplicates,
            late: at_end.late - before.late,
            jitter_ns: None,
            jitter_against_50ms_ns: self.jitter.as_nanos(),
            inter_arrival_ns: std::mem::take(&mut self.inter_arrival_second),
        };
        self.records.emit(now, second);
    }

    fn total(&self) -> event::TrackTotal {
        let Snapshot { counts, frames, frames_discarded, late } = self.snapshot();
        // The numbers begin with 1, unless the sender has begun to number anew.
        let head_lost = counts.first_extended.filter(|_| counts.restarts == 0);
        let head_lost = head_lost.map(|first| (first & 0xffff).saturating_sub(1));
        event::TrackTotal {
            track: TRACK,
            codec: CODEC.into(),
            receiving_ns: (counts.received > 1).then(|| nanos(self.stretches_before)),
            frames,
            key_frames: frames,
            frames_discarded,
            bytes: counts.bytes,
            ip_bytes: None,
            packets: counts.received,
            expected: counts.expected,
            lost: counts.lost,
            reordered: counts.reordered,
            duplicates: counts.duplicates,
            late,
            head_lost,
            tail_lost: None,
            first_seq: counts.first_extended,
            highest_seq: counts.highest_extended,
            jitter_ns: None,
            jitter_against_50ms_ns: self.jitter.as_nanos(),
            inter_arrival_ns: self.inter_arrival.clone(),
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            counts: self.counts(),
            frames: self.frames,
            frames_discarded: self.frames_discarded,
            late: self.reorder.late(),
        }
    }
}

const CODEC: &str = "JPEG";

/// Whether bytes are a whole JPEG image: its first marker and, near the end, its last (ITU-T T.81
/// table B.1).
fn is_whole(image: &[u8]) -> bool {
    let end = &image[image.len().saturating_sub(END_BYTES)..];
    image.starts_with(&[0xff, 0xd8]) && end.windows(2).any(|marker| marker == [0xff, 0xd9])
}

/// Some encoders pad images behind the end.
const END_BYTES: usize = 64;

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_record::Event as Record;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn image(number: u16, end: &[u8]) -> Event {
        let mut data = vec![0x80, PAYLOAD_TYPE];
        data.extend(number.to_be_bytes());
        data.extend([0; 8]);
        data.extend([0xff, 0xd8, 1, 2, 3]);
        data.extend(end);
        Event::Rtp { data: data.into() }
    }

    /// The total and the gaps of images that came so many milliseconds after the start.
    fn total(came: &[(u64, Event)]) -> (event::TrackTotal, Vec<event::Gap>) {
        let (sink, mut drain) = weir_record::queue(Level::Packet, 1_000);
        let mut measure = Measure::new(sink);
        measure.handle(at(0), &Happened { at: at(0), event: Event::Playing });
        for (ms, event) in came {
            measure.tick(at(*ms));
            measure.handle(at(*ms), &Happened { at: at(*ms), event: event.clone() });
        }
        measure.flush(at(9_000));
        measure.finish(at(9_000), EndReason::Done, None);
        let mut records = Vec::new();
        drain.take(&mut records);
        let mut gaps = Vec::new();
        let mut total = None;
        for record in records {
            match record.event {
                Record::Gap(gap) => gaps.push(gap),
                Record::TrackTotal(it) => total = Some(*it),
                _ => {}
            }
        }
        (total.unwrap(), gaps)
    }

    const END: &[u8] = &[0xff, 0xd9];

    #[test]
    fn loss_is_counted_by_the_frames_numbers_from_1_on() {
        let came = [(50, 3), (100, 4), (250, 7), (300, 8)].map(|(ms, n)| (ms, image(n, END)));
        let (total, gaps) = total(&came);
        assert_eq!((total.packets, total.expected, total.lost), (4, 6, 2));
        assert_eq!((total.head_lost, total.tail_lost), (Some(2), None));
        assert_eq!(gaps.len(), 1);
        assert_eq!((gaps[0].first_seq & 0xffff, gaps[0].count), (5, 2));
    }

    #[test]
    fn jitter_is_that_of_arrivals_against_50_ms_and_bears_that_name() {
        let came = (1..100).map(|n| (50 * u64::from(n), image(n, END)));
        let (even, _) = total(&came.collect::<Vec<_>>());
        assert_eq!((even.jitter_ns, even.jitter_against_50ms_ns), (None, Some(0)));
        let came = (1..100).map(|n| (50 * u64::from(n) + u64::from(n % 2) * 10, image(n, END)));
        let (uneven, _) = total(&came.collect::<Vec<_>>());
        assert!(uneven.jitter_against_50ms_ns.unwrap() > 9_000_000);
    }

    #[test]
    fn an_image_without_its_end_is_no_frame() {
        let (total, _) = total(&[(50, image(1, END)), (100, image(2, &[]))]);
        assert_eq!((total.packets, total.frames, total.frames_discarded), (2, 1, 1));
    }
}
