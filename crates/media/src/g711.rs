//! G.711: logarithmic sound of eight bits a sample.

/// The configuration of a G.711 stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How a sample is coded.
    pub law: Law,
    /// Samples a second; 8,000 nearly always.
    pub sample_rate_hz: u32,
    /// Channels; 1 nearly always.
    pub channels: u8,
}

/// How a sample is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// A-law (PCMA), Europe and most of the world.
    A,
    /// Mu-law (PCMU), North America and Japan.
    Mu,
}
