//! NAL units: their types and the two ways in which they are strung together.

use bytes::Bytes;

use crate::{Error, bits::BitReader};

/// The type of a NAL unit (ISO/IEC 14496-10 table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NalType(pub u8);

impl NalType {
    /// A slice of a picture that needs others.
    pub const SLICE: NalType = NalType(1);
    /// A slice of an IDR picture.
    pub const IDR: NalType = NalType(5);
    /// Supplemental enhancement information.
    pub const SEI: NalType = NalType(6);
    /// A sequence parameter set.
    pub const SPS: NalType = NalType(7);
    /// A picture parameter set.
    pub const PPS: NalType = NalType(8);
    /// An access unit delimiter.
    pub const AUD: NalType = NalType(9);
    /// Filler data.
    pub const FILLER: NalType = NalType(12);

    /// The type of a NAL unit; 0, which is unspecified, for one without bytes.
    pub fn of(nal: &[u8]) -> Self {
        NalType(nal.first().copied().unwrap_or(0) & 31)
    }

    /// Whether it holds coded slice data (types 1 to 5).
    pub fn is_slice(self) -> bool {
        (1..=5).contains(&self.0)
    }
}

/// The NAL units of a payload in which each stands behind its length, big endian. Empty ones are
/// passed over; a length that runs past the end is an error, after which there is nothing more.
#[derive(Clone, Debug)]
pub struct LengthPrefixed<'a> {
    payload: &'a [u8],
    at: usize,
    length_bytes: usize,
}

impl<'a> LengthPrefixed<'a> {
    /// The NAL units of `payload` with lengths of `length_bytes`: 4 in a [`crate::Frame`], 1, 2
    /// or 4 in a file.
    pub fn new(payload: &'a [u8], length_bytes: u8) -> Self {
        LengthPrefixed { payload, at: 0, length_bytes: usize::from(length_bytes.clamp(1, 4)) }
    }

    /// Where the next NAL unit's length starts, in bytes from the start of the payload.
    pub fn offset(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for LengthPrefixed<'a> {
    type Item = Result<&'a [u8], Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.payload.len() {
            let (start, rest) = (self.at, &self.payload[self.at..]);
            let body = rest.split_at_checked(self.length_bytes).and_then(|(length, rest)| {
                let length = length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
                rest.get(..length)
            });
            let Some(nal) = body else {
                self.at = self.payload.len();
                let reason = format!("a NAL unit runs past the end at {}", self.payload.len());
                return Some(Err(Error::syntax("access unit", start, reason)));
            };
            self.at += self.length_bytes + nal.len();
            if !nal.is_empty() {
                return Some(Ok(nal));
            }
        }
        None
    }
}

/// The NAL units of a byte stream (ISO/IEC 14496-10 annex B). What stands before the first start
/// code and zeros behind a NAL unit are passed over.
#[derive(Clone, Debug)]
pub struct AnnexB<'a> {
    /// What follows the last start code, if one was found.
    rest: Option<&'a [u8]>,
}

impl<'a> AnnexB<'a> {
    /// The NAL units of `stream`.
    pub fn new(stream: &'a [u8]) -> Self {
        AnnexB { rest: find_start_code(stream).map(|at| &stream[at + 3..]) }
    }
}

impl<'a> Iterator for AnnexB<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let Some(rest) = self.rest {
            let end = find_start_code(rest);
            self.rest = end.map(|at| &rest[at + 3..]);
            let nal = &rest[..end.unwrap_or(rest.len())];
            let len = nal.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            if len > 0 {
                return Some(&nal[..len]);
            }
        }
        None
    }
}

/// Where the first 00 00 01 stands.
fn find_start_code(stream: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(&third) = stream.get(at + 2) {
        match third {
            0 => at += 1,
            1 if stream[at] == 0 && stream[at + 1] == 0 => return Some(at),
            _ => at += 3,
        }
    }
    None
}

/// A NAL unit's payload without its header and without emulation prevention bytes
/// (ISO/IEC 14496-10 section 7.4.1.1).
pub(crate) fn rbsp(nal: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal.iter().skip(1) {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out.into()
}

/// The recovery_frame_cnt of a recovery point message (ISO/IEC 14496-10 section D.2.8): in how
/// many frames a decoder that starts here shows whole pictures. `None` if this NAL unit is no
/// supplemental enhancement information, or has none.
pub fn recovery_point(nal: &[u8]) -> Option<u32> {
    if NalType::of(nal) != NalType::SEI {
        return None;
    }
    let rbsp = rbsp(nal);
    let mut rest = &rbsp[..];
    while rest.len() > 2 {
        let kind = take_sei_number(&mut rest)?;
        let size = take_sei_number(&mut rest)?;
        let message = rest.get(..size)?;
        if kind == RECOVERY_POINT {
            return BitReader::new("recovery point", message).ue().ok();
        }
        rest = &rest[size..];
    }
    None
}

/// payloadType or payloadSize (section 7.3.2.3.1).
fn take_sei_number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    loop {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        number += usize::from(byte);
        if byte != 0xff {
            return Some(number);
        }
    }
}

const RECOVERY_POINT: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn start_codes_of_three_and_four_bytes_part_nal_units() {
        let stream = [9, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 0, 1, 0x65, 0, 7, 0];
        let nals: Vec<_> = AnnexB::new(&stream).collect();
        assert_eq!(nals, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 0, 7]]);
        assert_eq!(AnnexB::new(&[1, 2, 3]).count(), 0);
        assert_eq!(AnnexB::new(&[0, 0, 1]).count(), 0);
    }

    #[test]
    fn a_length_past_the_end_is_an_error_that_names_the_place() {
        let mut nals = LengthPrefixed::new(&[0, 1, 0x65, 0, 2, 0x41], 2);
        assert_eq!(nals.next().unwrap().unwrap(), [0x65]);
        let message = nals.next().unwrap().unwrap_err().to_string();
        assert_eq!(message, "access unit, byte 3: a NAL unit runs past the end at 6");
        assert!(nals.next().is_none());
    }

    #[test]
    fn a_recovery_point_is_found_behind_other_messages() {
        // A user data message of 3 bytes, then recovery_frame_cnt 0.
        assert_eq!(recovery_point(&[6, 5, 3, 1, 2, 3, 6, 1, 0xc4, 0x80]), Some(0));
        assert_eq!(recovery_point(&[6, 5, 3, 1, 2, 3, 0x80]), None);
        assert_eq!(recovery_point(&[0x65, 6, 1, 0xc4, 0x80]), None);
    }

    proptest! {
        #[test]
        fn annex_b_returns_what_was_strung_together(
            nals in prop::collection::vec(prop::collection::vec(1u8..=255, 1..20), 0..6),
        ) {
            let mut stream = Vec::new();
            for nal in &nals {
                stream.extend([0, 0, 1]);
                stream.extend(nal);
            }
            prop_assert!(AnnexB::new(&stream).eq(nals.iter().map(|nal| &nal[..])));
        }
    }
}
