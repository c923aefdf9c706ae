//! VP9 out of RTP, in flexible and non-flexible mode (RFC 9628).

use bytes::Bytes;
use weir_media::{Codec, KeyKind, vp9};

use super::DropReason;
use super::frame::{self, Format, Part};

pub(super) type Depacketiser = frame::Depacketiser<Vp9>;

/// The configuration, once a key frame has said it.
#[derive(Clone, Debug, Default)]
pub(super) struct Vp9(Option<vp9::Config>);

impl Format for Vp9 {
    type Progress = ();

    fn codec(&self) -> Option<Codec> {
        self.0.map(Codec::Vp9)
    }

    fn take(part: &mut Part<'_, ()>, payload: &[u8]) -> Result<bool, DropReason> {
        let descriptor = Descriptor::read(payload).ok_or(DropReason::Malformed)?;
        if descriptor.body.is_empty() {
            return Ok(false);
        }
        if part.is_first && !descriptor.starts {
            return Err(part.no_start());
        }
        // The lower layers of the picture are among what is missing.
        if part.is_first && part.head_unsure && descriptor.needs_lower_layer {
            return Err(DropReason::Lost);
        }
        part.append(descriptor.body)?;
        Ok(true)
    }

    fn finish(&mut self, frame: Bytes, _: &()) -> Option<(Bytes, KeyKind)> {
        let key = vp9::key(&frame);
        if key == KeyKind::Key {
            self.0 = Some(vp9::Config::from_key_frame(&frame).ok()?);
        }
        Some((frame, key))
    }
}

/// What matters of a payload descriptor (section 4.2).
#[derive(Debug, PartialEq, Eq)]
struct Descriptor<'a> {
    /// It is the first of its layer frame.
    starts: bool,
    /// It is of a spatial layer that is predicted from another of the same picture.
    needs_lower_layer: bool,
    body: &'a [u8],
}

impl<'a> Descriptor<'a> {
    fn read(payload: &'a [u8]) -> Option<Self> {
        let (&first, mut rest) = payload.split_first()?;
        let has = |bit: u8| first & bit != 0;
        let (has_picture_id, is_predicted, has_layers) = (has(0x80), has(0x40), has(0x20));
        let (is_flexible, starts, has_structure) = (has(0x10), has(0x08), has(0x02));
        if has_picture_id {
            let is_long = rest.first()? & 0x80 != 0;
            rest = rest.get(if is_long { 2 } else { 1 }..)?;
        }
        let mut needs_lower_layer = false;
        if has_layers {
            let (&layers, behind) = rest.split_first()?;
            needs_lower_layer = layers & 1 != 0;
            // TL0PICIDX
            rest = behind.get(usize::from(!is_flexible)..)?;
        }
        if is_flexible && is_predicted {
            for _ in 0..REFERENCES_MAX {
                let (&reference, behind) = rest.split_first()?;
                rest = behind;
                if reference & 1 == 0 {
                    break;
                }
            }
        }
        if has_structure {
            rest = skip_structure(rest)?;
        }
        Some(Descriptor { starts, needs_lower_layer, body: rest })
    }
}

/// The scalability structure (section 4.2.1).
fn skip_structure(data: &[u8]) -> Option<&[u8]> {
    let (&first, mut rest) = data.split_first()?;
    if first & 0x10 != 0 {
        let layers = usize::from(first >> 5) + 1;
        rest = rest.get(4 * layers..)?;
    }
    if first & 0x08 != 0 {
        let (&pictures, behind) = rest.split_first()?;
        rest = behind;
        for _ in 0..pictures {
            let (&picture, behind) = rest.split_first()?;
            rest = behind.get(usize::from(picture >> 2 & 3)..)?;
        }
    }
    Some(rest)
}

const REFERENCES_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_both_modes_are_passed_over() {
        let read = |payload: &'static [u8]| {
            let descriptor = Descriptor::read(payload)?;
            Some((descriptor.starts, descriptor.needs_lower_layer, descriptor.body))
        };
        assert_eq!(read(&[0x0c, 7]), Some((true, false, &[7][..])));
        assert_eq!(read(&[0x44, 7]), Some((false, false, &[7][..])));
        // Picture number of 15 bits, layers with TL0PICIDX.
        assert_eq!(read(&[0xa8, 0x81, 0x11, 0x01, 9, 7]), Some((true, true, &[7][..])));
        // Flexible, with two references.
        assert_eq!(read(&[0xd8, 0x11, 0x03, 0x04, 7]), Some((true, false, &[7][..])));
        // A structure of two layers with their sizes, and a group of two pictures.
        assert_eq!(
            read(&[0x0a, 0x38, 1, 2, 3, 4, 1, 2, 3, 4, 2, 0x04, 1, 0x00, 7]),
            Some((true, false, &[7][..]))
        );
        for cut in [&[0x80][..], &[0x80, 0x81], &[0x20, 0], &[0x50, 1], &[0x02], &[0x02, 0x10, 0]] {
            assert_eq!(Descriptor::read(cut), None, "{cut:?}");
        }
    }
}
