//! Entries for fuzzing: any bytes, no panic, and the counts add up.

use bytes::Bytes;
use weir_media::{Codec, Frame, KeyKind, MediaTime, Track, TrackId, jpeg};
use weir_time::Instant;

use super::depack::{Depacketiser, Output};
use super::pack::Packer;
use super::receive::{Placed, Reorder, ReorderConfig, Statistics};
use super::{Header, Packet, RtpTime, SequenceNumber, Ssrc};

/// A packet: what is parsed lies inside the bytes.
pub fn fuzz_rtp_packet(data: &[u8]) {
    if let Ok(packet) = Packet::parse(data) {
        assert!(Header::BYTES + packet.payload.len() <= data.len());
    }
}

/// A script of H.264 packets.
pub fn fuzz_h264_depack(data: &[u8]) {
    let parameters = "packetization-mode=1;sprop-parameter-sets=Z2QAH6zZ,aOvj";
    for parameters in ["", parameters] {
        let made = Depacketiser::from_sdp("H264", 90_000, None, parameters);
        depacketise(made.expect("the parameters are valid"), data);
    }
}

/// A script of H.265 packets.
pub fn fuzz_h265_depack(data: &[u8]) {
    let parameters = "sprop-vps=QAEMAf//AQ==;sprop-sps=QgEBAWAAAAMAkAAAAwAAAwA8oAoIDA==;\
                      sprop-pps=RAHAcw==";
    for parameters in ["", parameters] {
        let made = Depacketiser::from_sdp("H265", 90_000, None, parameters);
        depacketise(made.expect("the parameters are valid"), data);
    }
}

/// A script of VP8, VP9 and AV1 packets.
pub fn fuzz_vpx_av1_depack(data: &[u8]) {
    for name in ["VP8", "VP9", "AV1"] {
        let made = Depacketiser::from_sdp(name, 90_000, None, "");
        depacketise(made.expect("no parameter is needed"), data);
    }
}

/// A script of AAC packets. The bytes also stand for parameters.
pub fn fuzz_aac_depack(data: &[u8]) {
    for parameters in ["mode=AAC-hbr;config=1190", "mode=AAC-lbr;config=1190"] {
        let made = Depacketiser::from_sdp("mpeg4-generic", 48_000, Some(2), parameters);
        depacketise(made.expect("the parameters are valid"), data);
    }
    let text = String::from_utf8_lossy(data);
    for name in ["H264", "mpeg4-generic"] {
        let _ = Depacketiser::from_sdp(name, 90_000, None, &text);
    }
}

/// A script of JPEG packets.
pub fn fuzz_jpeg_depack(data: &[u8]) {
    let made = Depacketiser::from_sdp("JPEG", 90_000, None, "");
    depacketise(made.expect("no parameter is needed"), data);
}

/// Scripts of Opus packets and of G.711 packets. The bytes also stand for parameters.
pub fn fuzz_sound_depack(data: &[u8]) {
    for (name, rate_hz, channels) in [("opus", 48_000, 2), ("PCMU", 8_000, 1), ("PCMA", 8_000, 2)] {
        let made = Depacketiser::from_sdp(name, rate_hz, Some(channels), "");
        depacketise(made.expect("no parameter is needed"), data);
        let _ = Depacketiser::from_sdp(name, rate_hz, None, &String::from_utf8_lossy(data));
    }
}

/// `data` as an image to be packed, behind each of some limits.
pub fn fuzz_jpeg_pack(data: &[u8]) {
    let config = jpeg::Config { width: 64, height: 64, coding: None };
    let track = Track { id: TrackId(0), codec: Codec::Jpeg(config), clock_rate_hz: 90_000 };
    let frame = Frame {
        track: track.id,
        pts: MediaTime::ZERO,
        dts: None,
        duration: None,
        key: KeyKind::Key,
        capture: None,
        arrival: Instant::ZERO,
        discontinuity: false,
        payload: Bytes::copy_from_slice(data),
    };
    for packet_bytes_max in [64, 160, 300, 1_400] {
        let packer = Packer::new(&track, packet_bytes_max);
        if let Ok(packed) = packer.expect("the limit is in range").pack(&frame) {
            let limit = packet_bytes_max - Header::BYTES;
            assert!(packed.pieces.iter().all(|piece| usize::from(piece.len) <= limit));
        }
    }
}

/// Pushes what a script says: for each packet two bytes (marker 0x80, loss 0x40, flush 0x20, time
/// step in the lower bits; length of the payload, times 16 with step 31), then its payload.
fn depacketise(mut depacketiser: Depacketiser, script: &[u8]) {
    let mut rest = script;
    let mut time = RtpTime(u32::MAX - 50);
    let mut access_units = 0;
    while let Some((&[flags, length], behind)) = rest.split_first_chunk::<2>() {
        let step = flags & 0x1f;
        let bytes = usize::from(length) * if step == 31 { 16 } else { 1 };
        let (payload, behind) = behind.split_at(bytes.min(behind.len()));
        rest = behind;
        time = RtpTime(time.0.wrapping_add(u32::from(step % 31)));
        let header = Header {
            marker: flags & 0x80 != 0,
            payload_type: 96,
            sequence: SequenceNumber(0),
            time,
            ssrc: Ssrc(0),
        };
        let packet = Packet { header, csrc_count: 0, extension: None, payload };
        depacketiser.push(Instant::ZERO, &packet, flags & 0x40 != 0);
        if flags & 0x20 != 0 {
            depacketiser.flush();
        }
        while let Some(output) = depacketiser.poll() {
            if let Output::AccessUnit(access_unit) = output {
                assert!(!access_unit.payload.is_empty());
                access_units += 1;
            }
        }
    }
    assert_eq!(access_units, depacketiser.counts().access_units);
}

/// A script of arrivals, four bytes each: number, pause in milliseconds, what else to do.
pub fn fuzz_reorder(data: &[u8]) {
    let mut statistics = Statistics::new(90_000);
    let mut reorder = Reorder::new(ReorderConfig { packets_max: 32, ..ReorderConfig::UDP });
    let mut now = Instant::ZERO;
    let (mut kept, mut given_out) = (0u64, 0u64);
    for (arrivals, &[n0, n1, pause, action]) in data.as_chunks::<4>().0.iter().enumerate() {
        now += core::time::Duration::from_millis(u64::from(pause));
        let sequence = SequenceNumber(u16::from_be_bytes([n0, n1]));
        let time = RtpTime(u32::from(action) << 24);
        let arrival = statistics.receive(now, sequence, time, 1);
        if arrival.kind.is_usable() {
            kept += u64::from(reorder.push(now, arrival.extended, ()) == Placed::Kept);
        }
        assert!(reorder.held() <= 33);
        match action {
            1 => reorder.flush(),
            2 => statistics.restart(),
            3 => drop(statistics.report_block(now, Ssrc(1))),
            _ => {}
        }
        while action < 0xf0 && reorder.poll(now).is_some() {
            given_out += 1;
        }
        assert_eq!(reorder.held() == 0, reorder.next_timeout().is_none());
        let counts = statistics.counts();
        assert_eq!(counts.received + counts.lost, counts.expected);
        let came = counts.received + counts.duplicates + counts.too_late;
        assert_eq!(came, arrivals as u64 + 1);
    }
    reorder.flush();
    while reorder.poll(now).is_some() {
        given_out += 1;
    }
    assert_eq!(kept, given_out);
}
