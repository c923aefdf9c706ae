//! One track: its packets counted, put in order and made into frames.

use std::time::Duration;

use bytes::Bytes;
use weir_dial::rtsp::{TrackDescription, TrackStart};
use weir_media::{Codec, Kind, MediaTime};
use weir_proto::rtcp::{ReportBlock, SenderReport};
use weir_proto::rtp::depack::{AccessUnit, Depacketiser, DropReason, Dropped, Output};
use weir_proto::rtp::receive::{ArrivalKind, Counts, Reorder, ReorderConfig, Statistics};
use weir_proto::rtp::{Error, Packet, RtpTime, Ssrc};
use weir_record::event::{self, DiscardReason};
use weir_record::{Histogram, Sink};
use weir_time::{Instant, Utc};

use super::ends::{Ends, Lost};
use super::watch::Watch;

/// What is measured of one track.
pub(super) struct Track {
    pub(super) number: u8,
    pub(super) kind: Kind,
    pub(super) clock_rate_hz: u32,
    pub(super) bye: bool,
    pub(super) frames_not_kept: u64,
    pub(super) watch: Watch,
    /// Both clocks of the last sender report: NTP and RTP.
    pub(super) reported: Option<(u64, u32)>,
    codec: &'static str,
    payload_type: u8,
    source: Option<Source>,
    statistics: Statistics,
    reorder: Reorder<Held>,
    depacketiser: Depacketiser,
    ends: Ends,
    line: Option<Line>,
    newest_ticks: Option<i64>,
    sums: Sums,
    at_last_second: Snapshot,
    inter_arrival: Histogram,
    inter_arrival_second: Histogram,
    /// The first and the last arrival since the last pause.
    stretch: Option<(Instant, Instant)>,
    stretches_before: Duration,
    first_frame_said: bool,
    from_other_sources: u64,
    other_payload_types: u64,
    /// This side ended in the middle of a frame.
    is_cut: bool,
    /// What is held is given out, whole or not.
    flushing: bool,
    /// The first packet of a new numbering, which comes after what is given out.
    behind_flush: Option<Held>,
    has_begun: bool,
}

/// Who sends the track's packets.
#[derive(Clone, Copy)]
struct Source {
    ssrc: Ssrc,
    last: Instant,
}

/// A packet that waits for its turn.
#[derive(Clone, Debug)]
struct Held {
    at: Instant,
    extended: u64,
    data: Bytes,
}

/// Where the movie's time stands on the RTP clock.
#[derive(Clone, Copy, Debug)]
struct Line {
    rtp_timestamp: u32,
    /// The same, not wrapped, once a frame has shown in which cycle it is.
    ticks: Option<i64>,
    start: MediaTime,
}

/// What is counted here rather than by [`Statistics`] and [`Reorder`].
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    frames: u64,
    key_frames: u64,
    frames_discarded: u64,
    ip_bytes: Option<u64>,
}

/// All counts at one time.
#[derive(Clone, Copy, Debug, Default)]
struct Snapshot {
    sums: Sums,
    counts: Counts,
    late: u64,
}

/// So long a source must be silent before another one takes its place.
const SOURCE_SILENCE: Duration = Duration::from_secs(1);

impl Track {
    /// Measures a track that can be read.
    pub(super) fn new(description: &TrackDescription) -> Option<Self> {
        let depacketiser = description.depacketiser.as_ref().ok()?.clone();
        Some(Track {
            number: description.track,
            kind: description.kind,
            clock_rate_hz: description.clock_rate_hz,
            bye: false,
            frames_not_kept: 0,
            reported: None,
            watch: Watch::new(
                description.track,
                description.kind,
                description.clock_rate_hz,
                description.payload_type,
            ),
            codec: depacketiser.codec_name(),
            payload_type: description.payload_type,
            source: None,
            statistics: Statistics::new(description.clock_rate_hz),
            reorder: Reorder::new(ReorderConfig::UDP),
            depacketiser,
            ends: Ends::default(),
            line: None,
            newest_ticks: None,
            sums: Sums::default(),
            at_last_second: Snapshot::default(),
            inter_arrival: Histogram::new(),
            inter_arrival_second: Histogram::new(),
            stretch: None,
            stretches_before: Duration::ZERO,
            first_frame_said: false,
            from_other_sources: 0,
            other_payload_types: 0,
            is_cut: false,
            flushing: false,
            behind_flush: None,
            has_begun: false,
        })
    }

    /// Notes where the packets start.
    pub(super) fn starts(&mut self, udp: bool, start: &TrackStart, from: Option<MediaTime>) {
        if !udp && self.statistics.counts().received == 0 {
            self.reorder = Reorder::new(ReorderConfig::TCP);
        }
        self.bye = false;
        self.watch.starts(udp, start);
        if let Some(seq) = start.first_seq {
            self.ends.starts_at(seq);
        }
        if let Some((rtp_timestamp, start)) = start.rtp_timestamp.zip(from) {
            self.line = Some(Line { rtp_timestamp, ticks: None, start });
            if let Some(ticks) = self.newest_ticks {
                self.place_line(ticks);
            }
        }
    }

    /// The stream stands still.
    pub(super) fn pause(&mut self) {
        if let Some((first, last)) = self.stretch.take() {
            self.stretches_before += last.since(first);
        }
    }

    /// Takes in a packet; gives the record of it, unless it is another source's.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        at: Instant,
        data: &Bytes,
        ip_bytes: Option<u32>,
    ) -> Result<Option<event::RtpPacket>, Error> {
        let packet = Packet::parse(data).inspect_err(|error| self.watch.unreadable(error))?;
        if !self.is_from_source(at, packet.header.ssrc) {
            self.from_other_sources += 1;
            return Ok(None);
        }
        if let Some(bytes) = ip_bytes {
            self.sums.ip_bytes = Some(self.sums.ip_bytes.unwrap_or(0) + u64::from(bytes));
        }
        let header = packet.header;
        self.watch.packet(&header);
        let arrival =
            self.statistics.receive(at, header.sequence, header.time, packet.payload.len());
        if arrival.kind == ArrivalKind::Restarted {
            self.watch.restarted();
            self.reorder.flush();
            self.flushing = true;
        }
        if arrival.kind.is_usable() {
            self.note_arrival(at);
            let held = Held { at, extended: arrival.extended, data: data.clone() };
            if self.flushing {
                self.behind_flush = Some(held);
            } else {
                self.reorder.push(now, arrival.extended, held);
            }
        }
        Ok(Some(event::RtpPacket {
            track: self.number,
            seq: arrival.extended,
            rtp_timestamp: header.time.0,
            marker: header.marker,
            bytes: u32::try_from(packet.payload.len()).unwrap_or(u32::MAX),
            ip_bytes,
        }))
    }

    /// Notes a sender report of this track's source.
    pub(super) fn sender_report(&mut self, at: Instant, report: &SenderReport, says_bye: bool) {
        let source = self.source.map(|source| source.ssrc);
        self.watch.sender_report(report, source, self.statistics.counts().received);
        if self.source.is_some_and(|source| source.ssrc != report.ssrc) {
            return;
        }
        self.statistics.sender_report(at, report.ntp);
        let highest = self.statistics.counts().highest_extended;
        self.ends.sender_report(report.packet_count, highest, says_bye);
    }

    /// Notes that sources leave.
    pub(super) fn goodbye(&mut self, sources: &[Ssrc]) {
        self.bye |= self.source.is_none_or(|source| sources.contains(&source.ssrc));
    }

    /// The next whole frame. What else comes out is written down.
    pub(super) fn release(
        &mut self,
        now: Instant,
        started: Instant,
        records: &Sink,
    ) -> Option<AccessUnit> {
        loop {
            while let Some(output) = self.depacketiser.poll() {
                match output {
                    Output::AccessUnit(unit) => {
                        self.take_frame(&unit, started, records);
                        return Some(unit);
                    }
                    Output::Dropped(dropped) => self.discard(now, &dropped, records),
                    _ => {}
                }
            }
            match self.reorder.poll(now) {
                Some((held, lost_before)) => self.depacketise(&held, lost_before, records, now),
                None if std::mem::take(&mut self.flushing) => {
                    if !self.is_cut {
                        self.depacketiser.flush();
                    }
                    if let Some(held) = self.behind_flush.take() {
                        self.reorder.push(now, held.extended, held);
                    }
                }
                None => return None,
            }
        }
    }

    /// Gives out all that is held, whole or not.
    pub(super) fn flush(&mut self, is_cut: bool) {
        self.is_cut = is_cut;
        self.reorder.flush();
        self.flushing = true;
        self.pause();
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.reorder.next_timeout()
    }

    pub(super) fn codec(&self) -> Option<Codec> {
        self.depacketiser.codec()
    }

    pub(super) fn counts(&self) -> Counts {
        self.statistics.counts()
    }

    pub(super) fn frames(&self) -> u64 {
        self.sums.frames
    }

    pub(super) fn jitter_ns(&self) -> Option<u64> {
        self.statistics.jitter_ns()
    }

    /// The newest place of the movie that has come.
    pub(super) fn position(&self) -> Option<MediaTime> {
        self.pts(self.newest_ticks?)
    }

    /// When a frame is shown, in the movie's own time.
    pub(super) fn pts(&self, rtp_ticks: i64) -> Option<MediaTime> {
        let line = self.line?;
        let since = rtp_ticks.saturating_sub(line.ticks?);
        Some(line.start + MediaTime::from_ticks(since, self.clock_rate_hz.max(1)))
    }

    /// When a frame was captured by the sender's clock.
    pub(super) fn sender_time(&self, rtp_ticks: i64) -> Option<MediaTime> {
        let (ntp, rtp_time) = self.reported?;
        let reported_ns = i64::try_from(Utc::from_ntp(ntp)?.as_nanos()).ok()?;
        // The nearest of those that the lower 32 bits name.
        let since = (rtp_ticks as u32).wrapping_sub(rtp_time) as i32;
        let since = MediaTime::from_ticks(i64::from(since), self.clock_rate_hz.max(1));
        Some(MediaTime::from_nanos(reported_ns) + since)
    }

    pub(super) fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        let ssrc = self.source?.ssrc;
        self.statistics.report_block(now, ssrc)
    }

    /// What came and was not used, and how often.
    pub(super) fn dropped(&self) -> [(&'static str, u64); 4] {
        [
            ("RTP packets too far behind to be told from duplicates", self.counts().too_late),
            ("RTP packets of another source", self.from_other_sources),
            ("RTP packets of another payload type", self.other_payload_types),
            ("frames that were not written to the movie file", self.frames_not_kept),
        ]
    }

    /// The record of the second that is over.
    pub(super) fn second(&mut self, span_ns: u64) -> event::TrackSecond {
        let now = self.snapshot();
        let before = std::mem::replace(&mut self.at_last_second, now);
        let ip_bytes = now.sums.ip_bytes.map(|sum| sum - before.sums.ip_bytes.unwrap_or(0));
        event::TrackSecond {
            track: self.number,
            span_ns,
            frames: now.sums.frames - before.sums.frames,
            key_frames: now.sums.key_frames - before.sums.key_frames,
            frames_discarded: now.sums.frames_discarded - before.sums.frames_discarded,
            bytes: now.counts.bytes - before.counts.bytes,
            ip_bytes,
            packets: now.counts.received - before.counts.received,
            expected: now.counts.expected - before.counts.expected,
            lost: now.counts.lost as i64 - before.counts.lost as i64,
            reordered: now.counts.reordered - before.counts.reordered,
            duplicates: now.counts.duplicates - before.counts.duplicates,
            late: now.late - before.late,
            jitter_ns: self.jitter_ns(),
            jitter_against_50ms_ns: None,
            inter_arrival_ns: std::mem::take(&mut self.inter_arrival_second),
        }
    }

    /// The record of the whole track.
    pub(super) fn total(&mut self) -> event::TrackTotal {
        let Snapshot { sums, counts, late } = self.snapshot();
        let received = counts.first_extended.zip(counts.highest_extended);
        // After a new numbering nobody knows what was between the two.
        let ends = match counts.restarts {
            0 => self.ends.lost(received),
            _ => Lost::default(),
        };
        event::TrackTotal {
            track: self.number,
            codec: self.codec.into(),
            receiving_ns: (counts.received > 1).then(|| super::nanos(self.stretches_before)),
            frames: sums.frames,
            key_frames: sums.key_frames,
            frames_discarded: sums.frames_discarded,
            bytes: counts.bytes,
            ip_bytes: sums.ip_bytes,
            packets: counts.received,
            expected: counts.expected,
            lost: counts.lost,
            reordered: counts.reordered,
            duplicates: counts.duplicates,
            late,
            head_lost: ends.head,
            tail_lost: ends.tail,
            first_seq: counts.first_extended,
            highest_seq: counts.highest_extended,
            jitter_ns: self.jitter_ns(),
            jitter_against_50ms_ns: None,
            inter_arrival_ns: self.inter_arrival.clone(),
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot { sums: self.sums, counts: self.counts(), late: self.reorder.late() }
    }

    /// Whether a packet is of the source that is measured: the first one that came, or another
    /// once that one has been silent.
    fn is_from_source(&mut self, at: Instant, ssrc: Ssrc) -> bool {
        match &mut self.source {
            Some(source) if source.ssrc == ssrc => {
                source.last = at;
                true
            }
            Some(source) if at.since(source.last) < SOURCE_SILENCE => false,
            Some(_) => {
                self.watch.restarted();
                self.statistics.restart();
                self.reorder.flush();
                self.flushing = true;
                self.source = Some(Source { ssrc, last: at });
                true
            }
            None => {
                self.source = Some(Source { ssrc, last: at });
                true
            }
        }
    }

    fn note_arrival(&mut self, at: Instant) {
        let Some((_, last)) = &mut self.stretch else {
            self.stretch = Some((at, at));
            return;
        };
        let since = super::nanos(at.since(*last));
        *last = at.max(*last);
        self.inter_arrival.record(since);
        self.inter_arrival_second.record(since);
    }

    fn depacketise(&mut self, held: &Held, lost_before: u64, records: &Sink, now: Instant) {
        if lost_before > 0 {
            let first_seq = held.extended - lost_before;
            let gap = event::Gap { track: self.number, first_seq, count: lost_before };
            records.emit(now, gap);
        }
        // It was read when it came.
        let Ok(packet) = Packet::parse(&held.data) else {
            return;
        };
        if packet.header.payload_type != self.payload_type {
            self.other_payload_types += 1;
            return;
        }
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let lost = lost_before > 0 || is_first && self.ends.is_behind_start(held.extended);
        self.depacketiser.push(held.at, &packet, lost);
    }

    fn take_frame(&mut self, unit: &AccessUnit, started: Instant, records: &Sink) {
        self.place_line(unit.rtp_ticks);
        self.watch.frame(unit.rtp_ticks);
        self.newest_ticks = self.newest_ticks.max(Some(unit.rtp_ticks));
        self.sums.frames += 1;
        if !unit.key.starts() {
            return;
        }
        self.sums.key_frames += 1;
        if self.depacketiser.codec().is_some()
            && !std::mem::replace(&mut self.first_frame_said, true)
        {
            let after_ns = super::nanos(unit.arrival.since(started));
            let first = event::FirstDecodableFrame { track: self.number, after_ns };
            records.emit(unit.arrival, first);
        }
    }

    fn discard(&mut self, now: Instant, dropped: &Dropped, records: &Sink) {
        self.place_line(dropped.rtp_ticks);
        self.sums.frames_discarded += 1;
        if dropped.reason == DropReason::Malformed {
            self.watch.malformed();
        }
        let discarded = event::FrameDiscarded {
            track: self.number,
            pts_ns: self.pts(dropped.rtp_ticks).map(MediaTime::as_nanos),
            reason: match dropped.reason {
                DropReason::Malformed => DiscardReason::Malformed,
                DropReason::TooLarge => DiscardReason::TooLarge,
                _ => DiscardReason::Incomplete,
            },
        };
        records.emit(now, discarded);
    }

    /// Finds the cycle of the line's start, next to `ticks`.
    fn place_line(&mut self, ticks: i64) {
        if let Some(line) = &mut self.line
            && line.ticks.is_none()
        {
            let since = RtpTime(ticks as u32).distance_from(RtpTime(line.rtp_timestamp));
            line.ticks = Some(ticks.saturating_sub(i64::from(since)));
        }
    }
}

/// The codec's name as people write it, of any track.
pub(super) fn codec_name(description: &TrackDescription) -> &str {
    match &description.depacketiser {
        Ok(depacketiser) => depacketiser.codec_name(),
        Err(_) => &description.encoding,
    }
}
