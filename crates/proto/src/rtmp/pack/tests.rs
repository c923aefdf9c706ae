use bytes::BytesMut;
use weir_media::{KeyKind, aac, h264, opus, vp9};
use weir_time::Instant;

use super::*;
use crate::rtmp::chunk::{Limits, Reader};
use crate::rtmp::command::Data;
use crate::rtmp::message::Message;
use crate::rtmp::receive::{Received, Receiver, Settings};

pub(crate) fn h264_config() -> h264::Config {
    // 1280x720 at 30 a second, High, two B-frames in a row.
    let sps = b"\x67\x64\x00\x1f\xac\xd9\x40\x50\x05\xbb\x01\x10\x00\x00\x03\x00\x10\x00\x00\x03\
        \x03\xc0\xf1\x83\x19\x60";
    let pps = b"\x68\xeb\xe3\xcb\x22\xc0";
    let sets = |set: &'static [u8]| vec![Bytes::from_static(set)];
    h264::Config::from_parameter_sets(sets(sps), sets(pps)).unwrap()
}

pub(crate) fn tracks() -> Vec<Track> {
    let sound = Codec::Aac(aac::Config::lc(48_000, 2).unwrap());
    vec![
        Track { id: TrackId(0), codec: Codec::H264(h264_config()), clock_rate_hz: 1000 },
        Track { id: TrackId(1), codec: sound, clock_rate_hz: 48_000 },
    ]
}

pub(crate) fn frame(track: u8, dts_ms: i64, pts_ms: i64, payload: impl Into<Bytes>) -> Frame {
    Frame {
        track: TrackId(track),
        pts: MediaTime::from_ticks(pts_ms, 1000),
        dts: Some(MediaTime::from_ticks(dts_ms, 1000)),
        duration: None,
        key: KeyKind::Key,
        capture: None,
        arrival: Instant::ZERO,
        discontinuity: false,
        payload: payload.into(),
    }
}

/// A slice of an IDR picture of so many bytes.
pub(crate) fn picture(bytes: usize) -> Vec<u8> {
    [&(bytes as u32).to_be_bytes()[..], &vec![0x65; bytes]].concat()
}

/// Messages out of chunks that are read from the start.
fn messages(bytes: &[u8]) -> Vec<Message> {
    let mut reader = Reader::new(Limits::default());
    let mut size = BytesMut::new();
    crate::rtmp::chunk::Writer::new().set_chunk_bytes(FAN_OUT_CHUNK_BYTES, &mut size);
    reader.push(&size);
    reader.push(bytes);
    let mut messages = Vec::new();
    while let Some(message) = reader.next().unwrap() {
        messages.push(message);
    }
    assert_eq!(reader.held_bytes(), 0, "whole messages");
    messages
}

fn received(messages: &[Message]) -> Vec<Received> {
    let mut receiver = Receiver::new(Settings::default());
    for message in messages {
        match message.kind {
            Kind::DataAmf0 => receiver.metadata(&Data::read(message).unwrap().values[0]),
            _ => receiver.push(Instant::ZERO, message),
        }
    }
    core::iter::from_fn(|| receiver.poll()).collect()
}

#[test]
fn the_opening_holds_metadata_and_both_configurations_before_any_frame() {
    let packer = Packer::new(&tracks(), MediaTime::ZERO).unwrap();
    let messages = messages(&packer.opening(77, "weir", For::Player));
    let kinds: Vec<_> = messages.iter().map(|message| message.kind).collect();
    assert_eq!(kinds, [Kind::DataAmf0, Kind::Video, Kind::Audio]);
    assert!(messages.iter().all(|m| m.time_ms == 77 && m.stream == StreamId(1)));
    assert_eq!(messages[1].body[..2], [0x17, 0]);
    assert_eq!(messages[2].body[..2], [0xaf, 0]);
    assert_eq!(received(&messages), [Received::Tracks(tracks())]);
}

#[test]
fn each_packed_frame_is_a_whole_message_that_decodes_alone() {
    let mut packer = Packer::new(&tracks(), MediaTime::ZERO).unwrap();
    for bytes in [1, 100, 59_000, 60_000, 200_000] {
        let packed = packer.pack(&frame(0, 40, 80, picture(bytes))).unwrap();
        let [message] = &messages(&packed.bytes)[..] else { panic!() };
        assert_eq!((message.kind, message.time_ms, packed.time_ms), (Kind::Video, 40, 40));
        assert_eq!(message.body[..5], [0x17, 1, 0, 0, 40]);
        assert_eq!(message.body[5..], picture(bytes));
    }
}

#[test]
fn what_is_packed_is_received_as_the_same_frames() {
    let mut packer = Packer::new(&tracks(), MediaTime::ZERO).unwrap();
    let sent = [
        frame(0, 0, 80, picture(70_000)),
        frame(1, 5, 5, &b"\x21\x00"[..]),
        frame(0, 40, 200, picture(300)),
    ];
    let mut bytes = BytesMut::from(&packer.opening(0, "weir", For::Server)[..]);
    for frame in &sent {
        bytes.extend_from_slice(&packer.pack(frame).unwrap().bytes);
    }
    let received = received(&messages(&bytes));
    assert_eq!(received[0], Received::Tracks(tracks()));
    for (received, sent) in received[1..].iter().zip(&sent) {
        let Received::Frame(got) = received else { panic!("{received:?}") };
        let times = (got.track, got.pts, got.dts, got.key);
        assert_eq!(times, (sent.track, sent.pts, sent.dts, sent.key));
        assert_eq!(got.payload, sent.payload);
    }
    assert_eq!(received.len(), 4);
}

#[test]
fn times_past_24_and_past_32_bits_are_written_and_wrap() {
    let mut packer = Packer::new(&tracks(), MediaTime::ZERO).unwrap();
    for (dts_ms, time_ms) in [(0xff_ffff, 0xff_ffff), (0x1_0000_0005, 5)] {
        let packed = packer.pack(&frame(0, dts_ms, dts_ms, picture(130_000))).unwrap();
        assert_eq!(packed.time_ms, time_ms);
        assert_eq!(messages(&packed.bytes)[0].time_ms, time_ms);
        assert_eq!(packed.dts, MediaTime::from_ticks(dts_ms, 1000));
    }
}

#[test]
fn what_comes_before_the_origin_has_the_time_stamp_0() {
    let origin = MediaTime::from_ticks(1000, 1000);
    let mut packer = Packer::new(&tracks(), origin).unwrap();
    let packed = packer.pack(&frame(0, 920, 1000, picture(9))).unwrap();
    assert_eq!((packed.time_ms, packed.dts), (0, origin));
    assert_eq!(packer.pack(&frame(1, 1021, 1021, &b"x"[..])).unwrap().time_ms, 21);
}

#[test]
fn decoding_times_that_nobody_said_are_derived() {
    let mut packer = Packer::new(&tracks()[..1], MediaTime::ZERO).unwrap();
    let times: Vec<_> = [100, 200, 133, 167]
        .map(|pts_ms| Frame { dts: None, ..frame(0, 0, pts_ms, picture(9)) })
        .iter()
        .map(|frame| packer.pack(frame).unwrap().time_ms)
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(times[0] < 100);
}

#[test]
fn frames_share_one_allocation_where_it_is_large_enough() {
    let mut packer = Packer::new(&tracks(), MediaTime::ZERO).unwrap();
    let mut room = BytesMut::with_capacity(4096);
    let start = room.as_ptr();
    let one = packer.pack_into(&frame(0, 0, 0, picture(500)), &mut room).unwrap();
    let two = packer.pack_into(&frame(1, 0, 0, &b"x"[..]), &mut room).unwrap();
    assert_eq!(one.bytes.as_ptr(), start);
    assert_eq!(two.bytes.as_ptr(), one.bytes.as_ptr().wrapping_add(one.bytes.len()));
}

#[test]
fn codecs_of_enhanced_rtmp_are_packed_and_received() {
    let config = vp9::Config {
        width: 320,
        height: 180,
        profile: 0,
        level: 0,
        bit_depth: 8,
        chroma_subsampling: 1,
    };
    let opus = Codec::Opus(opus::Config::plain(2));
    let tracks = [
        Track { id: TrackId(0), codec: Codec::Vp9(config), clock_rate_hz: 1000 },
        Track { id: TrackId(1), codec: opus, clock_rate_hz: 48_000 },
    ];
    let mut packer = Packer::new(&tracks, MediaTime::ZERO).unwrap();
    let opening = messages(&packer.opening(0, "weir", For::Player));
    assert_eq!(opening[1].body[..5], *b"\x90vp09");
    assert_eq!(opening[2].body[..13], *b"\x90OpusOpusHead");
    let packed = packer.pack(&frame(1, 20, 20, &b"\xfc\xff\xfe"[..])).unwrap();
    assert_eq!(messages(&packed.bytes)[0].body[..], *b"\x91Opus\xfc\xff\xfe");
}

#[test]
fn what_rtmp_does_not_carry_is_refused_by_name() {
    let jpeg = weir_media::jpeg::Config { width: 8, height: 8, coding: None };
    let track = |id, codec| Track { id: TrackId(id), codec, clock_rate_hz: 1000 };
    let error = Packer::new(&[track(0, Codec::Jpeg(jpeg))], MediaTime::ZERO).unwrap_err();
    assert!(error.to_string().starts_with("RTMP cannot carry JPEG here"), "{error}");
    let sound = || Codec::Aac(aac::Config::lc(48_000, 2).unwrap());
    let two = [track(0, sound()), track(1, sound())];
    let error = Packer::new(&two, MediaTime::ZERO).unwrap_err();
    assert_eq!(error.to_string(), "RTMP carries one track of sound, these are 2");
    assert_eq!(Packer::new(&[], MediaTime::ZERO).unwrap_err(), Error::NoTrack);
    let mut packer = Packer::new(&two[..1], MediaTime::ZERO).unwrap();
    let error = packer.pack(&frame(7, 0, 0, &b"x"[..])).unwrap_err();
    assert_eq!(error, Error::UnknownTrack(TrackId(7)));
    let error = packer.pack(&frame(0, 0, 0, vec![0; 1 << 24])).unwrap_err();
    assert_eq!(error, Error::FrameSize { bytes: 1 << 24 });
}
