//! AV1.

use bytes::Bytes;

/// The configuration of an AV1 stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// The AV1CodecConfigurationRecord (AV1 in ISO BMFF, section 2.3.3), with the sequence header
    /// among its configOBUs.
    pub record: Bytes,
}
