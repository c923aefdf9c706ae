//! H.265: parameter sets, NAL units.

use bytes::Bytes;

/// The parameter sets of an H.265 stream: NAL units without start code or length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Video parameter sets; at least one.
    pub vps: Vec<Bytes>,
    /// Sequence parameter sets; at least one.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets; at least one.
    pub pps: Vec<Bytes>,
}
