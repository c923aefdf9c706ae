//! NAL units, as H.264 and H.265 have them: the two ways in which they are strung together, and
//! access units of them in the form that frames carry.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Error, KeyKind};

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

/// The NAL units of a byte stream (ISO/IEC 14496-10 annex B, ISO/IEC 23008-2 annex B). What stands
/// before the first start code and zeros behind a NAL unit are passed over.
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

/// A NAL unit's payload without its header of `header_bytes` and without emulation prevention
/// bytes (ISO/IEC 14496-10 section 7.4.1.1, ISO/IEC 23008-2 section 7.4.2).
pub(crate) fn rbsp(nal: &[u8], header_bytes: usize) -> Bytes {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal.iter().skip(header_bytes) {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out.into()
}

/// The payload of the first message of type `wanted` in supplemental enhancement information
/// (ISO/IEC 14496-10 section 7.3.2.3.1, ISO/IEC 23008-2 section 7.3.5); `rbsp` is without header.
pub(crate) fn sei_message(rbsp: &[u8], wanted: usize) -> Option<&[u8]> {
    let mut rest = rbsp;
    // A last byte of 0x80 is the end.
    while rest.len() > 1 {
        let kind = sei_number(&mut rest)?;
        let bytes = sei_number(&mut rest)?;
        let (message, behind) = rest.split_at_checked(bytes)?;
        if kind == wanted {
            return Some(message);
        }
        rest = behind;
    }
    None
}

/// A message's type or size: bytes of 255 and one of less, added.
fn sei_number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0usize;
    loop {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        number += usize::from(byte);
        if byte != 0xff {
            return Some(number);
        }
    }
}

/// What a NAL unit is to the access unit that it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An access unit delimiter.
    Delimiter,
    /// A parameter set that the configuration has.
    KnownSet,
    /// A parameter set that the configuration does not have.
    NewSet,
    /// It says that decoding can start here, and how.
    Start(KeyKind),
    /// Anything else.
    Other,
}

/// A configuration of parameter sets, which tells the roles of NAL units.
pub trait ParameterSets {
    /// The role of a NAL unit, which may be empty.
    fn role(&self, nal: &[u8]) -> Role;
}

/// One access unit in the form that [`crate::Codec::H264`] and [`crate::Codec::H265`] state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// NAL units, each behind its length in four bytes, without access unit delimiters and
    /// without those parameter sets that the configuration has.
    pub payload: Bytes,
    /// Whether decoding can start here, as its NAL units say.
    pub key: KeyKind,
    /// Parameter sets in it that the configuration does not have: its sender has changed the
    /// stream. They stay in the payload, so that a decoder still follows.
    pub new_parameter_sets: Vec<Bytes>,
}

impl AccessUnit {
    /// Brings an access unit with NAL unit lengths of `length_bytes` (1, 2 or 4) into form.
    /// Nothing is copied if it has that form already.
    pub fn from_length_prefixed(
        config: &impl ParameterSets,
        payload: &Bytes,
        length_bytes: u8,
    ) -> Result<Self, Error> {
        let mut builder = Builder::new(config);
        let mut fits = length_bytes == 4;
        for nal in LengthPrefixed::new(payload, length_bytes) {
            fits &= builder.look(nal?);
        }
        if fits {
            return Ok(builder.finish(payload.clone()));
        }
        let nals = LengthPrefixed::new(payload, length_bytes).flatten();
        let payload = join(config, nals, payload.len());
        Ok(builder.finish(payload))
    }

    /// Strings the NAL units of an access unit, in order, together; empty ones are left out.
    pub fn from_nals<'a>(
        config: &impl ParameterSets,
        nals: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Self {
        let mut builder = Builder::new(config);
        let mut size = 0;
        for nal in nals.clone() {
            builder.look(nal);
            size += nal.len() + 4;
        }
        builder.finish(join(config, nals, size))
    }
}

struct Builder<'a, C> {
    config: &'a C,
    key: KeyKind,
    new_parameter_sets: Vec<Bytes>,
}

impl<'a, C: ParameterSets> Builder<'a, C> {
    fn new(config: &'a C) -> Self {
        Builder { config, key: KeyKind::Delta, new_parameter_sets: Vec::new() }
    }

    /// Notes what a NAL unit says; whether it stays.
    fn look(&mut self, nal: &[u8]) -> bool {
        let role = self.config.role(nal);
        match role {
            Role::Start(key) if self.key != KeyKind::Key => self.key = key,
            Role::NewSet if self.new_parameter_sets.len() < NEW_SETS_MAX => {
                self.new_parameter_sets.push(Bytes::copy_from_slice(nal));
            }
            _ => {}
        }
        stays(role, nal)
    }

    fn finish(self, payload: Bytes) -> AccessUnit {
        AccessUnit { payload, key: self.key, new_parameter_sets: self.new_parameter_sets }
    }
}

fn stays(role: Role, nal: &[u8]) -> bool {
    !matches!(role, Role::Delimiter | Role::KnownSet) && !nal.is_empty()
}

fn join<'a>(
    config: &impl ParameterSets,
    nals: impl Iterator<Item = &'a [u8]>,
    size_hint: usize,
) -> Bytes {
    let mut out = BytesMut::with_capacity(size_hint);
    for nal in nals.filter(|nal| stays(config.role(nal), nal)) {
        out.put_u32(nal.len() as u32);
        out.put_slice(nal);
    }
    out.freeze()
}

/// Checks the parameter sets of one kind: their count and sizes, and by `type_of` that they are
/// of the NAL unit type.
pub(crate) fn check_sets(
    what: &'static str,
    sets: &[Bytes],
    nal_type: u8,
    type_of: impl Fn(&[u8]) -> u8,
    bytes_min: usize,
    count_max: usize,
) -> Result<(), Error> {
    if sets.is_empty() || sets.len() > count_max {
        let reason = format!("1 to {count_max} expected, {} came", sets.len());
        return Err(Error::syntax(what, 0, reason));
    }
    for set in sets {
        if set.len() < bytes_min || set.len() > usize::from(u16::MAX) {
            let reason = format!("{bytes_min} to 65535 bytes expected, {} came", set.len());
            return Err(Error::syntax(what, 0, reason));
        }
        let came = type_of(set);
        if came != nal_type {
            let reason = format!("NAL unit type {nal_type} expected, {came} came");
            return Err(Error::syntax(what, 0, reason));
        }
    }
    Ok(())
}

/// Reads `count` parameter sets of a decoder configuration record, which errors call `what`, from
/// byte `at` on: each behind its length in two bytes.
pub(crate) fn read_sets(
    what: &'static str,
    record: &[u8],
    at: &mut usize,
    count: u16,
) -> Result<Vec<Bytes>, Error> {
    let mut sets = Vec::new();
    for _ in 0..count {
        let rest = record.get(*at..).unwrap_or(&[]);
        let set = rest
            .split_first_chunk::<2>()
            .and_then(|(len, rest)| rest.get(..usize::from(u16::from_be_bytes(*len))));
        let Some(set) = set else {
            return Err(Error::syntax(what, *at, "ends inside a parameter set"));
        };
        sets.push(Bytes::copy_from_slice(set));
        *at += 2 + set.len();
    }
    Ok(sets)
}

/// Writes parameter sets as [`read_sets`] reads them.
pub(crate) fn put_sets(out: &mut BytesMut, sets: &[Bytes]) {
    for set in sets {
        out.put_u16(set.len() as u16);
        out.put_slice(set);
    }
}

/// Parameter sets reported of one access unit: more than these are a peer's nonsense.
const NEW_SETS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::tests::config;
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
    fn known_parameter_sets_and_delimiters_are_left_out() {
        let config = config();
        let nals = [&[9u8, 0xf0][..], &config.sps[0], &config.pps[0], &[0x65, 1, 2]];
        let unit = AccessUnit::from_nals(&config, nals.into_iter());
        assert_eq!(unit.payload[..], [0, 0, 0, 3, 0x65, 1, 2]);
        assert_eq!(unit.key, KeyKind::Key);
        assert!(unit.new_parameter_sets.is_empty());
    }

    #[test]
    fn new_parameter_sets_stay_and_are_reported() {
        let config = config();
        let nals = [&[0x68u8, 0xff][..], &[0x41, 1]];
        let unit = AccessUnit::from_nals(&config, nals.into_iter());
        assert_eq!(unit.new_parameter_sets, [Bytes::from_static(&[0x68, 0xff])]);
        assert_eq!(unit.payload[..], [0, 0, 0, 2, 0x68, 0xff, 0, 0, 0, 2, 0x41, 1]);
        assert_eq!(unit.key, KeyKind::Delta);
    }

    #[test]
    fn a_unit_in_form_is_not_copied() {
        let payload = Bytes::from_static(&[0, 0, 0, 2, 0x65, 1]);
        let unit = AccessUnit::from_length_prefixed(&config(), &payload, 4).unwrap();
        assert_eq!(unit.payload.as_ptr(), payload.as_ptr());
    }

    #[test]
    fn short_lengths_become_four_bytes() {
        let payload = Bytes::from_static(&[2, 0x65, 1, 0, 1, 0x06]);
        let unit = AccessUnit::from_length_prefixed(&config(), &payload, 1).unwrap();
        assert_eq!(unit.payload[..], [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 0x06]);
        assert!(AccessUnit::from_length_prefixed(&config(), &payload, 4).is_err());
    }

    #[test]
    fn a_recovery_point_without_idr_is_a_recovery_point() {
        let nals = [&[6u8, 6, 1, 0xc4, 0x80][..], &[0x41, 1]];
        assert_eq!(AccessUnit::from_nals(&config(), nals.into_iter()).key, KeyKind::Recovery);
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
