//! Access units in the form that frames carry.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Config, LengthPrefixed, NalType, recovery_point};
use crate::{Error, KeyKind};

/// One access unit in the form that [`crate::Codec::H264`] states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// NAL units, each behind its length in four bytes, without access unit delimiters and
    /// without those parameter sets that the configuration has.
    pub payload: Bytes,
    /// [`KeyKind::Key`] with an IDR slice, [`KeyKind::Recovery`] with a recovery point message.
    pub key: KeyKind,
    /// Parameter sets in it that the configuration does not have: its sender has changed the
    /// stream. They stay in the payload, so that a decoder still follows.
    pub new_parameter_sets: Vec<Bytes>,
}

impl AccessUnit {
    /// Brings an access unit with NAL unit lengths of `length_bytes` (1, 2 or 4) into form.
    /// Nothing is copied if it has that form already.
    pub fn from_length_prefixed(
        config: &Config,
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
    pub fn from_nals<'a>(config: &Config, nals: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let mut builder = Builder::new(config);
        let mut size = 0;
        for nal in nals.clone() {
            builder.look(nal);
            size += nal.len() + 4;
        }
        builder.finish(join(config, nals, size))
    }
}

struct Builder<'a> {
    config: &'a Config,
    key: KeyKind,
    new_parameter_sets: Vec<Bytes>,
}

impl<'a> Builder<'a> {
    fn new(config: &'a Config) -> Self {
        Builder { config, key: KeyKind::Delta, new_parameter_sets: Vec::new() }
    }

    /// Notes what a NAL unit says; whether it stays.
    fn look(&mut self, nal: &[u8]) -> bool {
        match NalType::of(nal) {
            NalType::IDR => self.key = KeyKind::Key,
            NalType::SEI if self.key == KeyKind::Delta && recovery_point(nal).is_some() => {
                self.key = KeyKind::Recovery;
            }
            NalType::SPS | NalType::PPS
                if stays(self.config, nal) && self.new_parameter_sets.len() < NEW_SETS_MAX =>
            {
                self.new_parameter_sets.push(Bytes::copy_from_slice(nal));
            }
            _ => {}
        }
        stays(self.config, nal)
    }

    fn finish(self, payload: Bytes) -> AccessUnit {
        AccessUnit { payload, key: self.key, new_parameter_sets: self.new_parameter_sets }
    }
}

fn stays(config: &Config, nal: &[u8]) -> bool {
    match NalType::of(nal) {
        NalType::AUD => false,
        NalType::SPS => !config.sps.iter().any(|sps| sps == nal),
        NalType::PPS => !config.pps.iter().any(|pps| pps == nal),
        _ => !nal.is_empty(),
    }
}

fn join<'a>(config: &Config, nals: impl Iterator<Item = &'a [u8]>, size_hint: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(size_hint);
    for nal in nals.filter(|nal| stays(config, nal)) {
        out.put_u32(nal.len() as u32);
        out.put_slice(nal);
    }
    out.freeze()
}

/// Parameter sets reported of one access unit: more than these are a peer's nonsense.
const NEW_SETS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::tests::config;

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
}
