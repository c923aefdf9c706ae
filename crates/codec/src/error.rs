//! What can go wrong with coding.

/// Why something cannot be encoded, decoded or scaled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no decoder here for a codec.
    #[error("{codec} cannot be decoded here: {reason}")]
    NotDecoded {
        /// The codec, as people write it.
        codec: &'static str,
        /// What is decoded, or what about the track is in the way.
        reason: String,
    },
    /// What is asked of an encoder cannot be had.
    #[error("{codec} cannot be encoded so: {reason}")]
    NotEncoded {
        /// The codec, as people write it.
        codec: &'static str,
        /// What was asked for, and what is possible.
        reason: String,
    },
    /// A frame that its decoder does not take. The decoder goes on with the next.
    #[error("a {codec} frame of {bytes} bytes cannot be decoded: {reason}")]
    Decode {
        /// The codec, as people write it.
        codec: &'static str,
        /// How long the frame is.
        bytes: usize,
        /// What the decoder says.
        reason: String,
    },
    /// The encoder fails.
    #[error("the {codec} encoder fails: {reason}")]
    Encode {
        /// The codec, as people write it.
        codec: &'static str,
        /// What it says.
        reason: String,
    },
    /// A picture that has not the size that is needed.
    #[error("a picture of {width}x{height} came: {expected}")]
    Size {
        /// Its width in pixels.
        width: usize,
        /// Its height in pixels.
        height: usize,
        /// What was expected.
        expected: String,
    },
    /// An encoder made what `weir_media` does not read.
    #[error(transparent)]
    Media(#[from] weir_media::Error),
}

impl Error {
    pub(crate) fn encode(codec: &'static str, reason: impl ToString) -> Self {
        Error::Encode { codec, reason: reason.to_string() }
    }

    pub(crate) fn decode(codec: &'static str, bytes: usize, reason: impl ToString) -> Self {
        Error::Decode { codec, bytes, reason: reason.to_string() }
    }
}
