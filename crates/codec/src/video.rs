//! What all coders of pictures have in common.

use weir_media::{Capture, Codec, Frame, MediaTime, Track};
use weir_time::Instant;

use crate::{Error, Picture, h264, jpeg};

/// Makes frames of pictures.
pub trait VideoEncoder: Send {
    /// The track that its frames belong to.
    fn track(&self) -> &Track;

    /// Encodes the next picture.
    ///
    /// # Errors
    /// When the picture has another size than was agreed, or the encoder fails.
    fn encode(&mut self, picture: &Picture, stamp: &Stamp) -> Result<Frame, Error>;
}

/// What a frame says of itself, beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When it is shown. What is encoded here is decoded in the order of presentation, so that
    /// this is the decoding time too.
    pub pts: MediaTime,
    /// How long it is shown.
    pub duration: Option<MediaTime>,
    /// When it was captured.
    pub capture: Option<Capture>,
    /// The time of this moment.
    pub arrival: Instant,
    /// Decoding must be able to start here. Without it, that is as the encoder's settings say.
    pub is_key: bool,
}

/// Makes pictures of frames.
pub trait VideoDecoder: Send {
    /// Takes the next frame in order of decoding; appends the pictures that are ready to `out`, in
    /// order of presentation. A frame before the first key frame gives none.
    ///
    /// # Errors
    /// When the frame cannot be decoded; go on with the next.
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Decoded>) -> Result<(), Error>;

    /// Appends the pictures that still wait for others before them.
    fn finish(&mut self, out: &mut Vec<Decoded>);
}

/// A picture that was decoded.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// When it is shown.
    pub pts: MediaTime,
    /// The picture.
    pub picture: Picture,
}

/// A decoder of a track of pictures.
///
/// # Errors
/// When there is none for its codec; the error names it.
pub fn video_decoder(track: &Track) -> Result<Box<dyn VideoDecoder>, Error> {
    match &track.codec {
        Codec::H264(config) => Ok(Box::new(h264::Decoder::new(config))),
        Codec::Jpeg(_) => Ok(Box::new(jpeg::Decoder)),
        other => {
            let reason = "H.264 and JPEG are".to_owned();
            Err(Error::NotDecoded { codec: other.name(), reason })
        }
    }
}
