//! ADTS, the framing of AAC that transport streams and plain `.aac` files use.

use super::{Config, RATES_HZ};
use crate::Error;

/// The header of an ADTS frame (ISO/IEC 14496-3 section 1.A.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdtsHeader {
    /// What the frame is coded with.
    pub config: Config,
    /// Bytes of the header: 7, or 9 with a checksum.
    pub header_bytes: usize,
    /// Bytes of the whole frame with its header.
    pub frame_bytes: usize,
}

impl AdtsHeader {
    /// Reads the header that `data` starts with.
    pub fn read(data: &[u8]) -> Result<Self, Error> {
        let Some(&[sync, b1, b2, b3, b4, b5, b6]) = data.first_chunk::<7>() else {
            return Err(Error::syntax(WHAT, data.len(), "shorter than 7 bytes"));
        };
        if sync != 0xff || b1 & 0xf6 != 0xf0 {
            let reason = format!("sync word fff expected, {sync:02x}{b1:02x} came");
            return Err(Error::syntax(WHAT, 0, reason));
        }
        let object_type = (b2 >> 6) + 1;
        let rate_index = b2 >> 2 & 15;
        let channel_config = (b2 & 1) << 2 | b3 >> 6;
        let frame_bytes = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
        let header_bytes = if b1 & 1 == 1 { 7 } else { 9 };
        if b6 & 3 != 0 {
            return Err(Error::unsupported(WHAT, "more than one raw data block in a frame"));
        }
        if usize::from(rate_index) >= RATES_HZ.len() || channel_config == 0 {
            let reason =
                format!("rate index {rate_index} with channel configuration {channel_config}");
            return Err(Error::unsupported(WHAT, reason));
        }
        if frame_bytes < header_bytes {
            let reason = format!("a frame of {frame_bytes} bytes is shorter than its header");
            return Err(Error::syntax(WHAT, 3, reason));
        }
        let asc = u16::from(object_type) << 11
            | u16::from(rate_index) << 7
            | u16::from(channel_config) << 3;
        let config = Config::from_asc(&asc.to_be_bytes())?;
        Ok(AdtsHeader { config, header_bytes, frame_bytes })
    }
}

const WHAT: &str = "ADTS header";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_the_configuration_and_the_length() {
        let header = AdtsHeader::read(&[0xff, 0xf1, 0x4c, 0x80, 0x02, 0x9f, 0xfc]).unwrap();
        assert_eq!(header.config, Config::lc(48000, 2).unwrap());
        assert_eq!((header.header_bytes, header.frame_bytes), (7, 20));
    }

    #[test]
    fn a_wrong_sync_word_is_an_error() {
        assert!(AdtsHeader::read(&[0xff, 0xe1, 0x4c, 0x80, 0x02, 0x9f, 0xfc]).is_err());
        assert!(AdtsHeader::read(&[0xff]).is_err());
    }
}
