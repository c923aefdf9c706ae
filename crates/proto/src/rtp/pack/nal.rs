//! What the payload formats of H.264 (RFC 6184) and H.265 (RFC 7798) have in common: NAL units as
//! they are, several in one packet, and one in several.

use bytes::{Bytes, BytesMut};
use weir_media::{Frame, nal::LengthPrefixed};

use super::{Error, Pieces, fragment_bytes};

/// A payload format for NAL units.
pub(super) trait Format {
    /// Bytes of a NAL unit's header, which an aggregate and a fragment begin with as well.
    const HEADER_BYTES: usize;

    /// Whether the format can carry a NAL unit, which is not empty.
    fn carries(nal: &[u8]) -> bool;

    fn is_delimiter(nal: &[u8]) -> bool;

    /// Writes the header of an aggregate of these NAL units.
    fn put_aggregate_header(nal_units: &[&[u8]], out: &mut BytesMut);

    /// Writes the header of a fragment of a NAL unit: its own, changed, and one byte more.
    fn put_fragment_header(nal: &[u8], is_first: bool, is_last: bool, out: &mut BytesMut);
}

/// Parameter sets of one kind, sent before each frame at which decoding can start and that has
/// none of the kind.
#[derive(Clone, Debug)]
pub(super) struct Sets {
    pub(super) is_kind: fn(&[u8]) -> bool,
    pub(super) sets: Vec<Bytes>,
}

/// Packs access units: small NAL units aggregated, great ones in fragments that are equal in size
/// but the last.
///
/// The order of NAL units is kept. Neighbours that fit into one packet share one, so that what
/// precedes a picture (parameter sets, SEI) costs one packet and breaks one train.
#[derive(Clone, Debug)]
pub(super) struct Packer<F> {
    /// In the order in which they are sent: those behind refer to those before.
    kinds: Vec<Sets>,
    pub(super) nal_units_dropped: u64,
    format: core::marker::PhantomData<F>,
}

impl<F: Format> Packer<F> {
    pub(super) fn new(kinds: Vec<Sets>) -> Self {
        Packer { kinds, nal_units_dropped: 0, format: core::marker::PhantomData }
    }

    pub(super) fn pack(
        &mut self,
        frame: &Frame,
        payload_bytes_max: usize,
        out: &mut Pieces,
    ) -> Result<(), Error> {
        let nal_units = self.nal_units(frame)?;
        let mut rest = &nal_units[..];
        while let Some(first) = rest.first() {
            let count = packet_mates(rest, F::HEADER_BYTES, payload_bytes_max);
            let (mates, behind) = rest.split_at(count.max(1));
            match count {
                0 => push_fragments::<F>(first, payload_bytes_max, out),
                1 => out.push(&[first]),
                _ => push_aggregate::<F>(mates, out),
            }
            rest = behind;
        }
        Ok(())
    }

    /// The NAL units to send for an access unit, with the parameter sets in their place.
    fn nal_units<'a>(&'a mut self, frame: &'a Frame) -> Result<Vec<&'a [u8]>, Error> {
        let payload = &frame.payload;
        let mut nal_units = Vec::with_capacity(8);
        let mut nals = LengthPrefixed::new(payload, 4);
        loop {
            let at = nals.offset();
            match nals.next() {
                None => break,
                Some(Ok(nal)) if F::carries(nal) => nal_units.push(nal),
                Some(Ok(_)) => self.nal_units_dropped += 1,
                Some(Err(_)) => return Err(cut_off(payload, at)),
            }
        }
        if nal_units.is_empty() {
            return Err(Error::Empty);
        }
        if frame.key.starts() {
            // An access unit delimiter, if there is one, is the first NAL unit of its access unit
            // (ISO/IEC 14496-10 section 7.4.1.2.3, ISO/IEC 23008-2 section 7.4.2.4.4). A frame
            // may bring new sets of some kinds alone.
            let mut at = usize::from(F::is_delimiter(nal_units[0]));
            for Sets { is_kind, sets } in &self.kinds {
                if let Some(last) = nal_units.iter().rposition(|nal| is_kind(nal)) {
                    at = at.max(last + 1);
                    continue;
                }
                if let Some(set) = sets.iter().find(|set| !is_sendable(set)) {
                    return Err(Error::ParameterSet { bytes: set.len() });
                }
                nal_units.splice(at..at, sets.iter().map(|set| &set[..]));
                at += sets.len();
            }
        }
        Ok(nal_units)
    }
}

/// The error of an access unit whose NAL unit at byte `at` ends behind it. Empty NAL units may
/// stand before that one.
fn cut_off(payload: &[u8], mut at: usize) -> Error {
    let bytes = payload.len();
    loop {
        let length = payload.get(at..).and_then(|rest| rest.first_chunk::<4>());
        match length.map(|length| u32::from_be_bytes(*length) as usize) {
            Some(0) => at += 4,
            length => return Error::NalUnit { at, nal_bytes: length.unwrap_or(0), bytes },
        }
    }
}

/// Whether it fits the two bytes of length in an aggregate.
fn is_sendable(set: &Bytes) -> bool {
    (1..=usize::from(u16::MAX)).contains(&set.len())
}

/// How many of the first NAL units go into one packet; 0 when the first alone is too great.
fn packet_mates(nal_units: &[&[u8]], header_bytes: usize, payload_bytes_max: usize) -> usize {
    match nal_units.first() {
        Some(first) if first.len() <= payload_bytes_max => {}
        _ => return 0,
    }
    // The aggregate's header, then two bytes of length before each NAL unit (RFC 6184
    // section 5.7.1, RFC 7798 section 4.4.2).
    let mut bytes = header_bytes;
    let fits = |nal: &&&[u8]| {
        bytes += 2 + nal.len();
        bytes <= payload_bytes_max
    };
    nal_units.iter().take_while(fits).count().max(1)
}

fn push_aggregate<F: Format>(nal_units: &[&[u8]], out: &mut Pieces) {
    let start = out.bytes.len();
    F::put_aggregate_header(nal_units, &mut out.bytes);
    for nal in nal_units {
        let length = u16::try_from(nal.len()).expect("it fits a packet");
        out.bytes.extend_from_slice(&length.to_be_bytes());
        out.bytes.extend_from_slice(nal);
    }
    out.end_piece(start);
}

fn push_fragments<F: Format>(nal: &[u8], payload_bytes_max: usize, out: &mut Pieces) {
    let body = nal.get(F::HEADER_BYTES..).unwrap_or(&[]);
    let most = payload_bytes_max - F::HEADER_BYTES - 1;
    let fragments = body.chunks(fragment_bytes(body.len(), most));
    let last = fragments.len().saturating_sub(1);
    for (index, fragment) in fragments.enumerate() {
        let start = out.bytes.len();
        F::put_fragment_header(nal, index == 0, index == last, &mut out.bytes);
        out.bytes.extend_from_slice(fragment);
        out.end_piece(start);
    }
}
