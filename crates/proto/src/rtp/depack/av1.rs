//! AV1 out of RTP (RTP Payload Format For AV1, version 1.0).

use bytes::{Bytes, BytesMut};
use weir_media::av1::{Config, Obu, ObuType, TemporalUnit, read_leb128};
use weir_media::{Codec, KeyKind};

use super::frame::{self, Format, Part};
use super::{ACCESS_UNIT_BYTES_MAX, DropReason};

pub(super) type Depacketiser = frame::Depacketiser<Av1>;

/// The configuration, once a sequence header has said it.
#[derive(Clone, Debug, Default)]
pub(super) struct Av1(Option<Config>);

/// A temporal unit in progress.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// The open bitstream unit of which more is to come.
    fragment: Option<BytesMut>,
    has_frame: bool,
}

impl Format for Av1 {
    type Progress = Progress;

    fn codec(&self) -> Option<Codec> {
        self.0.clone().map(Codec::Av1)
    }

    /// Whether what was lost before the first packet was of this temporal unit can be told where
    /// that packet continues an open bitstream unit or begins with tiles or a higher layer, not
    /// where whole frames are missing that are decoded with this one and not shown.
    fn take(part: &mut Part<'_, Progress>, payload: &[u8]) -> Result<bool, DropReason> {
        let (&head, mut rest) = payload.split_first().ok_or(DropReason::Malformed)?;
        let (continues, breaks_off, count) = (head & 0x80 != 0, head & 0x40 != 0, head >> 4 & 3);
        if rest.is_empty() {
            return Ok(false);
        }
        if continues != part.progress.fragment.is_some() {
            let is_head_missing = part.is_first && continues;
            return Err(if is_head_missing { part.no_start() } else { DropReason::Malformed });
        }
        let mut index = 0;
        while !rest.is_empty() {
            index += 1;
            let mut element = rest;
            if index == count {
                rest = &[];
            } else {
                let (bytes, length_bytes) = read_leb128(rest).ok_or(DropReason::Malformed)?;
                let body = rest.get(length_bytes..).unwrap_or(&[]);
                (element, rest) = body.split_at_checked(bytes).ok_or(DropReason::Malformed)?;
            }
            let goes_on = rest.is_empty() && breaks_off;
            take_element(part, element, goes_on)?;
        }
        if index < count { Err(DropReason::Malformed) } else { Ok(true) }
    }

    fn finish(&mut self, frame: Bytes, progress: &Progress) -> Option<(Bytes, KeyKind)> {
        if progress.fragment.is_some() || frame.is_empty() {
            return None;
        }
        let unit = TemporalUnit::from_obus(&frame).ok()?;
        if let Some(sequence) = &unit.sequence_header
            && self.0.as_ref().is_none_or(|known| known.sequence_header() != &sequence[..])
        {
            self.0 = Some(Config::from_sequence_header(sequence).ok()?);
        }
        Some((unit.payload, unit.key))
    }
}

/// Takes an open bitstream unit, or a part of one.
fn take_element(
    part: &mut Part<'_, Progress>,
    element: &[u8],
    goes_on: bool,
) -> Result<(), DropReason> {
    let so_far = part.progress.fragment.as_ref().map_or(0, BytesMut::len);
    if so_far + part.bytes.len() + element.len() > ACCESS_UNIT_BYTES_MAX {
        return Err(DropReason::TooLarge);
    }
    match part.progress.fragment.take() {
        Some(mut fragment) => {
            fragment.extend_from_slice(element);
            if goes_on {
                part.progress.fragment = Some(fragment);
                return Ok(());
            }
            take_obu(part, &fragment)
        }
        None if goes_on => {
            part.progress.fragment = Some(BytesMut::from(element));
            Ok(())
        }
        None => take_obu(part, element),
    }
}

/// Puts an open bitstream unit behind those before it, with its size.
fn take_obu(part: &mut Part<'_, Progress>, element: &[u8]) -> Result<(), DropReason> {
    if element.is_empty() {
        return Ok(());
    }
    let obu = Obu::read(element).map_err(|_| DropReason::Malformed)?;
    let is_frame = matches!(obu.obu_type, ObuType::FRAME | ObuType::FRAME_HEADER);
    if !part.progress.has_frame && part.head_unsure {
        let is_rest = obu.obu_type == ObuType::TILE_GROUP || is_frame && obu.spatial_id() > 0;
        if is_rest {
            return Err(DropReason::Lost);
        }
    }
    part.progress.has_frame |= is_frame;
    if obu.obu_type != ObuType::TEMPORAL_DELIMITER {
        obu.put(part.bytes);
    }
    Ok(())
}
