//! AAC: the audio specific configuration.

use bytes::Bytes;

/// The configuration of an AAC stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1) as it came.
    pub asc: Bytes,
    /// Audio object type: 2 for AAC-LC.
    pub object_type: u8,
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// Channels: 1 mono, 2 stereo.
    pub channels: u8,
    /// Samples in a frame: 1024, or 960.
    pub frame_samples: u16,
}
