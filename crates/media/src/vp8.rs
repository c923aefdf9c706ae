//! VP8 (RFC 6386).

/// The configuration of a VP8 stream, as its first key frame says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
}
