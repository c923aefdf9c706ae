//! How decoded pictures are meant to be seen: the shape of their samples and their colours.

use crate::Error;
use crate::bits::BitReader;

/// What usability information says of how pictures look (ISO/IEC 14496-10 and 23008-2, section
/// E.2.1). `None` where it is not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The width and the height of a sample, as a ratio.
    pub sample_aspect: Option<(u16, u16)>,
    /// Its colours.
    pub colour: Option<Colour>,
}

/// Colours by the code points of ISO/IEC 23091-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// colour_primaries: 1 is BT.709, 2 is not specified.
    pub primaries: u8,
    /// transfer_characteristics.
    pub transfer: u8,
    /// matrix_coefficients.
    pub matrix: u8,
    /// Samples use all values, and not the range of television.
    pub full_range: bool,
}

impl Look {
    /// Reads the first fields of usability information, which H.264 and H.265 have alike: up to
    /// the chroma sample locations.
    pub(crate) fn read(&mut self, r: &mut BitReader<'_>) -> Result<(), Error> {
        if r.flag()? {
            let idc = r.bits(8)?;
            let ratio = match idc {
                EXTENDED_SAR => (r.bits(16)? as u16, r.bits(16)? as u16),
                idc => ASPECTS.get(idc as usize).copied().unwrap_or((0, 0)),
            };
            self.sample_aspect = Some(ratio).filter(|(width, height)| *width > 0 && *height > 0);
        }
        // overscan_info_present_flag, overscan_appropriate_flag
        if r.flag()? {
            r.flag()?;
        }
        if r.flag()? {
            // video_format
            r.skip(3)?;
            let full_range = r.flag()?;
            let (mut primaries, mut transfer, mut matrix) = (2, 2, 2);
            if r.flag()? {
                primaries = r.bits(8)? as u8;
                transfer = r.bits(8)? as u8;
                matrix = r.bits(8)? as u8;
            }
            self.colour = Some(Colour { primaries, transfer, matrix, full_range });
        }
        Ok(())
    }
}

const EXTENDED_SAR: u32 = 255;
/// Table E-1, by aspect_ratio_idc.
const ASPECTS: [(u16, u16); 17] = [
    (0, 0),
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn look(bytes: &[u8]) -> Look {
        let mut look = Look::default();
        let _ = look.read(&mut BitReader::new("SPS", bytes));
        look
    }

    #[test]
    fn shape_and_colours_read() {
        // Extended, 4 to 3; no overscan; video_format 5, narrow, BT.709.
        let bits =
            "1 11111111 0000000000000100 0000000000000011 0 1 101 0 1 00000001 00000001 00000110";
        let found = look(&packed(bits));
        assert_eq!(found.sample_aspect, Some((4, 3)));
        let colour = Colour { primaries: 1, transfer: 1, matrix: 6, full_range: false };
        assert_eq!(found.colour, Some(colour));
    }

    #[test]
    fn what_is_not_said_is_absent() {
        assert_eq!(look(&packed("0 0 0")), Look::default());
        // aspect_ratio_idc 0 is not specified, 40 is reserved.
        assert_eq!(look(&packed("1 00000000 0 0")).sample_aspect, None);
        assert_eq!(look(&packed("1 00101000 0 0")).sample_aspect, None);
        assert_eq!(look(&packed("1 00000001 0 0")).sample_aspect, Some((1, 1)));
        assert_eq!(look(&[]), Look::default());
    }

    fn packed(bits: &str) -> Vec<u8> {
        let digits: Vec<u8> = bits.bytes().filter(|c| *c != b' ').map(|c| c - b'0').collect();
        digits
            .chunks(8)
            .map(|byte| {
                let value = byte.iter().fold(0u8, |sum, digit| sum << 1 | digit);
                value << (8 - byte.len())
            })
            .collect()
    }
}
