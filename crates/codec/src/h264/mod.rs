//! H.264 (ISO/IEC 14496-10): pictures into frames and back.

mod decoder;
mod encoder;

pub use decoder::Decoder;
pub use encoder::{Encoder, Settings};

const NAME: &str = "H.264";
