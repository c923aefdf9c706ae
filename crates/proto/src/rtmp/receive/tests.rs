use bytes::Bytes;
use weir_media::{aac, opus};

use super::*;
use crate::rtmp::message::StreamId;
use crate::rtmp::pack::tests::{h264_config, picture};

fn message(kind: Kind, time_ms: u32, body: impl Into<Bytes>) -> Message {
    Message { kind, time_ms, stream: StreamId(1), body: body.into() }
}

fn picture_config() -> Message {
    message(Kind::Video, 0, [&[0x17, 0, 0, 0, 0][..], &h264_config().to_avcc()].concat())
}

fn sound_config() -> Message {
    message(Kind::Audio, 0, &b"\xaf\x00\x11\x90"[..])
}

fn picture_at(time_ms: u32) -> Message {
    message(Kind::Video, time_ms, [&[0x17, 1, 0, 0, 0][..], &picture(20)].concat())
}

fn sound_at(time_ms: u32) -> Message {
    message(Kind::Audio, time_ms, &b"\xaf\x01\x21\x10"[..])
}

fn push(receiver: &mut Receiver, messages: &[Message]) -> Vec<Received> {
    messages.iter().for_each(|message| receiver.push(Instant::ZERO, message));
    core::iter::from_fn(|| receiver.poll()).collect()
}

fn receiver() -> Receiver {
    Receiver::new(Settings::default())
}

/// What came, in short: the numbers of tracks, or `v` and `s` for frames with their times.
fn short(received: &[Received]) -> Vec<String> {
    received
        .iter()
        .map(|received| match received {
            Received::Tracks(tracks) => {
                let names = tracks.iter().map(|t| format!("{}:{}", t.id.0, t.codec.name()));
                names.collect::<Vec<_>>().join(" ")
            }
            Received::Frame(frame) => {
                format!("{} at {}", frame.track.0, frame.dts.unwrap().to_ticks(1000))
            }
            Received::Refused { error, .. } => error.to_string(),
        })
        .collect()
}

#[test]
fn tracks_come_before_frames_once_both_are_known() {
    let messages = [picture_config(), picture_at(0), sound_config(), sound_at(1), picture_at(40)];
    let received = push(&mut receiver(), &messages);
    assert_eq!(short(&received), ["0:H.264 1:AAC", "0 at 0", "1 at 1", "0 at 40"]);
}

#[test]
fn a_stream_that_announces_one_track_is_not_kept_waiting() {
    let mut receiver = receiver();
    receiver.metadata(&Value::ecma_array([("audiocodecid", 10.0.into())]));
    let received = push(&mut receiver, &[sound_config(), sound_at(1)]);
    assert_eq!(short(&received), ["0:AAC", "0 at 1"]);
}

#[test]
fn a_track_that_was_announced_and_does_not_come_is_waited_for_a_second() {
    let mut receiver = receiver();
    receiver.metadata(&Value::ecma_array([
        ("videocodecid", 7.0.into()),
        ("audiocodecid", 10.0.into()),
    ]));
    assert_eq!(push(&mut receiver, &[picture_config(), picture_at(0), picture_at(999)]), []);
    let received = push(&mut receiver, &[picture_at(1000)]);
    assert_eq!(short(&received), ["0:H.264", "0 at 0", "0 at 999", "0 at 1000"]);
    // It comes after all, as a further track.
    let received = push(&mut receiver, &[sound_config(), sound_at(1010)]);
    assert_eq!(short(&received), ["0:H.264 1:AAC", "1 at 1010"]);
}

#[test]
fn the_timer_probe_ends_the_wait_when_messages_stop() {
    let mut receiver = receiver();
    assert_eq!(receiver.deadline(), None);
    assert_eq!(push(&mut receiver, &[picture_config(), picture_at(0)]), []);
    let at = receiver.deadline().unwrap();
    assert_eq!(at, Instant::ZERO + Duration::from_secs(2));
    receiver.expire(at);
    let received: Vec<_> = core::iter::from_fn(|| receiver.poll()).collect();
    assert_eq!(short(&received), ["0:H.264", "0 at 0"]);
    assert_eq!(receiver.deadline(), None);
}

#[test]
fn a_picture_that_joins_sound_keeps_the_numbers() {
    let mut receiver = receiver();
    push(&mut receiver, &[sound_config(), sound_at(0), sound_at(1000)]);
    let received = push(&mut receiver, &[picture_config(), picture_at(1020)]);
    assert_eq!(short(&received), ["0:AAC 1:H.264", "1 at 1020"]);
}

#[test]
fn a_codec_that_changes_is_told_before_its_frames() {
    let mut receiver = receiver();
    push(&mut receiver, &[picture_config(), sound_config()]);
    // The same again is none.
    assert_eq!(push(&mut receiver, &[sound_config()]), []);
    let opus = [&b"\x90Opus"[..], &opus::Config::plain(2).to_opus_head()].concat();
    let messages =
        [message(Kind::Audio, 20, opus), message(Kind::Audio, 20, &b"\x91Opus\xfc\xff\xfe"[..])];
    let received = push(&mut receiver, &messages);
    assert_eq!(short(&received), ["0:H.264 1:Opus", "1 at 20"]);
    let Received::Frame(frame) = &received[1] else { panic!() };
    assert_eq!(frame.duration, Some(MediaTime::from_ticks(20, 1000)));
}

#[test]
fn frames_before_their_configuration_are_counted() {
    let mut receiver = receiver();
    assert_eq!(push(&mut receiver, &[picture_at(0), sound_at(0)]), []);
    assert_eq!(receiver.counts(), Counts { early: 2, ..Counts::default() });
}

#[test]
fn what_cannot_be_carried_is_told_once_and_the_rest_is_carried() {
    // A drone that sends its sound as "device-specific".
    let odd = message(Kind::Audio, 0, &b"\xff\x01\x02"[..]);
    let messages = [picture_config(), odd.clone(), picture_at(0), odd];
    let mut receiver = receiver();
    let received = push(&mut receiver, &messages);
    let said = "this kind of sound is not supported: in FLV";
    assert_eq!(short(&received), [said, "0:H.264", "0 at 0"]);
    assert_eq!(receiver.counts().refused, 2);
}

#[test]
fn what_is_kept_until_the_tracks_are_known_is_bounded() {
    let mut receiver = receiver();
    push(&mut receiver, &[picture_config()]);
    push(&mut receiver, &vec![picture_at(0); 1100]);
    assert_eq!(receiver.counts().overflowed, 1100 - KEPT_FRAMES_MAX as u64);
    let received = push(&mut receiver, &[sound_config()]);
    assert_eq!(received.len(), 1 + KEPT_FRAMES_MAX);
}

#[test]
fn time_stamps_go_on_over_32_bits() {
    let mut receiver = receiver();
    receiver.metadata(&Value::ecma_array([("videocodecid", 7.0.into())]));
    let start = u32::MAX - 20;
    let config = Message { time_ms: start, ..picture_config() };
    let messages = [config, picture_at(start), picture_at(start.wrapping_add(40))];
    let received = push(&mut receiver, &messages);
    assert_eq!(short(&received)[1..], ["0 at 4294967275", "0 at 4294967315"]);
    let Received::Frame(frame) = &received[2] else { panic!() };
    assert!(!frame.discontinuity);
}

#[test]
fn configurations_with_the_time_0_do_not_move_the_time_line() {
    let mut receiver = receiver();
    receiver.metadata(&Value::ecma_array([("videocodecid", 7.0.into())]));
    let messages =
        [picture_config(), picture_at(3_000_000_000), picture_config(), picture_at(3_000_000_040)];
    let received = push(&mut receiver, &messages);
    assert_eq!(short(&received)[1..], ["0 at 3000000000", "0 at 3000000040"]);
}

#[test]
fn a_step_back_is_a_discontinuity() {
    let mut receiver = receiver();
    receiver.metadata(&Value::ecma_array([("videocodecid", 7.0.into())]));
    let messages = [picture_config(), picture_at(60_000), picture_at(0), picture_at(40)];
    let received = push(&mut receiver, &messages);
    let marks: Vec<_> = received
        .iter()
        .filter_map(|received| match received {
            Received::Frame(frame) => Some(frame.discontinuity),
            _ => None,
        })
        .collect();
    assert_eq!(marks, [false, true, false]);
}

#[test]
fn sound_is_exact_though_its_times_are_rounded() {
    let mut receiver = receiver();
    push(&mut receiver, &[picture_config(), sound_config()]);
    let config = aac::Config::lc(48_000, 2).unwrap();
    let exact: Vec<_> =
        (0..100).map(|n| MediaTime::from_ticks(n * 1024, config.sample_rate_hz)).collect();
    let messages: Vec<_> = exact.iter().map(|time| sound_at(time.to_ticks(1000) as u32)).collect();
    let received = push(&mut receiver, &messages);
    for (received, exact) in received.iter().zip(&exact) {
        let Received::Frame(frame) = received else { panic!() };
        let off = (frame.pts - *exact).as_nanos().abs();
        assert!(off < 5_000, "{off} ns off");
    }
    // A gap is no rounding.
    let received = push(&mut receiver, &[sound_at(2500)]);
    assert_eq!(short(&received), ["1 at 2500"]);
}

#[test]
fn composition_times_move_pictures() {
    let mut receiver = receiver();
    receiver.metadata(&Value::ecma_array([("videocodecid", 7.0.into())]));
    let body = [&[0x27, 1, 0, 0, 80][..], &[0, 0, 0, 2, 0x41, 0x9a]].concat();
    let received = push(&mut receiver, &[picture_config(), message(Kind::Video, 40, body)]);
    let Received::Frame(frame) = &received[1] else { panic!() };
    let ms = |ms| MediaTime::from_ticks(ms, 1000);
    assert_eq!((frame.dts, frame.pts, frame.key), (Some(ms(40)), ms(120), KeyKind::Delta));
}
