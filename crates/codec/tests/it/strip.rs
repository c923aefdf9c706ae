//! The strip outlives coding and scaling, in every picture.

use weir_codec::pattern::{FrameRate, Moment, Pattern, Settings};
use weir_codec::timecode::{self, TimeCode};
use weir_codec::{Decoded, Picture, VideoDecoder, VideoEncoder, flash, h264, jpeg, scale};
use weir_media::{Codec, MediaTime, TrackId};
use weir_time::{Instant, Utc};

/// A live pattern at 30 pictures a second.
pub(crate) struct Source {
    pattern: Pattern,
    rate: FrameRate,
}

impl Source {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let rate = FrameRate::new(30, 1).unwrap();
        let name = "pattern".to_owned();
        let settings = Settings { name, width, height, frame_rate: rate };
        Source { pattern: Pattern::new(&settings).unwrap(), rate }
    }

    pub(crate) fn draw(&mut self, frame: u32) -> (&Picture, MediaTime) {
        let pts = self.rate.time_of(frame.into());
        let code = code(pts, frame);
        let now = Some(Utc::from_nanos(code.time_ms * 1_000_000));
        (self.pattern.draw(&Moment { frame, pts, now }), pts)
    }
}

fn code(pts: MediaTime, frame: u32) -> TimeCode {
    let time_ms = 1_763_735_999_000 + pts.as_nanos() as u64 / 1_000_000;
    TimeCode { is_live: true, frame, time_ms }
}

pub(crate) fn stamp(pts: MediaTime) -> weir_codec::Stamp {
    let (capture, arrival) = (None, Instant::ZERO);
    weir_codec::Stamp { pts, duration: None, capture, arrival, is_key: false }
}

/// What comes out of an encoder and a decoder of H.264, and the bits that it took for a second.
fn through_h264(width: usize, height: usize, bitrate_bps: u32, frames: u32) -> (Vec<Decoded>, f64) {
    let mut source = Source::new(width, height);
    let settings = h264::Settings { bitrate_bps, ..h264::Settings::new(width, height, 30.0) };
    let mut encoder = h264::Encoder::new(settings).unwrap();
    let Codec::H264(config) = encoder.track().codec.clone() else { panic!("not H.264") };
    let mut decoder = h264::Decoder::new(&config);
    let (mut out, mut bytes) = (Vec::new(), 0);
    for frame in 0..frames {
        let (picture, pts) = source.draw(frame);
        let frame = encoder.encode(picture, &stamp(pts)).unwrap();
        bytes += frame.payload.len();
        decoder.decode(&frame, &mut out).unwrap();
    }
    decoder.finish(&mut out);
    (out, bytes as f64 * 8.0 / (f64::from(frames) / 30.0))
}

#[test]
fn every_strip_is_read_after_h264_at_300_kbit_per_second_and_scaling_to_320_wide() {
    let (decoded, bitrate_bps) = through_h264(1280, 720, 300_000, 150);
    assert_eq!(decoded.len(), 150);
    // An encoder that leaves no picture out takes what it needs; that is still a low rate.
    assert!(bitrate_bps < 450_000.0, "{bitrate_bps}");
    for (frame, Decoded { pts, picture }) in decoded.iter().enumerate() {
        let expected = Some(code(*pts, frame as u32));
        assert_eq!(timecode::read(picture.luma()), expected, "picture {frame}");
        let small = scale(picture, 320, 180).unwrap();
        assert_eq!(timecode::read(small.luma()), expected, "picture {frame}, small");
        let again = jpeg::decode(&jpeg::encode(&small, 20).unwrap()).unwrap();
        assert_eq!(timecode::read(again.luma()), expected, "picture {frame}, small, JPEG");
    }
}

#[test]
fn every_strip_is_read_after_jpeg_of_quality_20_and_scaling_to_320_wide() {
    for (width, height) in [(1280, 720), (640, 360), (320, 180), (854, 480)] {
        let mut source = Source::new(width, height);
        for frame in 0..40 {
            let (picture, pts) = source.draw(frame * 1_000_003 % (1 << 24));
            let expected = Some(code(pts, frame * 1_000_003 % (1 << 24)));
            let image = jpeg::encode(picture, 20).unwrap();
            let back = jpeg::decode(&image).unwrap();
            assert_eq!(timecode::read(back.luma()), expected, "{width}x{height}");
            let small = scale(&back, 320, 180).unwrap();
            assert_eq!(timecode::read(small.luma()), expected, "{width}x{height}, small");
        }
    }
}

#[test]
fn flashes_are_found_at_each_whole_second_after_coding() {
    let (decoded, _) = through_h264(640, 360, 300_000, 100);
    let mut detector = flash::Detector::new();
    let pictures = decoded.iter();
    let found: Vec<_> = pictures
        .filter_map(|decoded| detector.push(decoded.picture.luma(), decoded.pts))
        .map(MediaTime::as_secs_f64)
        .collect();
    assert_eq!(found, [1.0, 2.0, 3.0]);
    let mut detector = flash::Detector::new();
    let small = decoded.iter().map(|decoded| (scale(&decoded.picture, 320, 180), decoded.pts));
    let found = small.filter_map(|(picture, pts)| detector.push(picture.unwrap().luma(), pts));
    assert_eq!(found.count(), 3);
}

#[test]
fn a_recorded_picture_says_so_and_gives_the_media_time() {
    let rate = FrameRate::new(25, 1).unwrap();
    let settings = Settings { name: "x".into(), width: 320, height: 180, frame_rate: rate };
    let mut pattern = Pattern::new(&settings).unwrap();
    let moment = Moment { frame: 30, pts: rate.time_of(30), now: None };
    let code = timecode::read(pattern.draw(&moment).luma());
    assert_eq!(code, Some(TimeCode { is_live: false, frame: 30, time_ms: 1_200 }));
}

#[test]
fn the_jpeg_encoder_makes_key_frames_of_its_track() {
    let mut source = Source::new(320, 180);
    let mut encoder = jpeg::Encoder::new(TrackId(3), 320, 180, 80, 90_000).unwrap();
    let (picture, pts) = source.draw(9);
    let frame = encoder.encode(picture, &stamp(pts)).unwrap();
    assert_eq!((frame.track, frame.pts, frame.key.starts()), (TrackId(3), pts, true));
    let Codec::Jpeg(config) = encoder.track().codec else { panic!("not JPEG") };
    assert_eq!((config.width, config.height), (320, 180));
    assert_eq!(weir_media::jpeg::image_bytes(&frame.payload), Ok(Some(frame.payload.len())));
}
