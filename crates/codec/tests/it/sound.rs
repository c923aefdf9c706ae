//! Sound comes back at the time at which it was put in.

use weir_codec::{SoundEncoder, aac, beep, opus, pattern, sound_decoder};
use weir_media::{Frame, MediaTime, Track, TrackId, aac as aac_config};
use weir_time::Instant;

fn encode(encoder: &mut dyn SoundEncoder, samples: &[f32]) -> (Track, Vec<Frame>) {
    let mut frames = Vec::new();
    for block in samples.chunks(1_600) {
        encoder.encode(block, Instant::ZERO, &mut frames).unwrap();
    }
    (encoder.track().clone(), frames)
}

fn beeps(track: &Track, frames: &[Frame]) -> Vec<f64> {
    let mut decoder = sound_decoder(track).unwrap();
    let mut detector = None;
    let mut found = Vec::new();
    for frame in frames {
        let pcm = decoder.decode(frame).unwrap();
        let detector = detector.get_or_insert_with(|| beep::Detector::new(pcm.rate_hz));
        found.extend(detector.push(frame.pts, &pcm.mono()));
    }
    found.into_iter().map(MediaTime::as_secs_f64).collect()
}

fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 0.001, "{found} for {expected}");
    }
}

#[test]
fn beeps_are_found_to_the_millisecond_after_opus() {
    for channels in [1u8, 2] {
        let start = MediaTime::from_nanos(500_000_000);
        let mut encoder = opus::Encoder::new(TrackId(1), channels, 64_000, start).unwrap();
        let mono = pattern::sound(opus::RATE_HZ, 24_000, 48_000 * 4);
        let samples: Vec<f32> =
            mono.iter().flat_map(|&sample| vec![sample; channels.into()]).collect();
        let (track, frames) = encode(&mut encoder, &samples);
        assert!(frames.iter().all(|frame| {
            weir_media::opus::packet_samples(&frame.payload) == Some(opus::PACKET_SAMPLES as u32)
        }));
        assert_near(&beeps(&track, &frames), &[1.0, 2.0, 3.0, 4.0]);
    }
}

#[test]
fn beeps_are_found_to_the_millisecond_after_aac() {
    for (rate_hz, channels) in [(48_000, 1u8), (44_100, 2)] {
        let mut encoder =
            aac::Encoder::new(TrackId(1), rate_hz, channels, 96_000, MediaTime::ZERO).unwrap();
        let mono = pattern::sound(rate_hz, 0, rate_hz as usize * 4);
        let samples: Vec<f32> =
            mono.iter().flat_map(|&sample| vec![sample; channels.into()]).collect();
        let (track, frames) = encode(&mut encoder, &samples);
        assert_eq!(frames[1].pts, MediaTime::ZERO);
        assert_near(&beeps(&track, &frames), &[1.0, 2.0, 3.0]);
    }
}

#[test]
fn a_broken_frame_is_an_error_and_the_next_is_decoded() {
    let mut encoders: [Box<dyn SoundEncoder>; 2] = [
        Box::new(opus::Encoder::new(TrackId(1), 1, 64_000, MediaTime::ZERO).unwrap()),
        Box::new(aac::Encoder::new(TrackId(1), 48_000, 1, 96_000, MediaTime::ZERO).unwrap()),
    ];
    for encoder in &mut encoders {
        let (track, frames) = encode(encoder.as_mut(), &pattern::sound(48_000, 0, 48_000));
        let mut decoder = sound_decoder(&track).unwrap();
        decoder.decode(&frames[0]).unwrap();
        let broken = Frame { payload: bytes::Bytes::new(), ..frames[1].clone() };
        assert!(decoder.decode(&broken).is_err());
        let pcm = decoder.decode(&frames[2]).unwrap();
        assert_eq!((pcm.rate_hz, pcm.channels), (48_000, 1));
    }
}

#[test]
fn what_is_no_channel_count_is_refused() {
    assert!(opus::Encoder::new(TrackId(0), 3, 64_000, MediaTime::ZERO).is_err());
    assert!(aac::Encoder::new(TrackId(0), 12_345, 1, 64_000, MediaTime::ZERO).is_err());
    let config = aac_config::Config::lc(48_000, 2).unwrap();
    assert!(aac::Decoder::new(&config).is_ok());
}
