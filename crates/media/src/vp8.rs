//! VP8 (RFC 6386): the head of a frame.

use crate::{Error, KeyKind};

/// The configuration of a VP8 stream, as its first key frame says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
}

impl Config {
    /// Reads the head of a key frame (RFC 6386 section 9.1).
    pub fn from_key_frame(frame: &[u8]) -> Result<Self, Error> {
        let Some(&[tag, _, _, s0, s1, s2, w0, w1, h0, h1]) = frame.first_chunk::<10>() else {
            return Err(Error::syntax(HEADER, frame.len(), "shorter than 10 bytes"));
        };
        if tag & 1 != 0 {
            return Err(Error::syntax(HEADER, 0, "a key frame expected, another came"));
        }
        if [s0, s1, s2] != START_CODE {
            let reason = format!("start code 9d012a expected, {s0:02x}{s1:02x}{s2:02x} came");
            return Err(Error::syntax(HEADER, 3, reason));
        }
        // The two highest bits are how the picture is to be scaled.
        let width = u16::from_le_bytes([w0, w1]) & 0x3fff;
        let height = u16::from_le_bytes([h0, h1]) & 0x3fff;
        if width == 0 || height == 0 {
            return Err(Error::syntax(HEADER, 6, format!("a picture of {width}x{height}")));
        }
        Ok(Config { width, height })
    }

    /// The codec as browsers name it.
    pub fn codec_string(&self) -> String {
        "vp8".to_owned()
    }
}

/// Whether decoding can start at a frame (RFC 6386 section 9.1).
pub fn key(frame: &[u8]) -> KeyKind {
    match frame {
        [tag, ..] if tag & 1 == 0 => KeyKind::Key,
        _ => KeyKind::Delta,
    }
}

const HEADER: &str = "VP8 frame header";
const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 10] = [0x10, 0x02, 0, 0x9d, 0x01, 0x2a, 0x40, 0x41, 0xb4, 0x80];

    #[test]
    fn a_key_frame_says_the_size_without_the_scale() {
        assert_eq!(Config::from_key_frame(&KEY).unwrap(), Config { width: 320, height: 180 });
        assert_eq!(
            (key(&KEY), key(&[0x11]), key(&[])),
            (KeyKind::Key, KeyKind::Delta, KeyKind::Delta)
        );
    }

    #[test]
    fn other_frames_and_broken_ones_are_refused() {
        let message = |at: usize, byte: u8| {
            let mut frame = KEY;
            frame[at] = byte;
            Config::from_key_frame(&frame).unwrap_err().to_string()
        };
        assert!(message(0, 0x11).contains("a key frame expected"));
        assert!(message(4, 0x02).contains("start code 9d012a expected, 9d022a came"));
        assert!(Config::from_key_frame(&KEY[..9]).is_err());
    }
}
