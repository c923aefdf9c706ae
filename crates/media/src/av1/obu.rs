//! Open bitstream units.

use bytes::{BufMut, BytesMut};

use crate::Error;

/// The type of an open bitstream unit (section 6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObuType(pub u8);

impl ObuType {
    /// A sequence header.
    pub const SEQUENCE_HEADER: ObuType = ObuType(1);
    /// The start of a temporal unit.
    pub const TEMPORAL_DELIMITER: ObuType = ObuType(2);
    /// The header of a frame.
    pub const FRAME_HEADER: ObuType = ObuType(3);
    /// Tiles of a frame.
    pub const TILE_GROUP: ObuType = ObuType(4);
    /// A frame's header, and tiles.
    pub const FRAME: ObuType = ObuType(6);
    /// Tiles for large scale decoding.
    pub const TILE_LIST: ObuType = ObuType(8);
    /// Filling.
    pub const PADDING: ObuType = ObuType(15);
}

/// An open bitstream unit (section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obu<'a> {
    /// Its type.
    pub obu_type: ObuType,
    /// The second byte of its header, if it has one: temporal_id and spatial_id.
    pub extension: Option<u8>,
    /// What stands behind header and size.
    pub payload: &'a [u8],
}

impl<'a> Obu<'a> {
    /// Reads one that is all of `data`, with or without its size.
    pub fn read(data: &'a [u8]) -> Result<Self, Error> {
        let mut obus = Obus::new(data);
        match (obus.next(), obus.next()) {
            (Some(obu), None) => obu,
            _ => Err(Error::syntax(OBU, 0, "one open bitstream unit expected")),
        }
    }

    /// Its header with or without has_size_field, and how many of the bytes it has.
    pub fn header(&self, has_size: bool) -> ([u8; 2], usize) {
        let first = self.obu_type.0 << 3
            | u8::from(self.extension.is_some()) << 2
            | u8::from(has_size) << 1;
        ([first, self.extension.unwrap_or(0)], 1 + usize::from(self.extension.is_some()))
    }

    /// Writes it with its size.
    pub fn put(&self, out: &mut BytesMut) {
        let (header, header_bytes) = self.header(true);
        out.put_slice(header.get(..header_bytes).unwrap_or(&[]));
        put_leb128(out, self.payload.len());
        out.put_slice(self.payload);
    }

    /// spatial_id: 0 without extension.
    pub fn spatial_id(&self) -> u8 {
        self.extension.unwrap_or(0) >> 3 & 3
    }
}

/// The open bitstream units that stand one behind the other (section 5.2). One without size reaches
/// to the end. After an error there is nothing more.
#[derive(Clone, Debug)]
pub struct Obus<'a> {
    data: &'a [u8],
    at: usize,
    last_had_size: bool,
}

impl<'a> Obus<'a> {
    /// Those of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Obus { data, at: 0, last_had_size: true }
    }

    /// Whether the one that came last has its size.
    pub fn last_had_size(&self) -> bool {
        self.last_had_size
    }

    fn read(&mut self) -> Result<Obu<'a>, Error> {
        let start = self.at;
        let mut rest = self.data.get(start..).unwrap_or(&[]);
        self.at = self.data.len();
        let short = || Error::syntax(OBU, start, "ends inside its header");
        let (&first, behind) = rest.split_first().ok_or_else(short)?;
        rest = behind;
        if first & 0x80 != 0 {
            return Err(Error::syntax(OBU, start, "the forbidden bit is set"));
        }
        let mut extension = None;
        if first & 4 != 0 {
            let (&second, behind) = rest.split_first().ok_or_else(short)?;
            (extension, rest) = (Some(second), behind);
        }
        self.last_had_size = first & 2 != 0;
        let payload = if self.last_had_size {
            let (bytes, size_bytes) = read_leb128(rest).ok_or_else(short)?;
            let body = rest.get(size_bytes..).unwrap_or(&[]);
            let Some(payload) = body.get(..bytes) else {
                let reason = format!("{bytes} bytes expected, {} are left", body.len());
                return Err(Error::syntax(OBU, start, reason));
            };
            self.at = self.data.len() - (body.len() - bytes);
            payload
        } else {
            rest
        };
        Ok(Obu { obu_type: ObuType(first >> 3 & 15), extension, payload })
    }
}

impl<'a> Iterator for Obus<'a> {
    type Item = Result<Obu<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.at < self.data.len()).then(|| self.read())
    }
}

/// A number in little-endian groups of seven bits (section 4.10.5), and how many bytes it has.
/// `None` where it is cut off or greater than 32 bits.
pub fn read_leb128(data: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (index, &byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((value as usize, index + 1));
        }
    }
    None
}

/// Writes a number as [`read_leb128`] reads it.
pub fn put_leb128(out: &mut impl BufMut, mut value: usize) {
    while value > 0x7f {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

const OBU: &str = "open bitstream unit";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_with_and_without_extension_and_size_read() {
        let data = [0x12, 0x00, 0x36, 0x28, 0x01, 0x10, 0x30, 0x33];
        let obus: Result<Vec<_>, _> = Obus::new(&data).collect();
        let obu = |obu_type, extension, payload| Obu { obu_type, extension, payload };
        assert_eq!(
            obus.unwrap(),
            [
                obu(ObuType::TEMPORAL_DELIMITER, None, &[][..]),
                obu(ObuType::FRAME, Some(0x28), &[0x10]),
                obu(ObuType::FRAME, None, &[0x33]),
            ]
        );
        assert!(Obu::read(&data).is_err());
        assert_eq!(Obu::read(&data[2..6]).unwrap().spatial_id(), 1);
    }

    #[test]
    fn broken_units_end_the_walk() {
        for data in [&[0x92, 0x00][..], &[0x36], &[0x32], &[0x32, 0x80], &[0x32, 0x02, 0x00]] {
            let mut obus = Obus::new(data);
            assert!(matches!(obus.next(), Some(Err(_))), "{data:?}");
            assert_eq!(obus.next(), None);
        }
    }

    proptest! {
        #[test]
        fn numbers_return(value in 0usize..=u32::MAX as usize, behind: u8) {
            let mut out = Vec::new();
            put_leb128(&mut out, value);
            let bytes = out.len();
            out.push(behind);
            prop_assert_eq!(read_leb128(&out), Some((value, bytes)));
        }
    }
}
