//! VP8 out of RTP (RFC 7741).

use bytes::Bytes;
use weir_media::{Codec, KeyKind, vp8};

use super::DropReason;
use super::frame::{self, Format, Part};

pub(super) type Depacketiser = frame::Depacketiser<Vp8>;

/// The configuration, once a key frame has said it.
#[derive(Clone, Debug, Default)]
pub(super) struct Vp8(Option<vp8::Config>);

impl Format for Vp8 {
    type Progress = ();

    fn codec(&self) -> Option<Codec> {
        self.0.map(Codec::Vp8)
    }

    fn take(part: &mut Part<'_, ()>, payload: &[u8]) -> Result<bool, DropReason> {
        let (starts, body) = read_descriptor(payload).ok_or(DropReason::Malformed)?;
        if body.is_empty() {
            return Ok(false);
        }
        if part.is_first && !starts {
            return Err(part.no_start());
        }
        part.append(body)?;
        Ok(true)
    }

    fn finish(&mut self, frame: Bytes, _: &()) -> Option<(Bytes, KeyKind)> {
        let key = vp8::key(&frame);
        if key == KeyKind::Key {
            self.0 = Some(vp8::Config::from_key_frame(&frame).ok()?);
        }
        Some((frame, key))
    }
}

/// Whether a payload starts a frame, and what stands behind its descriptor (section 4.2).
fn read_descriptor(payload: &[u8]) -> Option<(bool, &[u8])> {
    let (&first, mut rest) = payload.split_first()?;
    // The start of partition 0.
    let starts = first & 0x1f == 0x10;
    if first & 0x80 != 0 {
        let (&extension, behind) = rest.split_first()?;
        rest = behind;
        let has = |bit: u8| extension & bit != 0;
        if has(0x80) {
            let is_long = rest.first()? & 0x80 != 0;
            rest = rest.get(if is_long { 2 } else { 1 }..)?;
        }
        // TL0PICIDX; TID, Y and KEYIDX share a byte.
        let more = usize::from(has(0x40)) + usize::from(has(0x30));
        rest = rest.get(more..)?;
    }
    Some((starts, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_all_forms_are_passed_over() {
        let read = |payload: &'static [u8]| read_descriptor(payload);
        assert_eq!(read(&[0x10, 7]), Some((true, &[7][..])));
        assert_eq!(read(&[0x00, 7]), Some((false, &[7][..])));
        assert_eq!(read(&[0x11, 7]), Some((false, &[7][..])));
        assert_eq!(read(&[0x90, 0x80, 0x11, 7]), Some((true, &[7][..])));
        assert_eq!(read(&[0x90, 0x80, 0x91, 0x11, 7]), Some((true, &[7][..])));
        assert_eq!(read(&[0x90, 0xf0, 0x91, 0x11, 1, 0x20, 7]), Some((true, &[7][..])));
        assert_eq!(read(&[0x90, 0x10, 0x20, 7]), Some((true, &[7][..])));
        for cut in [&[0x90][..], &[0x90, 0x80], &[0x90, 0x80, 0x91], &[0x90, 0x40]] {
            assert_eq!(read_descriptor(cut), None, "{cut:?}");
        }
    }
}
