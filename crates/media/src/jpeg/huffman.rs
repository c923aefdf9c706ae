//! Tables of Huffman codes (ITU-T T.81 sections B.2.4.2, C and K.3).

use bytes::Bytes;

use super::marker::Segment;
use crate::Error;

/// A table of Huffman codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeTable {
    /// How many codes there are of each length, from 1 bit to 16.
    pub(super) counts: [u8; 16],
    /// What each code stands for, in rising order of the codes.
    pub(super) values: Bytes,
}

/// The standard tables for brightness: of DC codes and of AC codes (tables K.3 and K.5).
pub static STANDARD_LUMA: [CodeTable; 2] = [
    CodeTable {
        counts: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
        values: Bytes::from_static(&CATEGORIES),
    },
    CodeTable {
        counts: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125],
        values: Bytes::from_static(&AC_LUMA),
    },
];
/// The standard tables for colour: of DC codes and of AC codes (tables K.4 and K.6).
pub static STANDARD_CHROMA: [CodeTable; 2] = [
    CodeTable {
        counts: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
        values: Bytes::from_static(&CATEGORIES),
    },
    CodeTable {
        counts: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119],
        values: Bytes::from_static(&AC_CHROMA),
    },
];

impl CodeTable {
    /// Adds a DHT entry to `out`: class and destination, the counts, the values.
    pub(super) fn write(&self, class_and_destination: u8, out: &mut Vec<u8>) {
        out.push(class_and_destination);
        out.extend(self.counts);
        out.extend(&self.values[..]);
    }

    /// Each code with its length and its value (section C.2). Codes that do not fit their length
    /// are left out.
    fn codes(&self) -> impl Iterator<Item = Code> {
        let lengths = self
            .counts
            .iter()
            .zip(1u32..)
            .flat_map(|(&count, bits)| core::iter::repeat_n(bits, usize::from(count)));
        let mut next = 0u32;
        let mut before = 0;
        let codes = lengths.zip(self.values.iter()).map(move |(bits, &value)| {
            next <<= bits - before;
            before = bits;
            let code = next;
            next += 1;
            Code { code, bits, value }
        });
        codes.filter(|code| code.code >> code.bits == 0)
    }
}

struct Code {
    code: u32,
    bits: u32,
    value: u8,
}

/// The tables of an image by their destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tables {
    dc: [Option<CodeTable>; 4],
    ac: [Option<CodeTable>; 4],
}

impl Tables {
    pub(super) fn dc(&self, destination: u8) -> Option<&CodeTable> {
        let own = self.dc.get(usize::from(destination))?.as_ref();
        own.or(standard(destination).map(|[dc, _]| dc))
    }

    pub(super) fn ac(&self, destination: u8) -> Option<&CodeTable> {
        let own = self.ac.get(usize::from(destination))?.as_ref();
        own.or(standard(destination).map(|[_, ac]| ac))
    }

    #[cfg(test)]
    pub(super) fn set(&mut self, tables: [[CodeTable; 2]; 2]) {
        for (place, [dc, ac]) in tables.into_iter().enumerate() {
            (self.dc[place], self.ac[place]) = (Some(dc), Some(ac));
        }
    }

    /// Section B.2.4.2.
    pub(super) fn read(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        let mut at = 0;
        while let Some(&head) = segment.parameters.get(at) {
            let rest = segment.parameters.get(at + 1..).unwrap_or(&[]);
            let Some((counts, rest)) = rest.split_first_chunk::<16>() else {
                return Err(segment.error(at, "a table of Huffman codes is cut off"));
            };
            let total: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let place = match head >> 4 {
                0 => self.dc.get_mut(usize::from(head & 15)),
                1 => self.ac.get_mut(usize::from(head & 15)),
                _ => None,
            };
            let (Some(place), Some(values), true) = (place, rest.get(..total), total <= 256) else {
                let reason = format!("table {head:#04x} of {total} Huffman codes");
                return Err(segment.error(at, reason));
            };
            *place = Some(CodeTable { counts: *counts, values: Bytes::copy_from_slice(values) });
            at += 17 + total;
        }
        Ok(())
    }
}

/// What a destination holds where the image says nothing: images in AVI files have no tables.
fn standard(destination: u8) -> Option<&'static [CodeTable; 2]> {
    match destination {
        0 => Some(&STANDARD_LUMA),
        1 => Some(&STANDARD_CHROMA),
        _ => None,
    }
}

/// Finds what codes stand for.
pub(super) struct Decoder {
    /// By the next bits: length and value; length 0 where the code is longer.
    fast: [(u8, u8); 1 << FAST_BITS],
    /// Longer codes, shortest first: the first code that is no more of that length, aligned to 16
    /// bits; the length; what to add to a code to get to its value.
    long: Vec<(u32, u32, i32)>,
    values: Bytes,
}

const FAST_BITS: u32 = 9;

impl Decoder {
    pub(super) fn new(table: &CodeTable) -> Self {
        let mut fast = [(0, 0); 1 << FAST_BITS];
        let mut long: Vec<(u32, u32, i32)> = Vec::new();
        for (place, Code { code, bits, value }) in (0i32..).zip(table.codes()) {
            if bits <= FAST_BITS {
                let first = (code << (FAST_BITS - bits)) as usize;
                let places = fast.get_mut(first..first + (1 << (FAST_BITS - bits)));
                places.into_iter().flatten().for_each(|entry| *entry = (bits as u8, value));
                continue;
            }
            let limit = (code + 1) << (16 - bits);
            match long.last_mut() {
                Some((last, of, _)) if *of == bits => *last = limit,
                _ => long.push((limit, bits, place - code as i32)),
            }
        }
        Decoder { fast, long, values: table.values.clone() }
    }

    /// The length of the code that 16 bits start with, and its value.
    #[inline]
    pub(super) fn find(&self, next: u32) -> Option<(u32, u8)> {
        let (bits, value) = self.fast.get((next >> (16 - FAST_BITS)) as usize)?;
        if *bits > 0 {
            return Some(((*bits).into(), *value));
        }
        let (_, bits, add) = self.long.iter().find(|(limit, ..)| next < *limit)?;
        let place = (next >> (16 - bits)) as i32 + add;
        let value = self.values.get(usize::try_from(place).ok()?)?;
        Some((*bits, *value))
    }
}

/// Finds the codes of values.
pub(super) struct Encoder {
    /// By value: code and length; length 0 where there is none.
    codes: [(u16, u8); 256],
}

impl Encoder {
    pub(super) fn new(table: &CodeTable) -> Self {
        let mut codes = [(0, 0); 256];
        for Code { code, bits, value } in table.codes() {
            codes[usize::from(value)] = (code as u16, bits as u8);
        }
        Encoder { codes }
    }

    #[inline]
    pub(super) fn code(&self, value: u8) -> Option<(u32, u32)> {
        let (code, bits) = self.codes[usize::from(value)];
        (bits > 0).then_some((code.into(), bits.into()))
    }
}

const CATEGORIES: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const AC_LUMA: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
    0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];
const AC_CHROMA: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
    0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
    0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
    0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];
