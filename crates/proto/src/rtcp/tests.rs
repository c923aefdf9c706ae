use super::*;
use bytes::BytesMut;
use proptest::prelude::*;
use weir_time::Utc;

fn bytes_of(packets: &[Packet]) -> Vec<u8> {
    let mut out = BytesMut::new();
    compound(packets, &mut out).unwrap();
    out.to_vec()
}

fn receiver_report() -> Packet {
    Packet::ReceiverReport(ReceiverReport { ssrc: Ssrc(1), reports: Vec::new() })
}

/// A sender report and a CNAME as ffmpeg's RTP muxer sends them, laid out by hand.
const SENDER: [u8; 44] = [
    0x80, 200, 0, 6, 0x11, 0x22, 0x33, 0x44, 0xe9, 0x00, 0x00, 0x01, 0x80, 0, 0, 0, 0, 1, 0x5f,
    0x90, 0, 0, 0, 10, 0, 0, 0x10, 0, 0x81, 202, 0, 3, 0x11, 0x22, 0x33, 0x44, 1, 5, b'w', b'e',
    b'i', b'r', b'1', 0,
];

#[test]
fn a_sender_report_with_a_name_stands_byte_for_byte_as_in_section_6() {
    let report = SenderReport {
        ssrc: Ssrc(0x1122_3344),
        ntp: NtpTime(0xe900_0001_8000_0000),
        rtp_time: RtpTime(90_000),
        packet_count: 10,
        octet_count: 4_096,
        reports: Vec::new(),
    };
    let packets = [
        Packet::SenderReport(report),
        Packet::SourceDescription(SourceDescription::cname(Ssrc(0x1122_3344), "weir1")),
    ];
    assert_eq!(bytes_of(&packets), SENDER);
    assert_eq!(decode(&SENDER).unwrap(), packets);
}

#[test]
fn a_report_block_holds_a_signed_24_bit_loss() {
    let block = ReportBlock {
        ssrc: Ssrc(9),
        fraction_lost: 0x40,
        cumulative_lost: -2,
        extended_highest: 0x0001_0002,
        jitter_ticks: 3,
        last_sr: 4,
        delay_since_last_sr: 5,
    };
    let packets = [Packet::ReceiverReport(ReceiverReport { ssrc: Ssrc(1), reports: vec![block] })];
    let bytes = bytes_of(&packets);
    assert_eq!(bytes[..4], [0x81, 201, 0, 7]);
    assert_eq!(bytes[12..20], [0x40, 0xff, 0xff, 0xfe, 0, 1, 0, 2]);
    assert_eq!(decode(&bytes).unwrap(), packets);
}

#[test]
fn types_that_are_not_read_are_passed_over_by_their_length() {
    let app = [0x81, 204, 0, 2, 0, 0, 0, 1, b'n', b'a', b'm', b'e'];
    let bye = [0x81, 203, 0, 1, 0, 0, 0, 1];
    let packets = decode(&[&SENDER[..], &app, &bye].concat()).unwrap();
    assert_eq!(packets[2], Packet::Other { packet_type: 204, count: 1 });
    assert_eq!(packets[3], Packet::Goodbye(Goodbye { sources: vec![Ssrc(1)], reason: None }));
    let refusal = compound(&packets, &mut BytesMut::new()).unwrap_err();
    assert_eq!(refusal, EncodeError::Type { packet_type: 204 });
}

#[test]
fn items_other_than_the_canonical_name_are_passed_over() {
    let sdes = [0x81, 202, 0, 4, 0, 0, 0, 1, 6, 2, b'f', b'f', 1, 1, b'x', 0, 0, 0, 0, 0];
    // The word behind the end mark belongs to no chunk.
    let packets = decode(&[&SENDER[..28], &sdes].concat()).unwrap();
    let named = SourceDescription::cname(Ssrc(1), "x");
    assert_eq!(packets[1], Packet::SourceDescription(named));
}

#[test]
fn each_check_of_section_a_2_has_its_refusal() {
    let refusal = |bytes: &[u8]| decode(bytes).unwrap_err();
    assert_eq!(refusal(&[]), Error::Short { at: 0, needed: 4, left: 0 });
    assert_eq!(refusal(&SENDER[28..]), Error::FirstPacket { packet_type: 202 });
    assert_eq!(refusal(&SENDER[..40]), Error::Short { at: 28, needed: 16, left: 12 });
    let changed = |at: usize, byte: u8| {
        let mut bytes = SENDER;
        bytes[at] = byte;
        decode(&bytes).unwrap_err()
    };
    assert_eq!(changed(28, 0x41), Error::Version { at: 28, version: 1 });
    assert_eq!(changed(0, 0xa0), Error::Padding { at: 0 });
    assert_eq!(changed(28, 0xa1), Error::Padding { at: 28 });
    let part = Error::Part { packet_type: 200, at: 0, part: "report blocks" };
    assert_eq!(changed(0, 0x81), part);
    let part = Error::Part { packet_type: 202, at: 28, part: "chunks" };
    assert_eq!(changed(37, 7), part);
}

#[test]
fn only_the_last_packet_may_be_padded() {
    let padded = [0xa1, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4];
    let packets = decode(&[&SENDER[..], &padded].concat()).unwrap();
    assert_eq!(packets[2], Packet::Goodbye(Goodbye { sources: vec![Ssrc(1)], reason: None }));
    let not_last = [&SENDER[..], &padded, &SENDER].concat();
    assert_eq!(decode(&not_last), Err(Error::Padding { at: 44 }));
}

#[test]
fn what_does_not_fit_its_fields_is_refused_and_leaves_nothing_behind() {
    let mut out = BytesMut::from(&b"kept"[..]);
    let mut refusal = |packets: &[Packet]| {
        let refusal = compound(packets, &mut out).unwrap_err();
        assert_eq!(&out[..], b"kept");
        refusal
    };
    assert_eq!(refusal(&[]), EncodeError::FirstPacket);
    let long = SourceDescription::cname(Ssrc(1), "x".repeat(256));
    let packets = [receiver_report(), Packet::SourceDescription(long)];
    assert_eq!(refusal(&packets), EncodeError::Text { what: "CNAME", bytes: 256 });
    let many = Packet::Goodbye(Goodbye { sources: vec![Ssrc(1); 32], reason: None });
    let packets = [receiver_report(), many];
    assert_eq!(refusal(&packets), EncodeError::Count { what: "sources", count: 32 });
}

#[test]
fn rtcp_is_told_from_rtp_by_its_second_byte() {
    assert!(is_rtcp(&SENDER));
    assert!(is_rtcp(&[0x81, 205, 0, 0]));
    assert!(!is_rtcp(&[0x80, 0x80 | 96, 0, 0]));
    assert!(!is_rtcp(&[0x80, 96, 0, 0]));
    assert!(!is_rtcp(&[0x00, 200, 0, 0]));
    assert!(!is_rtcp(&[0x80]));
}

#[test]
fn the_round_trip_is_that_of_the_example_in_figure_2() {
    let block = ReportBlock {
        ssrc: Ssrc(0),
        fraction_lost: 0,
        cumulative_lost: 0,
        extended_highest: 0,
        jitter_ticks: 0,
        last_sr: 0xb705_2000,
        delay_since_last_sr: 0x0005_4000,
    };
    let arrival = NtpTime(0xb710_8000_0000);
    assert_eq!(block.round_trip(arrival), Some(Duration::from_millis(6_125)));
    assert_eq!(ReportBlock { last_sr: 0, ..block }.round_trip(arrival), None);
    let long = ReportBlock { delay_since_last_sr: 0x000b_6002, ..block };
    assert_eq!(long.round_trip(arrival), None);
    let truncated = ReportBlock { delay_since_last_sr: 0x000b_6001, ..block };
    assert_eq!(truncated.round_trip(arrival), Some(Duration::ZERO));
    let future = ReportBlock { last_sr: 0xb710_8001, delay_since_last_sr: 0, ..block };
    assert_eq!(future.round_trip(arrival), None);
}

#[test]
fn a_report_made_of_a_sender_report_gives_the_true_round_trip() {
    let sent = Utc::from_nanos(1_700_000_000_123_456_789);
    let nanos_later = |nanos| NtpTime::from(Utc::from_nanos(sent.as_nanos() + nanos));
    let block = ReportBlock {
        ssrc: Ssrc(0),
        fraction_lost: 0,
        cumulative_lost: 0,
        extended_highest: 0,
        jitter_ticks: 0,
        last_sr: NtpTime::from(sent).middle(),
        delay_since_last_sr: 65_536,
    };
    let trip = block.round_trip(nanos_later(1_080_000_000)).unwrap();
    assert!(trip.abs_diff(Duration::from_millis(80)) < Duration::from_micros(32), "{trip:?}");
}

fn report_block() -> impl Strategy<Value = ReportBlock> {
    let lost = ReportBlock::LOST_LEAST..=ReportBlock::LOST_MAX;
    (any::<[u32; 5]>(), any::<u8>(), lost).prop_map(|(words, fraction_lost, cumulative_lost)| {
        ReportBlock {
            ssrc: Ssrc(words[0]),
            fraction_lost,
            cumulative_lost,
            extended_highest: words[1],
            jitter_ticks: words[2],
            last_sr: words[3],
            delay_since_last_sr: words[4],
        }
    })
}

fn report() -> impl Strategy<Value = Packet> {
    let blocks = || prop::collection::vec(report_block(), 0..5);
    prop_oneof![
        (any::<u32>(), blocks()).prop_map(|(ssrc, reports)| {
            Packet::ReceiverReport(ReceiverReport { ssrc: Ssrc(ssrc), reports })
        }),
        (any::<[u32; 4]>(), any::<u64>(), blocks()).prop_map(|(words, ntp, reports)| {
            Packet::SenderReport(SenderReport {
                ssrc: Ssrc(words[0]),
                ntp: NtpTime(ntp),
                rtp_time: RtpTime(words[1]),
                packet_count: words[2],
                octet_count: words[3],
                reports,
            })
        }),
    ]
}

fn packet() -> impl Strategy<Value = Packet> {
    let text = || prop::option::of("[a-zé]{0,40}");
    let chunk = (any::<u32>(), text()).prop_map(|(ssrc, cname)| Chunk { ssrc: Ssrc(ssrc), cname });
    prop_oneof![
        report(),
        prop::collection::vec(chunk, 0..4)
            .prop_map(|chunks| Packet::SourceDescription(SourceDescription { chunks })),
        (prop::collection::vec(any::<u32>().prop_map(Ssrc), 0..4), text())
            .prop_map(|(sources, reason)| Packet::Goodbye(Goodbye { sources, reason })),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_the_same(
        first in report(),
        rest in prop::collection::vec(packet(), 0..5),
    ) {
        let packets: Vec<_> = std::iter::once(first).chain(rest).collect();
        prop_assert_eq!(decode(&bytes_of(&packets)).unwrap(), packets);
    }

    #[test]
    fn any_change_of_bytes_is_read_or_refused(
        rest in prop::collection::vec(packet(), 0..4),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..6),
        cut in any::<usize>(),
    ) {
        let packets: Vec<_> = std::iter::once(receiver_report()).chain(rest).collect();
        let mut bytes = bytes_of(&packets);
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(cut % (bytes.len() + 1));
        fuzz::fuzz_rtcp(&bytes);
    }
}
