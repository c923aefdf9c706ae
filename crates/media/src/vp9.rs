//! VP9.

/// The configuration of a VP9 stream (VPCodecConfigurationRecord of VP9 in ISO BMFF).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Profile, 0 to 3.
    pub profile: u8,
    /// Level times ten; 0 where it is not known.
    pub level: u8,
    /// Bits a sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// Chroma subsampling as the record codes it: 0 and 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4.
    pub chroma_subsampling: u8,
}
