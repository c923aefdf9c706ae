//! From the packer over a network that loses, swaps and doubles packets to the depacketiser.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use weir_media::av1::ObuType;
use weir_media::{Codec, KeyKind, MediaTime, Track, h264, nal};
use weir_time::{Instant, Random};

use super::depack::{AccessUnit, Counts, Depacketiser, Output};
use super::pack::{self, Packer, sdp_attributes};
use super::receive::{self, Reorder, ReorderConfig, Statistics};
use super::{Header, Packet, RtpTime, SequenceNumber, Ssrc, fuzz};
use crate::rtcp;

/// What a network does to a packet.
#[derive(Clone, Copy, Debug)]
struct Network {
    loss: f64,
    doubling: f64,
    /// How many packets one may be overtaken by.
    overtaken_max: u64,
}

/// One packet on its way.
struct Sent {
    frame: usize,
    /// A part of the picture or of the sound; else it is parameter sets alone.
    is_content: bool,
    datagram: Vec<u8>,
}

/// What a receiver has in the end.
struct Received {
    access_units: Vec<AccessUnit>,
    counts: Counts,
    statistics: receive::Counts,
    skipped: u64,
}

fn pack_all(track: &Track, frames: &[(KeyKind, Vec<u8>)], first: u16) -> Vec<Sent> {
    let mut packer = Packer::new(track, 300).unwrap();
    let mut sequence = SequenceNumber(first);
    let mut sent = Vec::new();
    for (index, (key, payload)) in frames.iter().enumerate() {
        let pts = MediaTime::from_nanos(index as i64 * 40_000_000);
        let packed = packer.pack(&pack::tests::frame(*key, pts, payload.clone())).unwrap();
        for piece in &packed.pieces {
            let header = Header {
                marker: piece.marker,
                payload_type: 96,
                sequence,
                time: RtpTime::from_ticks(packed.rtp_ticks, RtpTime(u32::MAX - 10_000)),
                ssrc: Ssrc(1),
            };
            let mut bytes = [0; Header::BYTES];
            header.write(&mut bytes);
            let datagram = [&bytes, packed.payload(*piece)].concat();
            let is_content = !is_sets_alone(packed.payload(*piece));
            sent.push(Sent { frame: index, is_content, datagram });
            sequence = sequence.plus(1);
        }
    }
    sent
}

/// Whether an aggregate ends behind the parameter sets of the track.
fn is_sets_alone(payload: &[u8]) -> bool {
    let is_h264 = payload.len() == 14 && payload.starts_with(&[0x78, 0, 6, 0x67]);
    is_h264 || payload.len() == 41 && payload.starts_with(&[0x60, 1, 0, 7, 0x40])
}

/// The packets that arrive, in the order of arrival: indices into what was sent.
fn carry(sent: &[Sent], network: Network, random: &mut Random) -> Vec<usize> {
    let mut arriving = Vec::new();
    for (index, packet) in sent.iter().enumerate() {
        // The first one starts the order, so that it is not overtaken; the marker of the first
        // frame tells that there are markers, so that the last may be known to be missing.
        if packet.frame > 0 && random.next_f64() < network.loss {
            continue;
        }
        let copies = if random.next_f64() < network.doubling { 2 } else { 1 };
        for _ in 0..copies {
            let delay = if index > 0 { random.below(network.overtaken_max + 1) } else { 0 };
            arriving.push((index as u64 + delay, index));
        }
    }
    arriving.sort();
    arriving.into_iter().map(|(_, index)| index).collect()
}

fn receive(track: &Track, sent: &[Sent], arriving: &[usize]) -> Received {
    let attributes = sdp_attributes(track, 96).unwrap();
    let mut map = attributes.rtpmap.strip_prefix("96 ").unwrap().split('/');
    let (name, rate_hz) = (map.next().unwrap(), map.next().unwrap().parse().unwrap());
    let fmtp = attributes.fmtp.unwrap_or("96 ".to_owned());
    let parameters = fmtp.strip_prefix("96 ").unwrap();
    let mut depacketiser = Depacketiser::from_sdp(name, rate_hz, None, parameters).unwrap();
    let mut statistics = Statistics::new(rate_hz);
    let config = ReorderConfig { wait: Duration::from_millis(20), packets_max: 64 };
    let mut reorder = Reorder::new(config);
    let mut access_units = Vec::new();
    let mut now = Instant::ZERO;
    let mut drain = |reorder: &mut Reorder<&Sent>, depacketiser: &mut Depacketiser, now| {
        while let Some((sent, lost_before)) = reorder.poll(now) {
            let packet = Packet::parse(&sent.datagram).unwrap();
            depacketiser.push(now, &packet, lost_before > 0);
            access_units.extend(std::iter::from_fn(|| depacketiser.poll()).filter_map(|output| {
                match output {
                    Output::AccessUnit(access_unit) => Some(access_unit),
                    _ => None,
                }
            }));
        }
    };
    for index in arriving {
        now += Duration::from_millis(1);
        let packet = Packet::parse(&sent[*index].datagram).unwrap();
        let Header { sequence, time, .. } = packet.header;
        let arrival = statistics.receive(now, sequence, time, 1);
        if arrival.kind.is_usable() {
            reorder.push(now, arrival.extended, &sent[*index]);
        }
        drain(&mut reorder, &mut depacketiser, now);
    }
    reorder.flush();
    drain(&mut reorder, &mut depacketiser, now);
    depacketiser.flush();
    Received {
        access_units,
        counts: depacketiser.counts(),
        statistics: statistics.counts(),
        skipped: reorder.skipped(),
    }
}

/// Every frame of which all content arrived comes out as it went in, and no other; every lost
/// packet is counted once.
fn check(
    track: &Track,
    frames: &[(KeyKind, Vec<u8>)],
    network: Network,
    seed: u64,
) -> Result<(), TestCaseError> {
    let sent = pack_all(track, frames, 65_500);
    let arriving = carry(&sent, network, &mut Random::new(seed));
    let received = receive(track, &sent, &arriving);

    let arrived: BTreeSet<_> = arriving.iter().copied().collect();
    let missing = |i: &usize| sent[*i].is_content && !arrived.contains(i);
    let whole = |frame| !(0..sent.len()).any(|i| sent[i].frame == frame && missing(&i));
    let touched = |frame| arrived.iter().any(|i| sent[*i].frame == frame);
    let expected: Vec<_> = (0..frames.len()).filter(|frame| whole(*frame)).collect();
    prop_assert_eq!(received.access_units.len(), expected.len());
    let rate_hz = Packer::new(track, 300).unwrap().clock_rate_hz();
    for (unit, frame) in received.access_units.iter().zip(&expected) {
        prop_assert_eq!(&unit.payload, &Bytes::from(frames[*frame].1.clone()));
        prop_assert_eq!(unit.key, frames[*frame].0);
        let ticks = i64::from(rate_hz) / 25 * *frame as i64 + i64::from(u32::MAX) - 10_000;
        prop_assert_eq!(unit.rtp_ticks, ticks);
    }
    let broken = (0..frames.len()).filter(|frame| touched(*frame) && !whole(*frame)).count();
    prop_assert_eq!(received.counts.dropped(), broken as u64);
    prop_assert_eq!(received.counts.dropped_malformed, 0);

    let span = arrived.last().map_or(0, |last| last + 1);
    prop_assert_eq!(received.statistics.received, arrived.len() as u64);
    prop_assert_eq!(received.statistics.lost, (span - arrived.len()) as u64);
    prop_assert_eq!(received.statistics.duplicates, (arriving.len() - arrived.len()) as u64);
    prop_assert_eq!(received.skipped, received.statistics.lost);
    Ok(())
}

fn network() -> impl Strategy<Value = Network> {
    (0.0..0.2, 0.0..0.1, 0u64..6).prop_map(|(loss, doubling, overtaken_max)| Network {
        loss,
        doubling,
        overtaken_max,
    })
}

/// An access unit of one picture in one to three slices.
fn picture() -> impl Strategy<Value = (KeyKind, Vec<u8>)> {
    (any::<bool>(), prop::collection::vec(1usize..1_500, 1..4)).prop_map(|(is_key, slices)| {
        let header = if is_key { 0x65 } else { 0x41 };
        let nals: Vec<_> = slices
            .iter()
            .enumerate()
            .map(|(index, bytes)| {
                let first = if index == 0 { 0x88 } else { 0x08 };
                [&[header, first][..], &vec![index as u8; *bytes]].concat()
            })
            .collect();
        let key = if is_key { KeyKind::Key } else { KeyKind::Delta };
        (key, pack::h264::tests::access_unit(&nals))
    })
}

/// An access unit of H.265 of one picture in one to three slices.
fn picture_h265() -> impl Strategy<Value = (KeyKind, Vec<u8>)> {
    (0usize..3, prop::collection::vec(1usize..1_500, 1..4)).prop_map(|(kind, slices)| {
        let (key, nal_type) =
            [(KeyKind::Delta, 1), (KeyKind::Key, 20), (KeyKind::Recovery, 21)][kind];
        let nals: Vec<_> = slices
            .iter()
            .enumerate()
            .map(|(index, bytes)| {
                let first = if index == 0 { 0x80 } else { 0x08 };
                [&[nal_type << 1, 1, first][..], &vec![index as u8; *bytes]].concat()
            })
            .collect();
        (key, pack::h264::tests::access_unit(&nals))
    })
}

/// Frames of these sizes, key frames and others, that begin with these bytes.
fn coded(sizes: &[(bool, usize)], key: &[u8], delta: &[u8]) -> Vec<(KeyKind, Vec<u8>)> {
    let frame = |(is_key, bytes): &(bool, usize)| {
        let (kind, head) = if *is_key { (KeyKind::Key, key) } else { (KeyKind::Delta, delta) };
        (kind, [head, &vec![*bytes as u8; bytes - head.len()]].concat())
    };
    sizes.iter().map(frame).collect()
}

/// A temporal unit: a sequence header before a key frame, and a frame whose tiles stand apart.
fn unit_av1(is_key: bool, sizes: &[usize]) -> (KeyKind, Vec<u8>) {
    let mut obus = Vec::new();
    if is_key {
        obus.push((ObuType::SEQUENCE_HEADER, pack::av1::tests::SEQUENCE.to_vec()));
    }
    let (key, head) = if is_key { (KeyKind::Key, 0x10) } else { (KeyKind::Delta, 0x30) };
    obus.push((ObuType::FRAME_HEADER, vec![head, 1, 2]));
    obus.extend(sizes.iter().map(|bytes| (ObuType::TILE_GROUP, vec![*bytes as u8; *bytes])));
    (key, pack::av1::tests::temporal_unit(&obus))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn pictures_come_through_a_bad_network_whole_or_are_counted(
        frames in prop::collection::vec(picture(), 1..40),
        network in network(),
        seed: u64,
    ) {
        check(&pack::h264::tests::track(), &frames, network, seed)?;
    }

    #[test]
    fn pictures_of_h265_come_through_a_bad_network_whole_or_are_counted(
        frames in prop::collection::vec(picture_h265(), 1..40),
        network in network(),
        seed: u64,
    ) {
        check(&pack::h265::tests::track(), &frames, network, seed)?;
    }

    #[test]
    fn frames_of_vp8_come_through_a_bad_network_whole_or_are_counted(
        sizes in prop::collection::vec((any::<bool>(), 12usize..2_000), 1..40),
        network in network(),
        seed: u64,
    ) {
        let head = [[0x10, 0x02, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00], [0x11; 10]];
        check(&pack::vp8::tests::track(), &coded(&sizes, &head[0], &head[1]), network, seed)?;
    }

    #[test]
    fn frames_of_vp9_come_through_a_bad_network_whole_or_are_counted(
        sizes in prop::collection::vec((any::<bool>(), 12usize..2_000), 1..40),
        network in network(),
        seed: u64,
    ) {
        let key = [0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xf0, 0x0b, 0x36, 0x06];
        check(&pack::vp9::tests::track(), &coded(&sizes, &key, &[0x86]), network, seed)?;
    }

    #[test]
    fn temporal_units_of_av1_come_through_a_bad_network_whole_or_are_counted(
        sizes in prop::collection::vec((any::<bool>(), prop::collection::vec(1usize..900, 1..6)), 1..40),
        network in network(),
        seed: u64,
    ) {
        let frames: Vec<_> = sizes.iter().map(|(is_key, sizes)| unit_av1(*is_key, sizes)).collect();
        check(&pack::av1::tests::track(), &frames, network, seed)?;
    }

    #[test]
    fn sound_comes_through_a_bad_network_whole_or_is_counted(
        sizes in prop::collection::vec(1usize..1_200, 1..60),
        network in network(),
        seed: u64,
    ) {
        let frames: Vec<_> =
            sizes.iter().map(|bytes| (KeyKind::Key, vec![*bytes as u8; *bytes])).collect();
        check(&pack::aac::tests::track(), &frames, network, seed)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(data in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz::fuzz_rtp_packet(&data);
        fuzz::fuzz_h264_depack(&data);
        fuzz::fuzz_h265_depack(&data);
        fuzz::fuzz_vpx_av1_depack(&data);
        fuzz::fuzz_aac_depack(&data);
        fuzz::fuzz_reorder(&data);
    }

    #[test]
    fn scripts_of_near_numbers_keep_the_balance(
        steps in prop::collection::vec((0u8..60, 0u8..20, any::<u8>()), 0..200),
    ) {
        let data: Vec<_> =
            steps.iter().flat_map(|(number, pause, action)| [0, *number, *pause, *action]).collect();
        fuzz::fuzz_reorder(&data);
    }
}

/// What ffmpeg 5.1 sent, a datagram a line in hexadecimal digits: `d` to the port of RTP, `c` to
/// that of RTCP.
fn transcript(text: &str) -> impl Iterator<Item = (bool, Vec<u8>)> {
    text.lines().map(|line| {
        let (port, digits) = line.split_once(' ').unwrap();
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        (port == "c", digits.as_bytes().chunks(2).map(byte).collect())
    })
}

/// The access units and the count of sender reports.
fn read_transcript(depacketiser: &mut Depacketiser, text: &str) -> (Vec<AccessUnit>, usize) {
    let mut statistics = Statistics::new(depacketiser.clock_rate_hz());
    let (mut access_units, mut reports) = (Vec::new(), 0);
    for (is_control, datagram) in transcript(text) {
        assert_eq!(rtcp::is_rtcp(&datagram), is_control);
        if is_control {
            let packets = rtcp::decode(&datagram).unwrap();
            reports += usize::from(matches!(packets[0], rtcp::Packet::SenderReport(_)));
            continue;
        }
        let packet = Packet::parse(&datagram).unwrap();
        statistics.receive(Instant::ZERO, packet.header.sequence, packet.header.time, 1);
        depacketiser.push(Instant::ZERO, &packet, false);
        while let Some(output) = depacketiser.poll() {
            match output {
                Output::AccessUnit(access_unit) => access_units.push(access_unit),
                Output::Codec(_) if access_units.is_empty() => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(statistics.counts().lost, 0);
    depacketiser.flush();
    assert_eq!(depacketiser.poll(), None);
    (access_units, reports)
}

#[test]
fn h264_of_ffmpeg_without_sprop_parameter_sets_is_read() {
    let mut depacketiser =
        Depacketiser::from_sdp("H264", 90_000, None, "packetization-mode=1").unwrap();
    let text = include_str!("transcripts/ffmpeg_h264.hex");
    let (units, reports) = read_transcript(&mut depacketiser, text);
    assert_eq!(reports, 1);
    let Some(Codec::H264(config)) = depacketiser.codec() else { panic!("no parameter sets") };
    assert_eq!(config.picture().map(|picture| (picture.width, picture.height)), Ok((128, 96)));
    let keys: Vec<_> = units.iter().map(|unit| unit.key == KeyKind::Key).collect();
    assert_eq!(keys, [true, false, false, false, false, true, false]);
    assert!(units.iter().all(|unit| unit.complete));
    let places: Vec<_> =
        units.iter().map(|unit| (unit.rtp_ticks - units[0].rtp_ticks) / 18_000).collect();
    assert_eq!(places, [0, 3, 1, 2, 4, 5, 6]);
    for unit in &units {
        let nals: Result<Vec<_>, _> = nal::LengthPrefixed::new(&unit.payload, 4).collect();
        assert!(h264::NalType::of(nals.unwrap().last().unwrap()).is_slice());
    }
}

#[test]
fn h265_of_ffmpeg_without_parameters_is_read() {
    let mut depacketiser = Depacketiser::from_sdp("H265", 90_000, None, "").unwrap();
    let text = include_str!("transcripts/ffmpeg_h265.hex");
    let (units, reports) = read_transcript(&mut depacketiser, text);
    assert_eq!(reports, 1);
    let Some(Codec::H265(config)) = depacketiser.codec() else { panic!("no parameter sets") };
    let picture = config.picture().unwrap();
    assert_eq!((picture.width, picture.height, picture.frame_rate), (128, 96, Some(5.0)));
    assert_eq!(units.len(), 7);
    assert_eq!(units[0].key, KeyKind::Key);
    assert!(units.iter().all(|unit| unit.complete));
}

#[test]
fn vp8_and_vp9_of_ffmpeg_are_read() {
    let cases = [
        ("VP8", include_str!("transcripts/ffmpeg_vp8.hex")),
        ("VP9", include_str!("transcripts/ffmpeg_vp9.hex")),
    ];
    for (name, text) in cases {
        let mut depacketiser = Depacketiser::from_sdp(name, 90_000, None, "").unwrap();
        assert_eq!(depacketiser.codec(), None);
        let (units, reports) = read_transcript(&mut depacketiser, text);
        let size = match depacketiser.codec() {
            Some(Codec::Vp8(config)) => (config.width, config.height),
            Some(Codec::Vp9(config)) => (config.width, config.height),
            other => panic!("{other:?}"),
        };
        assert_eq!((size, reports, units.len()), ((128, 96), 1, 7), "{name}");
        let keys: Vec<_> = units.iter().map(|unit| unit.key == KeyKind::Key).collect();
        assert_eq!(keys, [true, false, false, false, false, true, false], "{name}");
    }
}

#[test]
fn aac_of_ffmpeg_is_read() {
    let parameters = "profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;\
                      indexdeltalength=3; config=121056E500";
    let mut depacketiser =
        Depacketiser::from_sdp("MPEG4-GENERIC", 44_100, Some(2), parameters).unwrap();
    let text = include_str!("transcripts/ffmpeg_aac.hex");
    let (units, reports) = read_transcript(&mut depacketiser, text);
    assert_eq!((units.len(), reports), (13, 1));
    for pair in units.windows(2) {
        assert_eq!(pair[1].rtp_ticks - pair[0].rtp_ticks, 1_024);
    }
}
