//! AAC (ISO/IEC 14496-3): low complexity out, low complexity and high efficiency in.

use bytes::Bytes;
use syom::{DecodeOptions, EncodeOptions};
use weir_media::{Codec, Frame, KeyKind, MediaTime, Track, TrackId, aac};
use weir_time::Instant;

use crate::{Error, Pcm, SoundDecoder, SoundEncoder};

/// Samples of each channel in a frame.
pub const FRAME_SAMPLES: usize = 1_024;

/// An encoder of AAC-LC, one or two channels.
pub struct Encoder {
    encoder: syom::Encoder,
    track: Track,
    rate_hz: u32,
    channels: u8,
    /// Frames that were made.
    made: i64,
    start: MediaTime,
}

impl Encoder {
    /// An encoder whose first sample is heard at `start`, with so many samples and bits a second.
    ///
    /// # Errors
    /// When the rate or the number of channels is not supported.
    pub fn new(
        track: TrackId,
        rate_hz: u32,
        channels: u8,
        bitrate_bps: u32,
        start: MediaTime,
    ) -> Result<Self, Error> {
        let options = EncodeOptions::raw().with_bitrate_bps(bitrate_bps);
        let encoder = syom::Encoder::new(rate_hz, usize::from(channels), &options)
            .map_err(|error| Error::NotEncoded { codec: NAME, reason: error.to_string() })?;
        let config = aac::Config::from_asc(encoder.asc())?;
        let track = Track { id: track, codec: Codec::Aac(config), clock_rate_hz: rate_hz };
        Ok(Encoder { encoder, track, rate_hz, channels, made: 0, start })
    }

    /// How much later a sample leaves a decoder than it came in here. Frames are stamped that
    /// much earlier.
    pub fn delay(&self) -> MediaTime {
        MediaTime::from_ticks(DELAY_SAMPLES, self.rate_hz)
    }
}

impl SoundEncoder for Encoder {
    fn track(&self) -> &Track {
        &self.track
    }

    fn encode(
        &mut self,
        samples: &[f32],
        arrival: Instant,
        out: &mut Vec<Frame>,
    ) -> Result<(), Error> {
        let channels = usize::from(self.channels);
        let plane = |channel: usize| -> Vec<f32> {
            let samples = samples.chunks_exact(channels).map(|frame| frame[channel]);
            samples.map(|sample| sample.clamp(-1.0, 1.0)).collect()
        };
        let planes: Vec<Vec<f32>> = (0..channels).map(plane).collect();
        let planes: Vec<&[f32]> = planes.iter().map(Vec::as_slice).collect();
        let (start, rate_hz, track) = (self.start, self.rate_hz, self.track.id);
        let made = &mut self.made;
        let time_of = |frame: i64| {
            let samples = frame * FRAME_SAMPLES as i64 - DELAY_SAMPLES;
            start + MediaTime::from_ticks(samples, rate_hz)
        };
        let fed = self.encoder.feed(&planes, |unit| {
            let pts = time_of(*made);
            *made += 1;
            out.push(Frame {
                track,
                pts,
                dts: Some(pts),
                duration: Some(time_of(*made) - pts),
                key: KeyKind::Key,
                capture: None,
                arrival,
                discontinuity: false,
                payload: Bytes::copy_from_slice(unit.au),
            });
            Ok(())
        });
        fed.map(drop).map_err(|error| Error::encode(NAME, error))
    }
}

/// A decoder of AAC.
pub struct Decoder {
    decoder: syom::Decoder,
    config: aac::Config,
}

impl Decoder {
    /// A decoder of a stream with this configuration.
    ///
    /// # Errors
    /// When it asks for what is not supported.
    pub fn new(config: &aac::Config) -> Result<Self, Error> {
        let decoder = open(config)?;
        Ok(Decoder { decoder, config: config.clone() })
    }
}

impl SoundDecoder for Decoder {
    fn decode(&mut self, frame: &Frame) -> Result<Pcm, Error> {
        let mut pcm = Pcm { rate_hz: 0, channels: 0, samples: Vec::new() };
        let decoded = self.decoder.decode_au(&frame.payload, |decoded| {
            pcm.rate_hz = decoded.sample_rate;
            pcm.channels = decoded.planar.len() as u8;
            for at in 0..decoded.samples {
                let sample = decoded.planar.iter().map(|plane| plane.get(at).copied());
                pcm.samples.extend(sample.map(Option::unwrap_or_default));
            }
            Ok(())
        });
        if let Err(error) = decoded {
            // It takes nothing more until it is opened anew.
            self.decoder = open(&self.config)?;
            return Err(Error::decode(NAME, frame.payload.len(), error));
        }
        Ok(pcm)
    }
}

fn open(config: &aac::Config) -> Result<syom::Decoder, Error> {
    syom::Decoder::from_asc(&config.asc, DecodeOptions::unbounded())
        .map_err(|error| Error::NotDecoded { codec: NAME, reason: error.to_string() })
}

const NAME: &str = "AAC";
/// What the transform holds back: half of its window.
const DELAY_SAMPLES: i64 = FRAME_SAMPLES as i64;
