//! Opus (RFC 6716): its configuration, and how long a packet lasts.

use bytes::Bytes;

/// The configuration of an Opus stream: an identification header (RFC 7845 section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Channels that are heard: 1 mono, 2 stereo.
    pub channels: u8,
    /// Samples at 48 kHz to drop at the start.
    pub pre_skip: u16,
    /// Samples a second of what was encoded, for the record; 0 where that is not known.
    pub input_rate_hz: u32,
    /// Gain to apply, in 1/256 dB.
    pub gain: i16,
    /// Channel mapping family (RFC 7845 section 5.1.1), and behind it, but for family 0, the
    /// mapping table.
    pub mapping: Bytes,
}
