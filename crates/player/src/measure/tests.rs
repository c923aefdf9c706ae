//! The measuring core against crafted packets.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use weir_dial::rtsp::{Event, Happened, Lower, TrackDescription, TrackStart};
use weir_media::Kind;
use weir_proto::rtcp::{self, Goodbye, NtpTime, Packet, SenderReport, SourceDescription};
use weir_proto::rtp::depack::Depacketiser;
use weir_proto::rtp::{Header, RtpTime, SequenceNumber, Ssrc};
use weir_record::event::{DiscardReason, EndReason, TrackTotal};
use weir_record::{Drain, Event as Record, Level, queue};
use weir_time::Instant;

use super::Measure;

const SSRC: Ssrc = Ssrc(9);
const FIRST_SEQ: u16 = 65_530;
const PAYLOAD_BYTES: u64 = 8;
const IP_BYTES: u64 = 12 + PAYLOAD_BYTES + 28;

/// A measure of one track of sound at 48 kHz, in which each packet is a frame.
struct Bench {
    measure: Measure,
    drain: Drain,
    now: Instant,
}

impl Bench {
    /// One that is told where the packets begin.
    fn new() -> Self {
        let mut bench = Bench::before_play();
        bench.play(Some(FIRST_SEQ));
        bench
    }

    fn before_play() -> Self {
        let (sink, drain) = queue(Level::Packet, 10_000);
        let now = Instant::from_millis(1_000);
        let mut bench = Bench { measure: Measure::new(sink, false), drain, now };
        bench.event(Event::Connecting { url: "rtsp://h/sound".to_owned(), lower: Lower::Udp });
        let parameters = "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190";
        let depacketiser = Depacketiser::from_sdp("mpeg4-generic", 48_000, Some(2), parameters);
        let track = TrackDescription {
            track: 3,
            kind: Kind::Audio,
            encoding: "mpeg4-generic".to_owned(),
            clock_rate_hz: 48_000,
            payload_type: 97,
            control: String::new(),
            depacketiser: depacketiser.map_err(|error| error.to_string()),
        };
        bench.event(Event::Described { tracks: vec![track] });
        bench
    }

    fn play(&mut self, first_seq: Option<u16>) {
        let start = TrackStart { track: 3, ssrc: None, first_seq, rtp_timestamp: Some(0) };
        self.event(Event::Playing {
            lower: Lower::Udp,
            from: Some(Duration::ZERO),
            to: Some(Duration::from_secs(10)),
            tracks: vec![start],
        });
    }

    fn event(&mut self, event: Event) {
        let happened = Happened { at: self.now, event };
        self.measure.handle(self.now, &happened);
        self.measure.tick(self.now);
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.measure.tick(self.now);
    }

    /// The packet so many behind the first one, 20 ms after what was before.
    fn packet(&mut self, place: u16) {
        self.packet_of(SSRC, 97, place);
    }

    fn packet_of(&mut self, ssrc: Ssrc, payload_type: u8, place: u16) {
        self.pass(20);
        let header = Header {
            marker: true,
            payload_type,
            sequence: SequenceNumber(FIRST_SEQ).plus(place),
            time: RtpTime(u32::from(place) * 960),
            ssrc,
        };
        let mut head = [0; Header::BYTES];
        header.write(&mut head);
        let data = Bytes::from([&head[..], &[0, 16, 0, 4 << 3, 1, 2, 3, 4]].concat());
        let ip_bytes = u32::try_from(IP_BYTES).ok();
        self.event(Event::Rtp { track: 3, data, ip_bytes });
    }

    fn report(&mut self, packet_count: u32, bye: bool) {
        let mut packets = vec![
            Packet::SenderReport(SenderReport {
                ssrc: SSRC,
                ntp: NtpTime(1 << 40),
                rtp_time: RtpTime(0),
                packet_count,
                octet_count: 0,
                reports: Vec::new(),
            }),
            Packet::SourceDescription(SourceDescription::cname(SSRC, "test")),
        ];
        if bye {
            packets.push(Packet::Goodbye(Goodbye { sources: vec![SSRC], reason: None }));
        }
        let mut data = BytesMut::new();
        rtcp::compound(&packets, &mut data).unwrap();
        self.event(Event::Rtcp { track: 3, data: data.freeze() });
    }

    /// Ends, and gives the total and all records.
    fn finish(mut self) -> (TrackTotal, Vec<Record>) {
        self.measure.flush(self.now, false);
        self.measure.finish(self.now, EndReason::EndOfStream, None);
        let mut records = Vec::new();
        self.drain.take(&mut records);
        let events: Vec<_> = records.into_iter().map(|record| record.event).collect();
        let total = events.iter().find_map(|event| match event {
            Record::TrackTotal(total) => Some((**total).clone()),
            _ => None,
        });
        (total.expect("a total is written"), events)
    }
}

fn gaps(events: &[Record]) -> Vec<(u64, u64)> {
    let gap = |event: &Record| match event {
        Record::Gap(gap) => Some((gap.first_seq, gap.count)),
        _ => None,
    };
    events.iter().filter_map(gap).collect()
}

/// Sums of all seconds: expected, packets, lost, duplicates, frames.
fn seconds(events: &[Record]) -> (u64, u64, i64, u64, u64) {
    let second = |event: &Record| match event {
        Record::TrackSecond(second) => Some((**second).clone()),
        _ => None,
    };
    events.iter().filter_map(second).fold((0, 0, 0, 0, 0), |sums, second| {
        (
            sums.0 + second.expected,
            sums.1 + second.packets,
            sums.2 + second.lost,
            sums.3 + second.duplicates,
            sums.4 + second.frames,
        )
    })
}

#[test]
fn what_comes_whole_is_counted_over_the_wrap_of_the_numbers() {
    let mut bench = Bench::new();
    (0..100).for_each(|place| bench.packet(place));
    let (total, events) = bench.finish();
    assert_eq!((total.packets, total.expected, total.lost), (100, 100, 0));
    assert_eq!((total.frames, total.key_frames, total.frames_discarded), (100, 100, 0));
    assert_eq!((total.bytes, total.ip_bytes), (100 * PAYLOAD_BYTES, Some(100 * IP_BYTES)));
    assert_eq!((total.head_lost, total.tail_lost), (Some(0), None));
    assert_eq!(total.jitter_ns, Some(0));
    assert_eq!(total.receiving_ns, Some(99 * 20_000_000));
    assert_eq!(total.inter_arrival_ns.count(), 99);
    assert_eq!(seconds(&events), (100, 100, 0, 0, 100));
    assert!(matches!(events.last(), Some(Record::Ended(_))));
}

#[test]
fn lost_packets_are_a_gap_once_they_are_given_up() {
    let mut bench = Bench::new();
    [0, 1, 2, 6, 7].into_iter().for_each(|place| bench.packet(place));
    bench.pass(50);
    let (total, events) = bench.finish();
    assert_eq!((total.packets, total.expected, total.lost), (5, 8, 3));
    assert_eq!(gaps(&events), [(total.first_seq.unwrap() + 3, 3)]);
    assert_eq!((total.frames, total.late), (5, 0));
}

#[test]
fn packets_out_of_order_and_twice_are_no_loss() {
    let mut bench = Bench::new();
    [0, 2, 1, 3, 3, 4].into_iter().for_each(|place| bench.packet(place));
    let (total, events) = bench.finish();
    assert_eq!((total.packets, total.expected, total.lost), (5, 5, 0));
    assert_eq!((total.reordered, total.duplicates), (1, 1));
    assert_eq!((total.frames, gaps(&events).len()), (5, 0));
    assert_eq!(total.bytes, 5 * PAYLOAD_BYTES, "a duplicate's bytes count once");
    assert_eq!(total.ip_bytes, Some(6 * IP_BYTES), "and travelled twice");
    assert_eq!(seconds(&events).3, 1);
}

#[test]
fn a_packet_that_comes_after_it_was_given_up_is_late_and_takes_the_loss_back() {
    let mut bench = Bench::new();
    [0, 2, 3].into_iter().for_each(|place| bench.packet(place));
    bench.pass(1_000);
    bench.packet(1);
    let (total, events) = bench.finish();
    assert_eq!((total.packets, total.lost, total.late), (4, 0, 1));
    assert_eq!((total.frames, gaps(&events).len()), (3, 1));
    let lost = events.iter().filter_map(|event| match event {
        Record::TrackSecond(second) => Some(second.lost),
        _ => None,
    });
    assert_eq!(lost.collect::<Vec<_>>(), [1, -1]);
}

#[test]
fn head_and_tail_are_told_by_rtp_info_and_the_last_report() {
    let mut bench = Bench::before_play();
    bench.report(0, false);
    bench.play(Some(FIRST_SEQ));
    [2, 3, 4].into_iter().for_each(|place| bench.packet(place));
    assert!(!bench.measure.all_said_bye());
    bench.report(9, true);
    assert!(bench.measure.all_said_bye());
    let (total, events) = bench.finish();
    assert_eq!((total.head_lost, total.lost, total.tail_lost), (Some(2), 0, Some(4)));
    let names: Vec<_> = events.iter().map(Record::name).collect();
    assert!(names.contains(&"sender_report") && names.contains(&"bye"));
}

#[test]
fn without_rtp_info_and_reports_the_ends_are_absent() {
    let mut bench = Bench::before_play();
    bench.play(None);
    bench.packet(5);
    let (total, _) = bench.finish();
    assert_eq!((total.head_lost, total.tail_lost), (None, None));
    assert_eq!((total.receiving_ns, total.jitter_ns), (None, None), "one packet has no distance");
}

#[test]
fn the_first_byte_and_frame_are_told_once_and_counted_from_the_connecting() {
    let mut bench = Bench::new();
    (0..3).for_each(|place| bench.packet(place));
    let (_, events) = bench.finish();
    let after: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Record::FirstByte(event) => Some(event.after_ns),
            Record::FirstDecodableFrame(event) => Some(event.after_ns),
            _ => None,
        })
        .collect();
    assert_eq!(after, [20_000_000, 20_000_000]);
}

#[test]
fn another_source_is_kept_out_until_the_first_one_is_silent() {
    let mut bench = Bench::new();
    (0..3).for_each(|place| bench.packet(place));
    bench.packet_of(Ssrc(10), 97, 1_000);
    bench.pass(2_000);
    (1_001..1_004).for_each(|place| bench.packet_of(Ssrc(10), 97, place));
    let (total, events) = bench.finish();
    assert_eq!((total.packets, total.lost, total.frames), (6, 0, 6));
    assert_eq!((total.head_lost, total.tail_lost), (None, None), "two numberings have no ends");
    let dropped = events.iter().find_map(|event| match event {
        Record::Dropped(dropped) => Some((dropped.what.to_string(), dropped.count)),
        _ => None,
    });
    assert_eq!(dropped, Some(("track 3: RTP packets of another source".to_owned(), 1)));
}

#[test]
fn another_payload_type_counts_as_a_packet_and_gives_no_frame() {
    let mut bench = Bench::new();
    bench.packet(0);
    bench.packet_of(SSRC, 13, 1);
    bench.packet(2);
    let (total, events) = bench.finish();
    assert_eq!((total.packets, total.lost, total.frames), (3, 0, 2));
    assert!(events.iter().any(|event| matches!(event, Record::Dropped(_))));
}

#[test]
fn what_is_no_rtp_is_counted_and_harms_nothing() {
    let mut bench = Bench::new();
    bench.packet(0);
    for data in [&b""[..], b"x", &[0; 40], &[0x80; 11]] {
        let data = Bytes::copy_from_slice(data);
        bench.event(Event::Rtp { track: 3, data: data.clone(), ip_bytes: None });
        bench.event(Event::Rtcp { track: 3, data: data.clone() });
        bench.event(Event::Rtp { track: 200, data, ip_bytes: None });
    }
    bench.packet(1);
    let (total, events) = bench.finish();
    assert_eq!((total.packets, total.frames), (2, 2));
    let dropped = events.iter().filter_map(|event| match event {
        Record::Dropped(dropped) => Some(dropped.count),
        _ => None,
    });
    assert_eq!(dropped.collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn a_frame_that_breaks_its_payload_format_is_discarded_with_its_place() {
    let mut bench = Bench::new();
    bench.packet(0);
    let header = Header {
        marker: true,
        payload_type: 97,
        sequence: SequenceNumber(FIRST_SEQ).plus(1),
        time: RtpTime(48_000),
        ssrc: SSRC,
    };
    let mut head = [0; Header::BYTES];
    header.write(&mut head);
    let data = Bytes::from([&head[..], &[0, 16, 0xff, 0xff, 1]].concat());
    bench.event(Event::Rtp { track: 3, data, ip_bytes: None });
    (2..5).for_each(|place| bench.packet(place));
    let (total, events) = bench.finish();
    assert_eq!((total.frames, total.frames_discarded), (4, 1));
    let discarded = events.iter().find_map(|event| match event {
        Record::FrameDiscarded(event) => Some((event.pts_ns, event.reason)),
        _ => None,
    });
    let (pts_ns, reason) = discarded.expect("it is written down");
    assert_eq!(pts_ns, Some(1_000_000_000));
    assert!(matches!(reason, DiscardReason::Malformed | DiscardReason::Incomplete));
}

#[test]
fn seconds_cover_a_second_each_and_the_last_one_the_rest() {
    let mut bench = Bench::new();
    (0..125).for_each(|place| bench.packet(place));
    let (_, events) = bench.finish();
    let spans = events.iter().filter_map(|event| match event {
        Record::TrackSecond(second) => Some((second.span_ns, second.packets)),
        _ => None,
    });
    let spans: Vec<_> = spans.collect();
    assert_eq!(
        spans.iter().map(|span| span.0).collect::<Vec<_>>(),
        [1_000_000_000, 1_000_000_000, 500_000_000]
    );
    assert_eq!(spans.iter().map(|span| span.1).sum::<u64>(), 125);
}
