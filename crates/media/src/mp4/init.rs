//! The head of a fragmented file: tracks without samples.

use bytes::{BufMut, Bytes, BytesMut};

use super::{g711_entry, jpeg_entry, opus_entry};
use crate::{Codec, Error, Kind, Look, Track, aac};

/// The `ftyp` and `moov` boxes of a fragmented file with these tracks.
pub(super) fn init_segment(tracks: &[Track]) -> Result<Bytes, Error> {
    head(b"isom\0\0\x02\0isomiso6avc1mp41", tracks, 0)
}

/// The same with a file type box of this content. The presentation of each track starts
/// `media_time` ticks into its media; an edit list says so unless it is 0.
pub(super) fn head(brands: &[u8], tracks: &[Track], media_time: u64) -> Result<Bytes, Error> {
    let mut out = BytesMut::new();
    put_box(&mut out, b"ftyp", |out| out.put_slice(brands));
    let mut traks = BytesMut::new();
    for (number, track) in tracks.iter().enumerate() {
        put_track(&mut traks, number as u32 + 1, track, media_time)?;
    }
    put_box(&mut out, b"moov", |out| {
        put_full_box(out, b"mvhd", 0, 0, |out| {
            out.put_slice(&[0; 8]);
            out.put_u32(1000);
            out.put_u32(0);
            out.put_u32(0x1_0000);
            out.put_u16(0x100);
            out.put_slice(&[0; 10]);
            put_matrix(out);
            out.put_slice(&[0; 24]);
            out.put_u32(tracks.len() as u32 + 1);
        });
        out.put_slice(&traks);
        put_box(out, b"mvex", |out| {
            for (number, track) in tracks.iter().enumerate() {
                put_full_box(out, b"trex", 0, 0, |out| {
                    out.put_u32(number as u32 + 1);
                    out.put_u32(1);
                    out.put_u32(0);
                    out.put_u32(0);
                    out.put_u32(default_flags(track.codec.kind()));
                });
            }
        });
    });
    Ok(out.freeze())
}

/// The sample flags that need not be written for each sample.
pub(super) fn default_flags(kind: Kind) -> u32 {
    match kind {
        Kind::Audio => KEY_FLAGS,
        Kind::Video => DELTA_FLAGS,
    }
}

/// sample_depends_on is 2: it needs no others (ISO/IEC 14496-12 section 8.8.3.1).
pub(super) const KEY_FLAGS: u32 = 0x200_0000;
/// sample_depends_on is 1, sample_is_non_sync_sample.
pub(super) const DELTA_FLAGS: u32 = 0x101_0000;

fn put_track(
    out: &mut BytesMut,
    track_id: u32,
    track: &Track,
    media_time: u64,
) -> Result<(), Error> {
    let kind = track.codec.kind();
    let (mut width, mut height) = (0, 0);
    let mut look = Look::default();
    match &track.codec {
        Codec::H264(config) => {
            let picture = config.picture()?;
            (width, height) = (picture.width, picture.height);
            look = picture.look;
        }
        Codec::H265(config) => {
            let picture = config.picture()?;
            (width, height) = (picture.width, picture.height);
            look = picture.look;
        }
        Codec::Vp8(config) => (width, height) = (config.width.into(), config.height.into()),
        Codec::Vp9(config) => (width, height) = (config.width.into(), config.height.into()),
        Codec::Av1(config) => (width, height) = (config.width.into(), config.height.into()),
        Codec::Jpeg(config) => (width, height) = (config.width.into(), config.height.into()),
        Codec::Aac(_) | Codec::Opus(_) | Codec::G711(_) => {}
    }
    put_box(out, b"trak", |out| {
        put_full_box(out, b"tkhd", 0, 3, |out| {
            out.put_slice(&[0; 8]);
            out.put_u32(track_id);
            out.put_slice(&[0; 20]);
            out.put_u16(if kind == Kind::Audio { 0x100 } else { 0 });
            out.put_u16(0);
            put_matrix(out);
            out.put_u32(width << 16);
            out.put_u32(height << 16);
        });
        if media_time > 0 {
            put_edit(out, media_time);
        }
        put_box(out, b"mdia", |out| {
            put_full_box(out, b"mdhd", 0, 0, |out| {
                out.put_slice(&[0; 8]);
                out.put_u32(track.clock_rate_hz);
                out.put_u32(0);
                out.put_u16(LANGUAGE_UNDETERMINED);
                out.put_u16(0);
            });
            put_full_box(out, b"hdlr", 0, 0, |out| {
                out.put_u32(0);
                out.put_slice(if kind == Kind::Video { b"vide" } else { b"soun" });
                out.put_slice(&[0; 13]);
            });
            put_box(out, b"minf", |out| {
                put_media(out, track, width as u16, height as u16, &look);
            });
        });
    });
    Ok(())
}

/// An edit list (ISO/IEC 14496-12 section 8.6.6) of one edit, which lasts as long as the fragments
/// do (duration 0).
fn put_edit(out: &mut BytesMut, media_time: u64) {
    put_box(out, b"edts", |out| {
        put_full_box(out, b"elst", 1, 0, |out| {
            out.put_u32(1);
            out.put_u64(0);
            out.put_u64(media_time);
            out.put_u32(0x1_0000);
        });
    });
}

fn put_media(out: &mut BytesMut, track: &Track, width: u16, height: u16, look: &Look) {
    match track.codec.kind() {
        Kind::Video => put_full_box(out, b"vmhd", 0, 1, |out| out.put_slice(&[0; 8])),
        Kind::Audio => put_full_box(out, b"smhd", 0, 0, |out| out.put_slice(&[0; 4])),
    }
    put_box(out, b"dinf", |out| {
        put_full_box(out, b"dref", 0, 0, |out| {
            out.put_u32(1);
            put_full_box(out, b"url ", 0, 1, |_| {});
        });
    });
    put_box(out, b"stbl", |out| {
        put_full_box(out, b"stsd", 0, 0, |out| {
            out.put_u32(1);
            match &track.codec {
                Codec::H264(config) => put_visual(out, b"avc1", width, height, |out| {
                    put_box(out, b"avcC", |out| out.put_slice(&config.to_avcc()));
                    put_look(out, look);
                }),
                Codec::H265(config) => put_visual(out, b"hvc1", width, height, |out| {
                    // It was read for the size of the picture.
                    let hvcc = config.to_hvcc().unwrap_or_default();
                    put_box(out, b"hvcC", |out| out.put_slice(&hvcc));
                    put_look(out, look);
                }),
                Codec::Vp8(_) => put_visual(out, b"vp08", width, height, |out| {
                    put_full_box(out, b"vpcC", 1, 0, |out| out.put_slice(&VP8_RECORD));
                }),
                Codec::Vp9(config) => put_visual(out, b"vp09", width, height, |out| {
                    put_full_box(out, b"vpcC", 1, 0, |out| out.put_slice(&config.to_record()));
                }),
                Codec::Av1(config) => put_visual(out, b"av01", width, height, |out| {
                    put_box(out, b"av1C", |out| out.put_slice(&config.record));
                }),
                Codec::Aac(config) => put_mp4a(out, config),
                Codec::Jpeg(config) => jpeg_entry::put(out, config),
                Codec::Opus(config) => opus_entry::put(out, config),
                Codec::G711(config) => g711_entry::put(out, config),
            }
        });
        put_full_box(out, b"stts", 0, 0, |out| out.put_u32(0));
        put_full_box(out, b"stsc", 0, 0, |out| out.put_u32(0));
        put_full_box(out, b"stsz", 0, 0, |out| out.put_u64(0));
        put_full_box(out, b"stco", 0, 0, |out| out.put_u32(0));
    });
}

/// A VisualSampleEntry (ISO/IEC 14496-12 section 12.1.3) with the boxes of its codec.
fn put_visual(
    out: &mut BytesMut,
    kind: &[u8; 4],
    width: u16,
    height: u16,
    boxes: impl FnOnce(&mut BytesMut),
) {
    put_box(out, kind, |out| {
        out.put_slice(&[0; 6]);
        out.put_u16(1);
        out.put_slice(&[0; 16]);
        out.put_u16(width);
        out.put_u16(height);
        out.put_u32(DOTS_AN_INCH);
        out.put_u32(DOTS_AN_INCH);
        out.put_u32(0);
        out.put_u16(1);
        out.put_slice(&[0; 32]);
        out.put_u16(0x18);
        out.put_i16(-1);
        boxes(out);
    });
}

/// How pictures are meant to be seen, as far as it is known (ISO/IEC 14496-12 sections 12.1.4 and
/// 12.1.5).
fn put_look(out: &mut BytesMut, look: &Look) {
    if let Some((width, height)) = look.sample_aspect {
        put_box(out, b"pasp", |out| {
            out.put_u32(width.into());
            out.put_u32(height.into());
        });
    }
    if let Some(colour) = look.colour {
        put_box(out, b"colr", |out| {
            out.put_slice(b"nclx");
            for code in [colour.primaries, colour.transfer, colour.matrix] {
                out.put_u16(code.into());
            }
            out.put_u8(u8::from(colour.full_range) << 7);
        });
    }
}

/// ISO/IEC 14496-14 section 5.6.1.
fn put_mp4a(out: &mut BytesMut, config: &aac::Config) {
    put_box(out, b"mp4a", |out| {
        out.put_slice(&[0; 6]);
        out.put_u16(1);
        out.put_slice(&[0; 8]);
        out.put_u16(config.channels.into());
        out.put_u16(16);
        out.put_u32(0);
        // 16 bits before the point: rates that do not fit stand in the configuration alone.
        out.put_u32(
            config
                .sample_rate_hz
                .checked_shl(16)
                .filter(|_| config.sample_rate_hz < 1 << 16)
                .unwrap_or(0),
        );
        put_full_box(out, b"esds", 0, 0, |out| {
            let asc_bytes = config.asc.len() as u32;
            put_descriptor(out, 3, 3 + 18 + 5 + asc_bytes + 6);
            out.put_u16(0);
            out.put_u8(0);
            put_descriptor(out, 4, 13 + 5 + asc_bytes);
            out.put_u8(0x40);
            out.put_u8(AUDIO_STREAM);
            out.put_slice(&[0; 11]);
            put_descriptor(out, 5, asc_bytes);
            out.put_slice(&config.asc);
            put_descriptor(out, 6, 1);
            out.put_u8(2);
        });
    });
}

/// A descriptor's tag and length, five bytes (ISO/IEC 14496-1 section 8.3.3).
pub(super) fn put_descriptor(out: &mut BytesMut, tag: u8, bytes: u32) {
    out.put_u8(tag);
    for shift in [21, 14, 7] {
        out.put_u8(0x80 | (bytes >> shift & 0x7f) as u8);
    }
    out.put_u8((bytes & 0x7f) as u8);
}

pub(super) fn put_box(out: &mut BytesMut, kind: &[u8; 4], body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    body(out);
    let bytes = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&bytes.to_be_bytes());
}

pub(super) fn put_full_box(
    out: &mut BytesMut,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut BytesMut),
) {
    put_box(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags);
        body(out);
    });
}

fn put_matrix(out: &mut BytesMut) {
    for cell in [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000] {
        out.put_u32(cell);
    }
}

/// A VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding, section 3) of profile 0,
/// 8 bits and 4:2:0; VP8 has no levels; colours not specified.
const VP8_RECORD: [u8; 8] = [0, 0, 0x82, 2, 2, 2, 0, 0];
const LANGUAGE_UNDETERMINED: u16 = 0x55c4;
/// 72, as a fixed-point number of 16.16 bits.
pub(super) const DOTS_AN_INCH: u32 = 0x48_0000;
/// streamType 5 and the reserved bit.
const AUDIO_STREAM: u8 = 0x15;
