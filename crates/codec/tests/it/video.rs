//! What the encoder of H.264 promises.

use weir_codec::{Decoded, Stamp, VideoEncoder, h264, video_decoder};
use weir_media::nal::LengthPrefixed;
use weir_media::{Codec, Frame, KeyKind, MediaTime, Track, TrackId, vp8};

use crate::strip::{Source, stamp};

fn encode(settings: h264::Settings, frames: u32, keys_wanted: &[u32]) -> (Track, Vec<Frame>) {
    let mut source = Source::new(settings.width, settings.height);
    let mut encoder = h264::Encoder::new(settings).unwrap();
    let frames = (0..frames).map(|number| {
        let (picture, pts) = source.draw(number);
        let is_key = keys_wanted.contains(&number);
        encoder.encode(picture, &Stamp { is_key, ..stamp(pts) }).unwrap()
    });
    let frames = frames.collect();
    (encoder.track().clone(), frames)
}

fn keys(frames: &[Frame]) -> Vec<usize> {
    let keys = frames.iter().enumerate();
    keys.filter(|(_, frame)| frame.key == KeyKind::Key).map(|(number, _)| number).collect()
}

#[test]
fn key_frames_come_after_each_gop_and_on_demand() {
    let settings = h264::Settings { gop_frames: 10, ..h264::Settings::new(320, 180, 30.0) };
    let (_, frames) = encode(settings, 36, &[14]);
    assert_eq!(keys(&frames), [0, 10, 14, 24, 34]);
    let settings = h264::Settings { gop_frames: 0, ..settings };
    let (_, frames) = encode(settings, 36, &[14]);
    assert_eq!(keys(&frames), [0, 14]);
}

#[test]
fn every_picture_becomes_a_frame_however_few_bits_there_are() {
    let settings = h264::Settings { bitrate_bps: 20_000, ..h264::Settings::new(640, 360, 30.0) };
    let (track, frames) = encode(settings, 60, &[]);
    assert!(frames.iter().all(|frame| !frame.payload.is_empty()));
    assert_eq!(decode(&track, &frames).len(), 60);
}

#[test]
fn the_same_pictures_give_the_same_bytes() {
    let settings = h264::Settings::new(320, 180, 30.0);
    assert_eq!(encode(settings, 20, &[7]), encode(settings, 20, &[7]));
}

#[test]
fn frames_have_the_form_that_the_codec_states() {
    let settings = h264::Settings::new(1280, 720, 30.0);
    let (track, frames) = encode(settings, 4, &[]);
    let Codec::H264(config) = &track.codec else { panic!("not H.264") };
    let picture = config.picture().unwrap();
    assert_eq!((picture.width, picture.height, picture.profile_idc), (1280, 720, 66));
    assert_eq!(picture.reorder_depth, 0, "{picture:?}");
    assert_eq!(config.codec_string(), "avc1.42c01f");
    for frame in &frames {
        // Slices alone: parameter sets stand in the configuration.
        for nal in LengthPrefixed::new(&frame.payload, 4) {
            assert!(matches!(nal.unwrap()[0] & 31, 1 | 5));
        }
    }
}

fn decode(track: &Track, frames: &[Frame]) -> Vec<Decoded> {
    let (mut decoder, mut out) = (video_decoder(track).unwrap(), Vec::new());
    for frame in frames {
        let _ = decoder.decode(frame, &mut out);
    }
    decoder.finish(&mut out);
    out
}

#[test]
fn each_picture_is_there_as_soon_as_its_frame_is() {
    let (track, frames) = encode(h264::Settings::new(320, 180, 30.0), 5, &[]);
    let (mut decoder, mut out) = (video_decoder(&track).unwrap(), Vec::new());
    for (number, frame) in frames.iter().enumerate() {
        decoder.decode(frame, &mut out).unwrap();
        assert_eq!(out.len(), number + 1);
        assert_eq!(out.last().unwrap().pts, frame.pts);
    }
}

#[test]
fn decoding_begins_at_a_key_frame_and_goes_on_after_what_is_broken_or_lost() {
    let settings = h264::Settings { gop_frames: 10, ..h264::Settings::new(320, 180, 30.0) };
    let (track, mut frames) = encode(settings, 40, &[]);
    assert_eq!(decode(&track, &frames[5..]).len(), 30);
    frames.remove(25);
    frames[13].payload = frames[13].payload.slice(..20);
    let decoded = decode(&track, &frames);
    assert!(decoded.len() >= 37, "{}", decoded.len());
    assert_eq!(decoded.last().unwrap().pts, frames.last().unwrap().pts);
}

#[test]
fn a_codec_without_a_decoder_is_named() {
    let codec = Codec::Vp8(vp8::Config { width: 16, height: 16 });
    let track = Track { id: TrackId(0), codec, clock_rate_hz: 90_000 };
    let error = video_decoder(&track).err().unwrap().to_string();
    assert_eq!(error, "VP8 cannot be decoded here: H.264 and JPEG are");
}

#[test]
fn a_size_that_cannot_be_encoded_is_named() {
    let error = h264::Encoder::new(h264::Settings::new(641, 360, 30.0)).err().unwrap();
    assert!(error.to_string().contains("641x360"), "{error}");
    let mut encoder = h264::Encoder::new(h264::Settings::new(640, 360, 30.0)).unwrap();
    let wrong = weir_codec::Picture::new(320, 180);
    let error = encoder.encode(&wrong, &stamp(MediaTime::ZERO)).unwrap_err();
    assert!(error.to_string().contains("640x360"), "{error}");
}
