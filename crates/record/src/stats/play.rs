//! What a viewer saw.

use std::collections::BTreeMap;

use serde::Serialize;
use weir_time::Instant;

use crate::event::{
    DiscardReason, EndReason, Gap, LatencyBasis, LatencyTotal, MediaKind, MediaTotal, TrackSecond,
    TrackTotal,
};
use crate::{Event, Histogram, Record, Text};

/// What a viewer saw, from the records of a player.
///
/// A figure is `None`, and `null` in JSON, where the records do not hold what it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlaySummary {
    /// What was played.
    pub url: Option<Text>,
    /// How the media travelled, by the last try: a player may fall back from UDP to TCP.
    pub transport: Option<Text>,
    /// Why the run ended; `None` while it runs, and where the records stop before.
    pub ended: Option<EndReason>,
    /// More about the end.
    pub ended_text: Option<Text>,
    /// From `connecting` to the last record.
    pub lasted_ns: Option<u64>,
    /// From `connecting` until the connection stood.
    pub connect_ns: Option<u64>,
    /// From `connecting` to the first byte of media.
    pub first_byte_ns: Option<u64>,
    /// From `connecting` to the first complete frame with which decoding can start: of the
    /// picture, or of any track where no track is known to be picture.
    pub first_decodable_frame_ns: Option<u64>,
    /// Where the play began, in the movie's own time, as the server said: the key frame at or
    /// before the place asked for. `None` for a live stream.
    pub began_at_ns: Option<u64>,
    /// From `connecting` to the first frame shown, where a player shows frames at their times.
    pub startup_ns: Option<u64>,
    /// How often the play stood still because nothing had come, once it had started.
    pub stalls: Option<u64>,
    /// For how long in all, stalls that ended.
    pub stalled_ns: Option<u64>,
    /// True latency, where the picture bears a time code.
    pub latency: Option<LatencySummary>,
    /// Warnings recorded.
    pub warnings: u64,
    /// What the first few of them say, each once.
    pub warning_texts: Vec<Text>,
    /// Errors recorded.
    pub errors: u64,
    /// Records that are missing, because they came faster than they could be written.
    pub records_dropped: u64,
    /// The tracks, by number.
    pub tracks: Vec<TrackSummary>,
}

impl PlaySummary {
    /// The summary of `records`.
    pub fn from_records<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut builder = PlaySummaryBuilder::new();
        records.into_iter().for_each(|record| builder.push(record));
        builder.finish()
    }
}

/// True latency: from the capture of a frame, by the time code in its picture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LatencySummary {
    /// Up to what it is measured.
    pub basis: LatencyBasis,
    /// Frames that it is known of.
    pub frames: u64,
    /// Frames with a time code of a recording, which have none.
    pub frames_recorded: u64,
    /// Frames without a readable time code.
    pub frames_unread: u64,
    /// Frames that were not decoded.
    pub frames_skipped: u64,
    /// Median.
    pub p50_ns: Option<u64>,
    /// 95th percentile.
    pub p95_ns: Option<u64>,
    /// 99th percentile.
    pub p99_ns: Option<u64>,
    /// The longest.
    pub max_ns: Option<u64>,
    /// Pairs of a flash and a beep that were seen and heard.
    pub skews: u64,
    /// Median of the time between them.
    pub skew_p50_ns: Option<u64>,
    /// 95th percentile of the same.
    pub skew_p95_ns: Option<u64>,
}

impl LatencySummary {
    fn of(total: &LatencyTotal) -> Self {
        LatencySummary {
            basis: total.basis,
            frames: total.frames_live,
            frames_recorded: total.frames_recorded,
            frames_unread: total.frames_unread,
            frames_skipped: total.frames_skipped,
            p50_ns: total.latency_ns.quantile(0.5),
            p95_ns: total.latency_ns.quantile(0.95),
            p99_ns: total.latency_ns.quantile(0.99),
            max_ns: total.latency_ns.max(),
            skews: total.skew_ns.count(),
            skew_p50_ns: total.skew_ns.quantile(0.5),
            skew_p95_ns: total.skew_ns.quantile(0.95),
        }
    }
}

/// What came of one track.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TrackSummary {
    /// The track's place in its stream.
    pub track: u8,
    /// Picture or sound.
    pub kind: Option<MediaKind>,
    /// The codec's name.
    pub codec: Option<Text>,
    /// What the figures below are made of.
    pub basis: Basis,
    /// The time that the data rate is over.
    pub receiving_ns: Option<u64>,
    /// From `connecting` to the first complete frame with which decoding can start.
    pub first_decodable_frame_ns: Option<u64>,
    /// Complete frames.
    pub frames: Option<u64>,
    /// Complete frames with which decoding can start.
    pub key_frames: Option<u64>,
    /// Frames whose time to be shown came, where a player shows frames at their times.
    pub frames_shown: Option<u64>,
    /// Frames thrown away.
    pub frames_discarded: Option<u64>,
    /// Payload bytes.
    pub bytes: Option<u64>,
    /// Bytes of IP packets.
    pub ip_bytes: Option<u64>,
    /// Payload bits a second over `receiving_ns`.
    pub data_rate_bps: Option<u64>,
    /// Packets received, duplicates left out.
    pub packets: Option<u64>,
    /// Packets from the first to the highest sequence number received.
    pub expected: Option<u64>,
    /// Packets lost between the first and the last received.
    pub lost: Option<u64>,
    /// Packets lost before the first received.
    pub head_lost: Option<u64>,
    /// Packets lost after the last received.
    pub tail_lost: Option<u64>,
    /// Runs of packets that were missing when the player went on without them.
    pub gaps: Option<u64>,
    /// Packets in the longest of them; `None` without any.
    pub gap_packets_max: Option<u64>,
    /// From `connecting` to when the longest was given up.
    pub gap_longest_at_ns: Option<u64>,
    /// Frames thrown away because packets of theirs never came. Frames of which nothing came are
    /// not among them: nobody knows how many they are.
    pub frames_incomplete: Option<u64>,
    /// Packets that came after one with a higher sequence number.
    pub reordered: Option<u64>,
    /// Packets that came again.
    pub duplicates: Option<u64>,
    /// Packets, among those received, that came after their frame had been given up.
    pub late: Option<u64>,
    /// Inter-arrival jitter at the end (RFC 3550 section 6.4.1).
    pub jitter_ns: Option<u64>,
    /// The greatest inter-arrival jitter at the end of a second.
    pub jitter_max_ns: Option<u64>,
    /// Jitter at the end by arrivals alone, against one frame each 50 ms: classroom dialect.
    pub jitter_against_50ms_ns: Option<u64>,
    /// Median time from one packet's arrival to the next.
    pub inter_arrival_p50_ns: Option<u64>,
    /// 95th percentile of the same.
    pub inter_arrival_p95_ns: Option<u64>,
    /// 99th percentile of the same.
    pub inter_arrival_p99_ns: Option<u64>,
    /// The longest.
    pub inter_arrival_max_ns: Option<u64>,
}

impl TrackSummary {
    /// The share of the expected packets that was lost, from 0 to 1.
    pub fn loss_ratio(&self) -> Option<f64> {
        match (self.lost?, self.expected?) {
            (_, 0) => None,
            (lost, expected) => Some(lost as f64 / expected as f64),
        }
    }
}

/// What a track's figures are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Its `track_total`.
    Total,
    /// Its `track_second`s: the run still goes on, or the records were cut off. Packets lost
    /// before the first and after the last are not known.
    Seconds,
    /// Neither came, or seconds are missing: there are no figures.
    #[default]
    Nothing,
}

/// Makes a [`PlaySummary`], record by record. Holds a bounded amount for each of at most 256
/// tracks.
#[derive(Clone, Debug, Default)]
pub struct PlaySummaryBuilder {
    /// What needs no computing; its tracks stay empty.
    so_far: PlaySummary,
    started: Option<Instant>,
    last: Instant,
    seconds_dropped: bool,
    events_dropped: bool,
    tracks: BTreeMap<u8, TrackRecords>,
}

impl PlaySummaryBuilder {
    /// A builder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one record. Those of other roles than the player are passed over.
    pub fn push(&mut self, record: &Record) {
        self.last = self.last.max(record.at);
        let so_far = &mut self.so_far;
        match &record.event {
            // A later one is another try: elsewhere, or by another transport.
            Event::Connecting(event) => {
                self.started.get_or_insert(record.at);
                so_far.url.get_or_insert_with(|| event.url.clone());
                so_far.transport = Some(event.transport.clone());
            }
            Event::Playing(event) => {
                so_far.began_at_ns = so_far.began_at_ns.or(event.from_ns);
            }
            Event::Connected(event) => keep_first(&mut so_far.connect_ns, event.after_ns),
            Event::FirstByte(event) => keep_first(&mut so_far.first_byte_ns, event.after_ns),
            Event::FirstDecodableFrame(event) => {
                let track = self.tracks.entry(event.track).or_default();
                keep_first(&mut track.first_decodable_frame_ns, event.after_ns);
            }
            Event::TrackDescribed(event) => {
                let track = self.tracks.entry(event.track).or_default();
                track.kind = Some(event.kind);
                track.codec = Some(event.codec.clone());
            }
            Event::Gap(event) => {
                self.tracks.entry(event.track).or_default().gaps.add(record.at, event);
            }
            Event::FrameDiscarded(event) if event.reason == DiscardReason::Incomplete => {
                self.tracks.entry(event.track).or_default().gaps.frames_incomplete += 1;
            }
            Event::TrackSecond(event) => {
                let track = self.tracks.entry(event.track).or_default();
                track.seconds.get_or_insert_default().add(event);
            }
            Event::PlayoutStarted(event) => {
                keep_first(&mut so_far.startup_ns, event.after_ns);
                so_far.stalls.get_or_insert(0);
                so_far.stalled_ns.get_or_insert(0);
            }
            Event::Stalled(_) => {
                so_far.stalls = so_far.stalls.map(|stalls| stalls + 1);
            }
            Event::Resumed(event) => {
                let more = |stalled: u64| stalled.saturating_add(event.stalled_ns);
                so_far.stalled_ns = so_far.stalled_ns.map(more);
            }
            Event::LatencyTotal(event) => so_far.latency = Some(LatencySummary::of(event)),
            Event::MediaTotal(event) => {
                self.tracks.entry(event.track).or_default().media = Some(event.clone());
            }
            Event::TrackTotal(event) => {
                self.tracks.entry(event.track).or_default().total = Some(event.clone());
            }
            Event::Ended(event) => {
                so_far.ended = Some(event.reason);
                so_far.ended_text = event.text.clone();
            }
            Event::Warning(event) => {
                so_far.warnings += 1;
                let texts = &mut so_far.warning_texts;
                if texts.len() < WARNING_TEXTS_MAX && !texts.contains(&event.text) {
                    texts.push(event.text.clone());
                }
            }
            Event::Failure(_) => so_far.errors += 1,
            Event::RecordsDropped(event) => {
                self.seconds_dropped |= event.seconds > 0;
                self.events_dropped |= event.events > 0;
                so_far.records_dropped = [event.events, event.seconds, event.packets]
                    .into_iter()
                    .fold(so_far.records_dropped, u64::saturating_add);
            }
            _ => {}
        }
    }

    /// The summary of what was taken in so far.
    pub fn finish(&self) -> PlaySummary {
        let mut summary = self.so_far.clone();
        summary.lasted_ns = self.started.map(|started| nanos_between(started, self.last));
        summary.tracks = self
            .tracks
            .iter()
            .map(|(&number, track)| {
                let summary = track.summary(number, self.seconds_dropped);
                match self.events_dropped {
                    true => summary,
                    false => track.gaps.fill(summary, self.started),
                }
            })
            .collect();
        let any_video = summary.tracks.iter().any(is_video);
        summary.first_decodable_frame_ns = summary
            .tracks
            .iter()
            .filter(|track| !any_video || is_video(track))
            .filter_map(|track| track.first_decodable_frame_ns)
            .min();
        summary
    }
}

/// How many different warnings a summary quotes.
const WARNING_TEXTS_MAX: usize = 32;

fn is_video(track: &TrackSummary) -> bool {
    track.kind == Some(MediaKind::Video)
}

fn keep_first(slot: &mut Option<u64>, value: u64) {
    slot.get_or_insert(value);
}

fn nanos_between(from: Instant, to: Instant) -> u64 {
    to.as_nanos().saturating_sub(from.as_nanos())
}

/// What the records said of one track.
#[derive(Clone, Debug, Default)]
struct TrackRecords {
    kind: Option<MediaKind>,
    codec: Option<Text>,
    first_decodable_frame_ns: Option<u64>,
    seconds: Option<Seconds>,
    total: Option<Box<TrackTotal>>,
    media: Option<Box<MediaTotal>>,
    gaps: Gaps,
}

/// The runs of missing packets, and what they cost.
#[derive(Clone, Copy, Debug, Default)]
struct Gaps {
    count: u64,
    longest: Option<(u64, Instant)>,
    frames_incomplete: u64,
}

impl Gaps {
    fn add(&mut self, at: Instant, gap: &Gap) {
        self.count += 1;
        if self.longest.is_none_or(|(packets, _)| gap.count > packets) {
            self.longest = Some((gap.count, at));
        }
    }

    /// Fills in a track's figures, if the track was played.
    fn fill(&self, summary: TrackSummary, started: Option<Instant>) -> TrackSummary {
        if summary.basis == Basis::Nothing {
            return summary;
        }
        TrackSummary {
            gaps: Some(self.count),
            gap_packets_max: self.longest.map(|(packets, _)| packets),
            gap_longest_at_ns: self
                .longest
                .zip(started)
                .map(|((_, at), started)| nanos_between(started, at)),
            frames_incomplete: Some(self.frames_incomplete),
            ..summary
        }
    }
}

impl TrackRecords {
    fn summary(&self, track: u8, seconds_dropped: bool) -> TrackSummary {
        let seconds = self.seconds.as_ref().filter(|_| !seconds_dropped);
        let known = TrackSummary {
            track,
            kind: self.kind,
            codec: self.codec.clone(),
            first_decodable_frame_ns: self.first_decodable_frame_ns,
            jitter_max_ns: seconds.and_then(|seconds| seconds.jitter_max_ns),
            ..TrackSummary::default()
        };
        if let Some(media) = &self.media {
            return of_media(media, known);
        }
        match (&self.total, seconds) {
            (Some(total), _) => of_total(total, known),
            (None, Some(seconds)) => seconds.summary(known),
            (None, None) => known,
        }
    }
}

fn of_total(total: &TrackTotal, known: TrackSummary) -> TrackSummary {
    let summary = TrackSummary {
        basis: Basis::Total,
        codec: Some(total.codec.clone()),
        receiving_ns: total.receiving_ns,
        frames: Some(total.frames),
        key_frames: Some(total.key_frames),
        frames_discarded: Some(total.frames_discarded),
        bytes: Some(total.bytes),
        ip_bytes: total.ip_bytes,
        packets: Some(total.packets),
        expected: Some(total.expected),
        lost: Some(total.lost),
        head_lost: total.head_lost,
        tail_lost: total.tail_lost,
        reordered: Some(total.reordered),
        duplicates: Some(total.duplicates),
        late: Some(total.late),
        jitter_ns: total.jitter_ns,
        jitter_against_50ms_ns: total.jitter_against_50ms_ns,
        ..known
    };
    with_rate(with_inter_arrival(summary, &total.inter_arrival_ns))
}

fn of_media(total: &MediaTotal, known: TrackSummary) -> TrackSummary {
    with_rate(TrackSummary {
        basis: Basis::Total,
        codec: Some(total.codec.clone()),
        receiving_ns: total.receiving_ns,
        frames: Some(total.frames),
        key_frames: Some(total.key_frames),
        frames_shown: Some(total.frames_shown),
        bytes: Some(total.bytes),
        ..known
    })
}

fn with_inter_arrival(summary: TrackSummary, times: &Histogram) -> TrackSummary {
    TrackSummary {
        inter_arrival_p50_ns: times.quantile(0.5),
        inter_arrival_p95_ns: times.quantile(0.95),
        inter_arrival_p99_ns: times.quantile(0.99),
        inter_arrival_max_ns: times.max(),
        ..summary
    }
}

fn with_rate(summary: TrackSummary) -> TrackSummary {
    let rate = |(bytes, nanos): (u64, u64)| {
        let bits = u128::from(bytes) * 8 * 1_000_000_000;
        let rate = bits.checked_div(u128::from(nanos))?;
        Some(u64::try_from(rate).unwrap_or(u64::MAX))
    };
    TrackSummary {
        data_rate_bps: summary.bytes.zip(summary.receiving_ns).and_then(rate),
        ..summary
    }
}

/// The sums of a track's seconds.
#[derive(Clone, Debug, Default)]
struct Seconds {
    /// All that adds up, as one long second; its jitter is the last one.
    sum: TrackSecond,
    jitter_max_ns: Option<u64>,
    ip_bytes_missing: bool,
}

impl Seconds {
    fn add(&mut self, second: &TrackSecond) {
        let sum = &mut self.sum;
        for (total, part) in [
            (&mut sum.span_ns, second.span_ns),
            (&mut sum.frames, second.frames),
            (&mut sum.key_frames, second.key_frames),
            (&mut sum.frames_discarded, second.frames_discarded),
            (&mut sum.bytes, second.bytes),
            (&mut sum.packets, second.packets),
            (&mut sum.expected, second.expected),
            (&mut sum.reordered, second.reordered),
            (&mut sum.duplicates, second.duplicates),
            (&mut sum.late, second.late),
        ] {
            *total = total.saturating_add(part);
        }
        sum.lost = sum.lost.saturating_add(second.lost);
        self.ip_bytes_missing |= second.ip_bytes.is_none();
        let ip_bytes = second.ip_bytes.unwrap_or(0);
        sum.ip_bytes = Some(sum.ip_bytes.unwrap_or(0).saturating_add(ip_bytes));
        sum.jitter_ns = second.jitter_ns.or(sum.jitter_ns);
        sum.jitter_against_50ms_ns = second.jitter_against_50ms_ns.or(sum.jitter_against_50ms_ns);
        self.jitter_max_ns = self.jitter_max_ns.max(second.jitter_ns);
        sum.inter_arrival_ns.merge(&second.inter_arrival_ns);
    }

    fn summary(&self, known: TrackSummary) -> TrackSummary {
        let sum = &self.sum;
        let summary = TrackSummary {
            basis: Basis::Seconds,
            receiving_ns: Some(sum.span_ns),
            frames: Some(sum.frames),
            key_frames: Some(sum.key_frames),
            frames_discarded: Some(sum.frames_discarded),
            bytes: Some(sum.bytes),
            ip_bytes: sum.ip_bytes.filter(|_| !self.ip_bytes_missing),
            packets: Some(sum.packets),
            expected: Some(sum.expected),
            lost: u64::try_from(sum.lost).ok(),
            reordered: Some(sum.reordered),
            duplicates: Some(sum.duplicates),
            late: Some(sum.late),
            jitter_ns: sum.jitter_ns,
            jitter_against_50ms_ns: sum.jitter_against_50ms_ns,
            ..known
        };
        with_rate(with_inter_arrival(summary, &sum.inter_arrival_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RecordsDropped;
    use crate::event::{Connected, Connecting, Ended, FirstDecodableFrame, FrameDiscarded};
    use crate::event::{FirstByte, TrackDescribed};

    fn at(millis: u64, event: impl Into<Event>) -> Record {
        Record { at: Instant::from_millis(millis), event: event.into() }
    }

    fn second(arrivals: &[u64]) -> TrackSecond {
        let mut inter_arrival_ns = Histogram::new();
        arrivals.iter().for_each(|&nanos| inter_arrival_ns.record(nanos));
        TrackSecond {
            span_ns: 1_000_000_000,
            frames: 30,
            key_frames: 1,
            bytes: 1000,
            ip_bytes: Some(1400),
            packets: 9,
            expected: 10,
            lost: 1,
            jitter_ns: Some(5),
            inter_arrival_ns,
            ..TrackSecond::default()
        }
    }

    fn total() -> TrackTotal {
        TrackTotal {
            codec: "H.264".into(),
            receiving_ns: Some(2_000_000_000),
            frames: 60,
            bytes: 2000,
            packets: 19,
            expected: 20,
            lost: 1,
            head_lost: Some(0),
            ..TrackTotal::default()
        }
    }

    fn start() -> Vec<Record> {
        let track = |track, kind| TrackDescribed {
            track,
            kind,
            codec: "coded".into(),
            clock_rate_hz: Some(90_000),
        };
        vec![
            at(10, Connecting { url: "rtsp://h/movie".into(), transport: "udp".into() }),
            at(12, Connected { after_ns: 2_000_000, peer: None }),
            at(12, track(0, MediaKind::Video)),
            at(12, track(1, MediaKind::Audio)),
            at(15, FirstByte { after_ns: 5_000_000 }),
            at(15, FirstDecodableFrame { track: 1, after_ns: 5_000_000 }),
            at(19, FirstDecodableFrame { track: 0, after_ns: 9_000_000 }),
        ]
    }

    #[test]
    fn a_whole_run_is_summed_up_from_its_totals() {
        let mut records = start();
        records.push(at(1010, second(&[1, 2, 3])));
        records.push(at(2010, second(&[4])));
        records.push(at(2010, total()));
        records.push(at(2010, Ended { reason: EndReason::EndOfStream, text: None }));
        let summary = PlaySummary::from_records(&records);
        assert_eq!(summary.ended, Some(EndReason::EndOfStream));
        assert_eq!(summary.lasted_ns, Some(2_000_000_000));
        assert_eq!(summary.connect_ns, Some(2_000_000));
        assert_eq!(summary.first_byte_ns, Some(5_000_000));
        let track = &summary.tracks[0];
        assert_eq!((track.basis, track.frames, track.lost), (Basis::Total, Some(60), Some(1)));
        assert_eq!((track.head_lost, track.tail_lost), (Some(0), None));
        assert_eq!(track.data_rate_bps, Some(8000));
        assert_eq!(track.loss_ratio(), Some(0.05));
        assert_eq!(track.jitter_max_ns, Some(5));
        assert_eq!(track.inter_arrival_p50_ns, None, "the total's histogram is empty");
    }

    #[test]
    fn records_that_were_cut_off_are_summed_up_from_their_seconds() {
        let mut records = start();
        records.push(at(1010, second(&[1, 2, 3])));
        records.push(at(2010, second(&[40])));
        let summary = PlaySummary::from_records(&records);
        assert_eq!(summary.ended, None);
        let track = &summary.tracks[0];
        assert_eq!((track.basis, track.frames, track.lost), (Basis::Seconds, Some(60), Some(2)));
        assert_eq!((track.head_lost, track.tail_lost), (None, None));
        assert_eq!((track.data_rate_bps, track.ip_bytes), (Some(8000), Some(2800)));
        assert_eq!((track.inter_arrival_p50_ns, track.inter_arrival_max_ns), (Some(2), Some(40)));
        assert_eq!(summary.tracks[1].basis, Basis::Nothing);
        assert_eq!(summary.tracks[1].frames, None);
    }

    #[test]
    fn gaps_are_counted_from_their_events_and_unknown_where_events_are_missing() {
        let gap = |first_seq, count| Gap { track: 0, first_seq, count };
        let reason = DiscardReason::Incomplete;
        let discarded = FrameDiscarded { track: 0, pts_ns: None, reason };
        let mut records = start();
        records.extend([at(30, gap(5, 2)), at(510, gap(9, 7)), at(520, gap(40, 7))]);
        records.extend([at(520, discarded), at(2010, total())]);
        let summary = PlaySummary::from_records(&records);
        let track = &summary.tracks[0];
        assert_eq!((track.gaps, track.gap_packets_max), (Some(3), Some(7)));
        assert_eq!(
            (track.gap_longest_at_ns, track.frames_incomplete),
            (Some(500_000_000), Some(1))
        );
        assert_eq!(summary.tracks[1].gaps, None, "it was not played");
        records.push(at(2011, RecordsDropped { first_t_ns: 0, events: 1, seconds: 0, packets: 0 }));
        assert_eq!(PlaySummary::from_records(&records).tracks[0].gaps, None);
    }

    #[test]
    fn missing_seconds_leave_no_sums_behind() {
        let dropped = RecordsDropped { first_t_ns: 0, events: 0, seconds: 1, packets: 2 };
        let summary = PlaySummary::from_records(&[at(1000, second(&[1])), at(2000, dropped)]);
        assert_eq!(summary.records_dropped, 3);
        assert_eq!((summary.tracks[0].basis, summary.tracks[0].lost), (Basis::Nothing, None));
    }

    #[test]
    fn a_later_try_tells_the_transport_and_the_first_one_the_start() {
        let mut records = start();
        let url = "rtsp://h/movie".into();
        let transport = "tcp".into();
        records.push(at(3_010, Connecting { url, transport }));
        let summary = PlaySummary::from_records(&records);
        assert_eq!(summary.transport, Some("tcp".into()));
        assert_eq!(summary.lasted_ns, Some(3_000_000_000));
    }

    #[test]
    fn the_first_decodable_frame_is_that_of_the_picture() {
        let summary = PlaySummary::from_records(&start());
        assert_eq!(summary.first_decodable_frame_ns, Some(9_000_000));
        let sound_alone = PlaySummary::from_records(&[at(
            15,
            FirstDecodableFrame { track: 1, after_ns: 5_000_000 },
        )]);
        assert_eq!(sound_alone.first_decodable_frame_ns, Some(5_000_000));
    }
}
