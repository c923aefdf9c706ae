//! Motion JPEG in QuickTime files (`jpeg`, `mjpa`) and in MP4 files (`mp4v` with the object type
//! of JPEG).

use bytes::{BufMut, BytesMut};

use super::boxes::BoxView;
use super::init::{DOTS_AN_INCH, put_box, put_descriptor, put_full_box};
use super::stsd::{Description, VISUAL_BYTES, data_reference, find_esds, read_esds};
use crate::jpeg::Config;
use crate::{Codec, Error};

/// Reads a `jpeg`, `mjpa` or `mp4v` entry.
pub(super) fn read(entry: &BoxView<'_>) -> Result<Description, Error> {
    let data_reference = data_reference(entry)?;
    if entry.kind.0 == *b"mp4v"
        && let Some(reason) = other_than_jpeg(entry)?
    {
        return Ok(Description::Other(entry.kind, reason));
    }
    // QuickTime File Format, `fiel`: how many fields a sample holds, each an image.
    if let Ok(Some(fields)) = entry.child_behind(VISUAL_BYTES, b"fiel")
        && fields.body.first().is_some_and(|&count| count > 1)
    {
        let reason = "interlaced Motion JPEG, two images in each sample, is not supported";
        return Ok(Description::Other(entry.kind, reason.to_owned()));
    }
    let mut fields = entry.fields();
    fields.take(24)?;
    let config = Config { width: fields.u16()?, height: fields.u16()?, coding: None };
    Ok(Description::Carried { codec: Codec::Jpeg(config), length_bytes: 0, data_reference })
}

/// Why an `mp4v` track is none of JPEG images.
fn other_than_jpeg(entry: &BoxView<'_>) -> Result<Option<String>, Error> {
    let Some(esds) = find_esds(entry, VISUAL_BYTES)? else {
        return Err(entry.error("has no esds box"));
    };
    let what = match read_esds(&esds)?.0 {
        OBJECT_TYPE_JPEG => return Ok(None),
        0x20 => "MPEG-4 part 2",
        0x60..=0x65 => "MPEG-2 video",
        0x6a => "MPEG-1 video",
        other => return Ok(Some(format!("object type {other:#04x} is not supported"))),
    };
    Ok(Some(format!("{what} is not supported")))
}

/// Writes an `mp4v` entry.
pub(super) fn put(out: &mut BytesMut, config: &Config) {
    put_box(out, b"mp4v", |out| {
        out.put_slice(&[0; 6]);
        out.put_u16(1);
        out.put_slice(&[0; 16]);
        out.put_u16(config.width);
        out.put_u16(config.height);
        out.put_u32(DOTS_AN_INCH);
        out.put_u32(DOTS_AN_INCH);
        out.put_u32(0);
        out.put_u16(1);
        out.put_slice(&[0; 32]);
        out.put_u16(0x18);
        out.put_i16(-1);
        put_full_box(out, b"esds", 0, 0, |out| {
            put_descriptor(out, 3, 3 + 18 + 6);
            out.put_slice(&[0; 3]);
            put_descriptor(out, 4, 13);
            out.put_slice(&[OBJECT_TYPE_JPEG, VISUAL_STREAM]);
            out.put_slice(&[0; 11]);
            put_descriptor(out, 6, 1);
            out.put_u8(2);
        });
    });
}

/// ISO/IEC 14496-1, and the register of object types.
const OBJECT_TYPE_JPEG: u8 = 0x6c;
/// streamType 4 and the reserved bit.
const VISUAL_STREAM: u8 = 0x11;

#[cfg(test)]
mod tests {
    use super::super::FragmentWriter;
    use super::super::tests::{frame, open};
    use crate::jpeg::{Config, Sampling, scaled_tables, write_head};
    use crate::{Codec, KeyKind, Track, TrackId};

    #[test]
    fn the_first_image_says_how_a_track_is_coded_and_fragments_hold_a_second_each() {
        let mut image = write_head(64, 48, &[(2, 1), (1, 1), (1, 1)], &scaled_tables(50), 0);
        image.extend([1, 2, 3, 0xff, 0xd9]);
        let config = Config { width: 32, height: 16, coding: None };
        let track = Track { id: TrackId(0), codec: Codec::Jpeg(config), clock_rate_hz: 90_000 };
        let mut writer = FragmentWriter::new(&[track]).unwrap();
        let mut file = writer.init_segment().to_vec();
        let mut fragments = 0;
        for n in 0..50 {
            let mut frame = frame(0, n * 50, n * 50, KeyKind::Key, 1);
            frame.payload = image.clone().into();
            if let Some(fragment) = writer.push(&frame).unwrap() {
                fragments += 1;
                file.extend(fragment);
            }
        }
        file.extend(writer.finish());
        assert_eq!(fragments, 2);
        let movie = open(&file).unwrap();
        let Codec::Jpeg(config) = movie.tracks()[0].codec else { panic!() };
        assert_eq!((config.width, config.height), (64, 48));
        assert_eq!(config.coding.unwrap().sampling, Sampling::Yuv422);
        assert_eq!(movie.gops(), 3);
    }

    #[test]
    fn an_image_that_cannot_be_read_is_warned_of() {
        let config = Config { width: 32, height: 16, coding: None };
        let track = Track { id: TrackId(0), codec: Codec::Jpeg(config), clock_rate_hz: 90_000 };
        let mut writer = FragmentWriter::new(&[track]).unwrap();
        let mut file = writer.init_segment().to_vec();
        writer.push(&frame(0, 0, 0, KeyKind::Key, 9)).unwrap();
        file.extend(writer.finish());
        let movie = open(&file).unwrap();
        let expected = "trak[0], the first image: JPEG image, byte 0: a marker expected, 0x00 came";
        assert_eq!(movie.warnings(), [expected]);
    }
}
