use super::*;
use crate::rtp::{Header, RtpTime, SequenceNumber, Ssrc};

const SETS: &str = "packetization-mode=1;sprop-parameter-sets=Z2QAH6zZ,aOvj";
const SPS: [u8; 6] = [0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9];
const PPS: [u8; 3] = [0x68, 0xeb, 0xe3];
/// A slice that begins a picture, and one that does not.
const FIRST: [u8; 3] = [0x41, 0x9a, 1];
const LATER: [u8; 3] = [0x41, 0x1a, 2];
const MARKER: bool = true;
const LOST: bool = true;

struct Bench {
    depacketiser: Depacketiser,
    packets: u64,
}

impl Bench {
    fn h264(parameters: &str) -> Self {
        let depacketiser = Depacketiser::from_sdp("H264", 90_000, None, parameters).unwrap();
        Bench { depacketiser, packets: 0 }
    }

    fn h265(parameters: &str) -> Self {
        let depacketiser = Depacketiser::from_sdp("H265", 90_000, None, parameters).unwrap();
        Bench { depacketiser, packets: 0 }
    }

    fn aac(parameters: &str) -> Self {
        let depacketiser = Depacketiser::from_sdp("mpeg4-generic", 48_000, None, parameters);
        Bench { depacketiser: depacketiser.unwrap(), packets: 0 }
    }

    /// Pushes a packet that comes a millisecond after the one before.
    fn push(&mut self, time: u32, marker: bool, lost_before: bool, payload: &[u8]) {
        self.packets += 1;
        let header = Header {
            marker,
            payload_type: 96,
            sequence: SequenceNumber(0),
            time: RtpTime(time),
            ssrc: Ssrc(0),
        };
        let packet = Packet { header, csrc_count: 0, extension: None, payload };
        self.depacketiser.push(Instant::from_millis(self.packets), &packet, lost_before);
    }

    fn access_unit(&mut self) -> AccessUnit {
        match self.depacketiser.poll() {
            Some(Output::AccessUnit(access_unit)) => access_unit,
            other => panic!("{other:?}"),
        }
    }

    fn dropped(&mut self) -> (i64, DropReason) {
        match self.depacketiser.poll() {
            Some(Output::Dropped(dropped)) => (dropped.rtp_ticks, dropped.reason),
            other => panic!("{other:?}"),
        }
    }

    fn nothing(&mut self) {
        assert_eq!(self.depacketiser.poll(), None);
    }
}

fn with_lengths(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&(nal.len() as u32).to_be_bytes(), *nal].concat()).collect()
}

fn aggregate(nals: &[&[u8]]) -> Vec<u8> {
    let parts = nals.iter().flat_map(|nal| [&(nal.len() as u16).to_be_bytes(), *nal].concat());
    std::iter::once(0x78).chain(parts).collect()
}

#[test]
fn single_nal_units_up_to_the_marker_are_one_access_unit() {
    let mut bench = Bench::h264(SETS);
    bench.push(9, false, false, &FIRST);
    bench.nothing();
    bench.push(9, MARKER, false, &LATER);
    let unit = bench.access_unit();
    assert_eq!(unit.payload, with_lengths(&[&FIRST, &LATER]));
    assert_eq!((unit.rtp_ticks, unit.key, unit.complete), (9, KeyKind::Delta, true));
    assert_eq!(unit.first_arrival, Instant::from_millis(1));
    assert_eq!(unit.arrival, Instant::from_millis(2));
    bench.nothing();
}

#[test]
fn an_aggregate_loses_its_known_parameter_sets_and_its_delimiter() {
    let mut bench = Bench::h264(SETS);
    let idr = [0x65, 0x88, 1];
    bench.push(0, MARKER, false, &aggregate(&[&[0x09, 0xf0], &SPS, &PPS, &idr]));
    let unit = bench.access_unit();
    assert_eq!(unit.payload, with_lengths(&[&idr]));
    assert_eq!(unit.key, KeyKind::Key);
    bench.nothing();
}

#[test]
fn fragments_are_joined_behind_the_header_that_their_two_make() {
    let mut bench = Bench::h264(SETS);
    bench.push(0, false, false, &[0x7c, 0x85, 0x88, 1]);
    bench.push(0, false, false, &[0x7c, 0x05, 2, 3]);
    bench.push(0, MARKER, false, &[0x7c, 0x45, 4]);
    let unit = bench.access_unit();
    assert_eq!(unit.payload, with_lengths(&[&[0x65, 0x88, 1, 2, 3, 4]]));
    assert_eq!(unit.key, KeyKind::Key);
}

#[test]
fn without_markers_an_access_unit_ends_when_the_time_changes() {
    let mut bench = Bench::h264(SETS);
    bench.push(u32::MAX, false, false, &FIRST);
    bench.push(2_999, false, false, &FIRST);
    assert_eq!(bench.access_unit().rtp_ticks, i64::from(u32::MAX));
    bench.nothing();
    bench.depacketiser.flush();
    let unit = bench.access_unit();
    assert_eq!((unit.rtp_ticks, unit.complete), (i64::from(u32::MAX) + 3_000, false));
}

#[test]
fn where_markers_come_an_access_unit_without_one_is_cut_off_at_the_end() {
    let mut bench = Bench::h264(SETS);
    bench.push(0, MARKER, false, &FIRST);
    bench.access_unit();
    bench.push(1, false, false, &FIRST);
    bench.depacketiser.flush();
    assert_eq!(bench.dropped(), (1, DropReason::CutOff));
    assert_eq!(bench.depacketiser.counts().dropped_cut_off, 1);
}

#[test]
fn a_loss_inside_drops_one_access_unit_and_the_next_is_whole() {
    let mut bench = Bench::h264(SETS);
    bench.push(0, false, false, &[0x7c, 0x81, 0x9a, 1]);
    bench.push(0, false, LOST, &[0x7c, 0x01, 2, 3]);
    bench.push(0, MARKER, false, &[0x7c, 0x41, 4]);
    assert_eq!(bench.dropped(), (0, DropReason::Lost));
    bench.push(1, MARKER, false, &FIRST);
    assert!(bench.access_unit().complete);
    bench.nothing();
    assert_eq!(bench.depacketiser.counts().dropped(), 1);
}

#[test]
fn a_lost_tail_does_not_cost_the_next_picture() {
    let mut bench = Bench::h264(SETS);
    bench.push(0, false, false, &FIRST);
    bench.push(1, MARKER, LOST, &FIRST);
    assert_eq!(bench.dropped(), (0, DropReason::Lost));
    let unit = bench.access_unit();
    assert_eq!(unit.payload, with_lengths(&[&FIRST]));
    assert!(!unit.complete);
}

#[test]
fn a_picture_without_its_first_slice_is_dropped() {
    let mut bench = Bench::h264(SETS);
    bench.push(0, MARKER, false, &FIRST);
    bench.access_unit();
    bench.push(1, MARKER, LOST, &LATER);
    assert_eq!(bench.dropped(), (1, DropReason::Lost));
    bench.push(2, false, LOST, &[0x7c, 0x01, 2, 3]);
    bench.push(2, MARKER, false, &[0x7c, 0x41, 4]);
    assert_eq!(bench.dropped(), (2, DropReason::Lost));
    bench.nothing();
}

#[test]
fn whole_access_units_that_are_lost_leave_their_neighbours_whole() {
    let mut bench = Bench::h264(SETS);
    bench.push(0, MARKER, false, &FIRST);
    bench.push(9_000, MARKER, LOST, &FIRST);
    assert_eq!(bench.access_unit().rtp_ticks, 0);
    assert_eq!(bench.access_unit().rtp_ticks, 9_000);
}

#[test]
fn a_stream_joined_in_the_middle_of_a_picture_starts_with_the_next() {
    let mut bench = Bench::h264(SETS);
    bench.push(0, MARKER, false, &LATER);
    assert_eq!(bench.dropped(), (0, DropReason::Lost));
    bench.push(1, MARKER, false, &FIRST);
    bench.access_unit();
}

#[test]
fn parameter_sets_with_a_marker_and_a_time_of_their_own_wait_for_their_picture() {
    let mut bench = Bench::h264("");
    bench.push(0, MARKER, false, &SPS);
    bench.push(0, MARKER, false, &PPS);
    bench.nothing();
    bench.push(5, MARKER, false, &FIRST);
    let Some(Output::Codec(codec)) = bench.depacketiser.poll() else { panic!("no codec") };
    assert_eq!(bench.depacketiser.codec(), Some(codec));
    let unit = bench.access_unit();
    assert_eq!((unit.rtp_ticks, unit.payload), (5, with_lengths(&[&FIRST]).into()));
}

#[test]
fn changed_parameter_sets_are_announced_and_stay_in_their_access_unit() {
    let mut bench = Bench::h264(SETS);
    let other_pps = [0x68, 0xee, 0x01];
    let payload = aggregate(&[&SPS, &other_pps, &FIRST]);
    bench.push(0, MARKER, false, &payload);
    match bench.depacketiser.poll() {
        Some(Output::Codec(Codec::H264(config))) => {
            assert_eq!(config.sps, [&SPS[..]]);
            assert_eq!(config.pps, [&other_pps[..]]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.access_unit().payload, with_lengths(&[&other_pps, &FIRST]));
    bench.push(1, MARKER, false, &payload);
    assert_eq!(bench.access_unit().payload, with_lengths(&[&FIRST]));
    bench.nothing();
}

#[test]
fn parameter_sets_of_a_damaged_access_unit_count() {
    let mut bench = Bench::h264("");
    bench.push(0, false, false, &aggregate(&[&SPS, &PPS]));
    bench.push(0, MARKER, LOST, &LATER);
    assert!(matches!(bench.depacketiser.poll(), Some(Output::Codec(_))));
    assert_eq!(bench.dropped(), (0, DropReason::Lost));
}

#[test]
fn a_second_parameter_set_stands_beside_the_first() {
    let mut bench = Bench::h264(SETS);
    // pic_parameter_set_id 1: the bits 010.
    bench.push(0, MARKER, false, &aggregate(&[&[0x68, 0x5b, 0xe3], &FIRST]));
    match bench.depacketiser.poll() {
        Some(Output::Codec(Codec::H264(config))) => assert_eq!(config.pps.len(), 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn payloads_that_break_the_format_drop_their_access_unit() {
    let mut bench = Bench::h264(SETS);
    let broken: [&[u8]; 7] = [
        &[0x78],
        &[0x78, 0, 9, 0x41],
        &[0x78, 0, 1, 0x7c],
        &[0x79, 0, 0, 0],
        &[0x7c, 0x9c, 1],
        &[0x7c],
        &[0x7c, 0x81, 0x9a],
    ];
    bench.push(0, MARKER, false, &FIRST);
    bench.access_unit();
    for (time, payload) in (1..).zip(broken) {
        bench.push(time, MARKER, false, payload);
        assert_eq!(bench.dropped(), (i64::from(time), DropReason::Malformed), "{payload:?}");
    }
    bench.push(100, MARKER, false, &FIRST);
    bench.access_unit();
    assert_eq!(bench.depacketiser.counts().dropped_malformed, 7);
}

#[test]
fn packets_that_receivers_ignore_are_counted() {
    let mut bench = Bench::h264(SETS);
    bench.push(0, false, false, &[]);
    bench.push(0, false, false, &[0x7e, 1]);
    bench.push(0, MARKER, false, &FIRST);
    bench.access_unit();
    assert_eq!(bench.depacketiser.counts().packets_ignored, 2);
}

#[test]
fn an_access_unit_without_end_is_dropped_at_the_limit() {
    let mut bench = Bench::h264(SETS);
    bench.push(0, false, false, &[0x7c, 0x81, 0x9a]);
    let fragment = [&[0x7c, 0x01][..], &[0; 60_000]].concat();
    for _ in 0..300 {
        bench.push(0, false, false, &fragment);
    }
    bench.push(1, MARKER, false, &FIRST);
    assert_eq!(bench.dropped(), (0, DropReason::TooLarge));
    bench.access_unit();
}

#[test]
fn no_more_outputs_wait_than_may() {
    let mut bench = Bench::h264(SETS);
    for time in 0..1_030 {
        bench.push(time, MARKER, false, &FIRST);
    }
    assert_eq!(bench.depacketiser.counts().dropped_unpolled, 6);
    assert_eq!(std::iter::from_fn(|| bench.depacketiser.poll()).count(), OUTPUTS_MAX);
}

#[test]
fn h265_comes_in_aggregates_and_fragments() {
    use crate::rtp::pack::h265::tests::{PPS, SPS, VPS};
    let mut bench = Bench::h265("");
    let idr = [0x26, 0x01, 0xaf, 1];
    let sets = [&VPS[..], &SPS, &PPS];
    let parts = sets.iter().flat_map(|nal| [&(nal.len() as u16).to_be_bytes(), *nal].concat());
    let aggregate: Vec<_> = [0x60, 0x01].into_iter().chain(parts).collect();
    bench.push(0, false, false, &aggregate);
    bench.push(0, false, false, &[0x62, 0x01, 0x93, 0xaf, 1]);
    bench.push(0, MARKER, false, &[0x62, 0x01, 0x53, 2]);
    let Some(Output::Codec(Codec::H265(config))) = bench.depacketiser.poll() else { panic!() };
    assert_eq!((&config.vps[0][..], &config.sps[0][..]), (&VPS[..], &SPS[..]));
    let unit = bench.access_unit();
    assert_eq!(unit.payload, with_lengths(&[&[&idr[..], &[2]].concat()]));
    assert_eq!(unit.key, KeyKind::Key);
    // A picture whose first slice is lost.
    bench.push(1, MARKER, LOST, &[0x02, 0x01, 0x10]);
    assert_eq!(bench.dropped(), (1, DropReason::Lost));
    bench.push(2, MARKER, false, &[0x02, 0x01, 0x90]);
    assert_eq!(bench.access_unit().key, KeyKind::Delta);
}

#[test]
fn payloads_that_break_the_format_of_h265_drop_their_access_unit() {
    let mut bench = Bench::h265("");
    let broken: [&[u8]; 8] = [
        &[0x02],
        &[0x60, 1],
        &[0x60, 1, 0, 9, 0x02, 1],
        &[0x60, 1, 0, 2, 0x62, 1],
        &[0x60, 1, 0, 1, 0x02],
        &[0x62, 1],
        &[0x62, 1, 0xb0],
        &[0x64, 1, 0, 0],
    ];
    let whole = [0x02, 1, 0x80];
    bench.push(0, MARKER, false, &whole);
    bench.access_unit();
    for (time, payload) in (1..).zip(broken) {
        bench.push(time, MARKER, false, payload);
        assert_eq!(bench.dropped(), (i64::from(time), DropReason::Malformed), "{payload:?}");
    }
    bench.push(100, false, false, &[0x70, 1, 1]);
    bench.push(100, MARKER, false, &whole);
    bench.access_unit();
    assert_eq!(bench.depacketiser.counts().packets_ignored, 1);
}

const HBR: &str = "mode=AAC-hbr;config=1190";

#[test]
fn access_units_in_one_packet_follow_each_other_by_their_duration() {
    let mut bench = Bench::aac(HBR);
    bench.push(100, MARKER, false, &[0, 32, 0, 2 << 3, 0, 1 << 3, 7, 8, 9]);
    let (first, second) = (bench.access_unit(), bench.access_unit());
    assert_eq!((first.rtp_ticks, &first.payload[..]), (100, &[7, 8][..]));
    assert_eq!((second.rtp_ticks, &second.payload[..]), (1_124, &[9][..]));
    assert_eq!(first.key, KeyKind::Key);
    bench.nothing();
}

#[test]
fn the_fields_of_low_bit_rate_are_six_and_two_bits() {
    let mut bench =
        Bench::aac("mode=AAC-lbr;sizelength=6;indexlength=2;indexdeltalength=2;config=1190");
    bench.push(0, MARKER, false, &[0, 16, 2 << 2, 1 << 2, 7, 8, 9]);
    assert_eq!(bench.access_unit().payload[..], [7, 8]);
    assert_eq!(bench.access_unit().payload[..], [9]);
}

#[test]
fn with_spectral_band_replication_the_clock_counts_samples_of_the_output() {
    // Object type 5, core rate 24 kHz, stereo, output rate 48 kHz.
    let mut bench = Bench::aac("mode=AAC-hbr;config=2b118800");
    bench.push(0, MARKER, false, &[0, 32, 0, 1 << 3, 0, 1 << 3, 7, 8]);
    bench.access_unit();
    assert_eq!(bench.access_unit().rtp_ticks, 2_048);
}

#[test]
fn fragments_of_an_access_unit_are_joined_once_all_have_come() {
    let mut bench = Bench::aac(HBR);
    bench.push(0, false, false, &[0, 16, 0, 4 << 3, 1, 2]);
    bench.nothing();
    bench.push(0, MARKER, false, &[0, 16, 0, 4 << 3, 3, 4]);
    let unit = bench.access_unit();
    assert_eq!(unit.payload[..], [1, 2, 3, 4]);
    assert_eq!(
        (unit.first_arrival, unit.arrival),
        (Instant::from_millis(1), Instant::from_millis(2))
    );
}

#[test]
fn a_lost_fragment_costs_its_access_unit_alone() {
    let fragment = |byte| [0, 16, 0, 6 << 3, byte, byte];
    for lost in 0..3 {
        let mut bench = Bench::aac(HBR);
        bench.push(0, MARKER, false, &[0, 16, 0, 1 << 3, 9]);
        bench.access_unit();
        for index in (0..3).filter(|index| *index != lost) {
            bench.push(1_024, index == 2, index == lost + 1, &fragment(index));
        }
        bench.push(2_048, MARKER, lost == 2, &[0, 16, 0, 1 << 3, 9]);
        assert_eq!(bench.dropped(), (1_024, DropReason::Lost), "{lost}");
        assert_eq!(bench.access_unit().rtp_ticks, 2_048);
        bench.nothing();
    }
}

#[test]
fn a_loss_between_access_units_costs_no_other() {
    let mut bench = Bench::aac(HBR);
    bench.push(0, MARKER, false, &[0, 16, 0, 1 << 3, 9]);
    bench.push(4_096, MARKER, LOST, &[0, 16, 0, 1 << 3, 9]);
    assert!(bench.access_unit().complete && bench.access_unit().complete);
}

#[test]
fn header_sections_that_are_not_well_formed_are_dropped() {
    let mut bench = Bench::aac(HBR);
    let broken: [&[u8]; 6] = [
        &[0],
        &[0, 0, 7],
        &[0, 16, 0],
        &[0, 15, 0, 8, 7],
        &[0, 16, 0, 1 << 3 | 1, 7],
        &[0, 32, 0, 1 << 3, 0, 9 << 3, 7],
    ];
    for (time, payload) in (1..).zip(broken) {
        bench.push(time, MARKER, false, payload);
    }
    let outputs: Vec<_> = std::iter::from_fn(|| bench.depacketiser.poll()).collect();
    // The last has one whole access unit in front.
    assert_eq!(outputs.len(), 7);
    assert_eq!(bench.depacketiser.counts().dropped_malformed, 6);
    assert_eq!(bench.depacketiser.counts().access_units, 1);
}

#[test]
fn an_access_unit_that_the_end_cuts_off_is_reported() {
    let mut bench = Bench::aac(HBR);
    bench.push(0, MARKER, false, &[0, 16, 0, 1 << 3, 9]);
    bench.access_unit();
    bench.push(0, false, false, &[0, 16, 0, 4 << 3, 1, 2]);
    bench.depacketiser.flush();
    assert_eq!(bench.dropped(), (0, DropReason::CutOff));
}
