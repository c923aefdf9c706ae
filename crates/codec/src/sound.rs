//! What all coders of sound have in common.

use weir_media::{Codec, Frame, Track};
use weir_time::Instant;

use crate::{Error, aac, opus};

/// Makes frames of samples.
pub trait SoundEncoder: Send {
    /// The track that its frames belong to.
    fn track(&self) -> &Track;

    /// Takes the next samples, from -1 to 1, the channels in turn; appends the frames that they
    /// complete to `out`. Frames are stamped so that a sample is heard, once decoded, at the
    /// time that it has in what was put in: a frame's time may thus be negative.
    ///
    /// # Errors
    /// When the encoder fails.
    fn encode(
        &mut self,
        samples: &[f32],
        arrival: Instant,
        out: &mut Vec<Frame>,
    ) -> Result<(), Error>;
}

/// Makes samples of frames.
pub trait SoundDecoder: Send {
    /// Decodes the next frame: the samples begin at its presentation time.
    ///
    /// # Errors
    /// When the frame cannot be decoded; go on with the next.
    fn decode(&mut self, frame: &Frame) -> Result<Pcm, Error>;
}

/// Samples of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Pcm {
    /// Samples a second of each channel.
    pub rate_hz: u32,
    /// Channels.
    pub channels: u8,
    /// The samples, from -1 to 1 or a little beyond, the channels in turn.
    pub samples: Vec<f32>,
}

impl Pcm {
    /// The mean of the channels.
    pub fn mono(&self) -> Vec<f32> {
        let channels = usize::from(self.channels.max(1));
        let mean = |samples: &[f32]| samples.iter().sum::<f32>() / channels as f32;
        self.samples.chunks_exact(channels).map(mean).collect()
    }
}

/// A decoder of a track of sound.
///
/// # Errors
/// When there is none for its codec, or for what its configuration asks; the error names it.
pub fn sound_decoder(track: &Track) -> Result<Box<dyn SoundDecoder>, Error> {
    match &track.codec {
        Codec::Opus(config) => Ok(Box::new(opus::Decoder::new(config)?)),
        Codec::Aac(config) => Ok(Box::new(aac::Decoder::new(config)?)),
        other => {
            let reason = "Opus and AAC are".to_owned();
            Err(Error::NotDecoded { codec: other.name(), reason })
        }
    }
}
