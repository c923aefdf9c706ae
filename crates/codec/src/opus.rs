//! Opus (RFC 6716): 48 kHz, packets of 20 ms.

use bytes::Bytes;
use opus_pure::{Application, MAX_PACKET_BYTES, OpusDecoder, OpusEncoder};
use weir_media::{Codec, Frame, KeyKind, MediaTime, Track, TrackId, opus};
use weir_time::Instant;

use crate::{Error, Pcm, SoundDecoder, SoundEncoder};

/// Samples a second of each channel that the encoder takes and the decoder gives.
pub const RATE_HZ: u32 = opus::CLOCK_RATE_HZ;
/// Samples of each channel in a packet: 20 ms.
pub const PACKET_SAMPLES: usize = 960;

/// An encoder of one or two channels.
pub struct Encoder {
    encoder: OpusEncoder,
    track: Track,
    channels: u8,
    waiting: Vec<f32>,
    /// When the next packet begins.
    next: MediaTime,
    scratch: Vec<u8>,
}

impl Encoder {
    /// An encoder whose first sample is heard at `start`, with so many bits a second.
    ///
    /// # Errors
    /// When there are not one or two channels.
    pub fn new(
        track: TrackId,
        channels: u8,
        bitrate_bps: u32,
        start: MediaTime,
    ) -> Result<Self, Error> {
        let failed = |error: opus_pure::Error| {
            let reason = format!("{channels} channels, {bitrate_bps} bit/s: {error}");
            Error::NotEncoded { codec: NAME, reason }
        };
        let mut encoder =
            OpusEncoder::new(RATE_HZ as i32, usize::from(channels), Application::Audio)
                .map_err(failed)?;
        encoder.bitrate_bps = bitrate_bps.clamp(6_000, 510_000) as i32;
        // Below 7 it leaves out what only tells speech from music.
        encoder.complexity = 5;
        let pre_skip = encoder.lookahead() as u16;
        let config =
            opus::Config { pre_skip, input_rate_hz: RATE_HZ, ..opus::Config::plain(channels) };
        let track = Track { id: track, codec: Codec::Opus(config), clock_rate_hz: RATE_HZ };
        let next = start - MediaTime::from_ticks(i64::from(pre_skip), RATE_HZ);
        let scratch = vec![0; MAX_PACKET_BYTES];
        Ok(Encoder { encoder, track, channels, waiting: Vec::new(), next, scratch })
    }

    /// How much later a sample leaves a decoder than it came in here. Frames are stamped that
    /// much earlier.
    pub fn delay(&self) -> MediaTime {
        MediaTime::from_ticks(self.encoder.lookahead() as i64, RATE_HZ)
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
        self.waiting.extend_from_slice(samples);
        let packet_len = PACKET_SAMPLES * usize::from(self.channels);
        let duration = MediaTime::from_ticks(PACKET_SAMPLES as i64, RATE_HZ);
        while self.waiting.len() >= packet_len {
            let input = &self.waiting[..packet_len];
            let bytes = self
                .encoder
                .encode(input, PACKET_SAMPLES, &mut self.scratch)
                .map_err(|error| Error::encode(NAME, error))?;
            self.waiting.drain(..packet_len);
            out.push(Frame {
                track: self.track.id,
                pts: self.next,
                dts: Some(self.next),
                duration: Some(duration),
                key: KeyKind::Key,
                capture: None,
                arrival,
                discontinuity: false,
                payload: Bytes::copy_from_slice(&self.scratch[..bytes]),
            });
            self.next = self.next + duration;
        }
        Ok(())
    }
}

/// A decoder of one or two channels, at 48 kHz.
pub struct Decoder {
    decoder: OpusDecoder,
    channels: u8,
    scratch: Vec<f32>,
}

impl Decoder {
    /// A decoder of a stream with this configuration.
    ///
    /// # Errors
    /// When it has more than two channels.
    pub fn new(config: &opus::Config) -> Result<Self, Error> {
        let channels = config.channels;
        let decoder = OpusDecoder::new(RATE_HZ as i32, usize::from(channels)).map_err(|error| {
            Error::NotDecoded { codec: NAME, reason: format!("{channels} channels: {error}") }
        })?;
        Ok(Decoder { decoder, channels, scratch: vec![0.0; SAMPLES_MAX * usize::from(channels)] })
    }
}

impl SoundDecoder for Decoder {
    fn decode(&mut self, frame: &Frame) -> Result<Pcm, Error> {
        let failed = |reason: String| Error::decode(NAME, frame.payload.len(), reason);
        // Without bytes the decoder would make something up.
        if opus::packet_samples(&frame.payload).is_none() {
            return Err(failed("it breaks the rules of RFC 6716 section 3".to_owned()));
        }
        let samples = self
            .decoder
            .decode(&frame.payload, SAMPLES_MAX, &mut self.scratch)
            .map_err(|error| failed(error.to_string()))?;
        let samples = &self.scratch[..samples * usize::from(self.channels)];
        Ok(Pcm { rate_hz: RATE_HZ, channels: self.channels, samples: samples.to_vec() })
    }
}

const NAME: &str = "Opus";
/// 120 ms.
const SAMPLES_MAX: usize = 5_760;
