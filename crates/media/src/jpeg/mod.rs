//! JPEG (ITU-T T.81), one image a frame.

/// What every image of a Motion JPEG stream has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
}
