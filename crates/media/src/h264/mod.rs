//! H.264: parameter sets, NAL units, decoding times.

use bytes::Bytes;

/// The parameter sets of an H.264 stream: NAL units without start code or length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Sequence parameter sets; at least one.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets; at least one.
    pub pps: Vec<Bytes>,
}
