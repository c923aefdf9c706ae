//! CMAF segments (ISO/IEC 23000-19) of one track: an initialization segment, and media segments
//! made of frames whose bytes are shared, not copied.

use bytes::{BufMut, Bytes, BytesMut};

use super::init::{DELTA_FLAGS, KEY_FLAGS, head, put_box};
use super::writer::{Row, put_moof};
use crate::{Error, Kind, Track};

/// The initialization segment of a track: `ftyp`, and a `moov` without samples whose time scale is
/// the track's clock rate.
///
/// Decoding times in media segments are never negative. Where those of a movie begin before its
/// presentation (B-frames, or sound that a decoder needs to start), all of the track's times are
/// moved up by `lead_ticks`, and an edit list takes that away again (ISO/IEC 23000-19 section
/// 7.5.13). 0 writes none.
///
/// # Errors
/// When the clock rate is 0, or a sequence parameter set cannot be read: it says how large the
/// picture is.
pub fn init(track: &Track, lead_ticks: u64) -> Result<Bytes, Error> {
    if track.clock_rate_hz == 0 {
        return Err(Error::unsupported("track", format!("clock rate 0 ({})", track.id.0)));
    }
    head(FILE_BRANDS, core::slice::from_ref(track), lead_ticks)
}

/// A frame in a media segment. Times are in ticks of the track's clock.
#[derive(Clone, Debug)]
pub struct Sample {
    /// How long after it the next frame is decoded.
    pub duration_ticks: u32,
    /// How much later than it is decoded the frame is shown; may be negative.
    pub composition_ticks: i32,
    /// Whether decoding can start here.
    pub starts: bool,
    /// How long its payload is.
    pub bytes: u32,
}

/// The bytes of a media segment that come before the payloads of its samples, which follow in
/// order: `styp`, `moof` and the header of `mdat`. `sequence` numbers the segments of a track from
/// 1, `decode_ticks` is the decoding time of the first sample.
///
/// # Errors
/// When the payloads have more than 4 GB together.
pub fn media_head(
    kind: Kind,
    sequence: u32,
    decode_ticks: u64,
    samples: &[Sample],
) -> Result<Bytes, Error> {
    let rows: Vec<Row> = samples.iter().map(row).collect();
    let data_bytes: u64 = samples.iter().map(|sample| u64::from(sample.bytes)).sum();
    let mdat_bytes = u32::try_from(data_bytes + 8).ok().filter(|bytes| *bytes < DATA_BYTES_MAX);
    let Some(mdat_bytes) = mdat_bytes else {
        let reason = format!("{data_bytes} bytes, less than {DATA_BYTES_MAX} expected");
        return Err(Error::unsupported("segment", reason));
    };
    let mut out = BytesMut::with_capacity(media_head_bytes(samples.len()));
    put_box(&mut out, b"styp", |out| out.put_slice(SEGMENT_BRANDS));
    put_moof(&mut out, sequence, &[(0, kind, decode_ticks, &rows)]);
    out.put_u32(mdat_bytes);
    out.put_slice(b"mdat");
    Ok(out.freeze())
}

/// At most how many bytes [`media_head`] gives for so many samples.
pub const fn media_head_bytes(samples: usize) -> usize {
    HEAD_BYTES + 16 * samples
}

fn row(sample: &Sample) -> Row {
    Row {
        duration: sample.duration_ticks,
        bytes: sample.bytes,
        flags: if sample.starts { KEY_FLAGS } else { DELTA_FLAGS },
        shift: sample.composition_ticks,
    }
}

const FILE_BRANDS: &[u8] = b"iso6\0\0\0\0iso6cmfcdashmp41";
const SEGMENT_BRANDS: &[u8] = b"msdh\0\0\0\0msdhcmfs";
/// `styp`, `moof` without samples, and the header of `mdat`.
const HEAD_BYTES: usize = 24 + 8 + 16 + 8 + 16 + 20 + 20 + 8;
/// Offsets in `moof` are counted by 31 bits.
const DATA_BYTES_MAX: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::tests::{open, tracks};
    use crate::{MediaTime, TrackId};
    use mp4_atom::{Any, DecodeMaybe};
    use proptest::prelude::*;

    fn boxes(mut data: &[u8]) -> Vec<Any> {
        let mut out = Vec::new();
        while let Some(atom) = Any::decode_maybe(&mut data).unwrap() {
            out.push(atom);
        }
        assert!(data.is_empty());
        out
    }

    #[test]
    fn an_edit_list_takes_away_the_lead_and_is_absent_without_one() {
        let [picture, _] = tracks();
        for (lead, expected) in [(0, None), (3_000, Some(3_000))] {
            let init = init(&picture, lead).unwrap();
            let all = boxes(&init);
            let Some(Any::Moov(moov)) = all.get(1) else { panic!("moov behind ftyp") };
            let edits = moov.trak[0].edts.as_ref().and_then(|edts| edts.elst.clone());
            let media_time = edits.and_then(|elst| elst.entries[0].media_time);
            assert_eq!(media_time, expected);
            assert!(moov.mvex.is_some() && moov.trak[0].mdia.mdhd.timescale == 90_000);
        }
    }

    #[test]
    fn a_segment_without_room_for_its_length_is_refused() {
        let sample =
            Sample { duration_ticks: 1, composition_ticks: 0, starts: true, bytes: 1 << 30 };
        assert!(media_head(Kind::Video, 1, 0, core::slice::from_ref(&sample)).is_ok());
        assert!(media_head(Kind::Video, 1, 0, &[sample.clone(), sample]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn segments_behind_the_head_read_back_with_the_lead_taken_away(
            rows in prop::collection::vec((1u32..5_000, -2_000i32..6_000, any::<bool>(), 1u32..60), 1..120),
            cut in 0usize..120,
            lead in 0u64..9_000,
        ) {
            let [picture, _] = tracks();
            let mut file = init(&picture, lead).unwrap().to_vec();
            let samples: Vec<_> = rows.iter().map(|&(duration_ticks, composition_ticks, starts, bytes)| {
                Sample { duration_ticks, composition_ticks, starts, bytes }
            }).collect();
            let (mut sequence, mut decode) = (0, 0u64);
            let (first, second) = samples.split_at(cut.min(samples.len()));
            for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
                sequence += 1;
                let head = media_head(Kind::Video, sequence, decode, part).unwrap();
                prop_assert!(head.len() <= media_head_bytes(part.len()));
                prop_assert_eq!(&head[4..8], b"styp");
                file.extend_from_slice(&head);
                file.extend(part.iter().flat_map(|sample| vec![7u8; sample.bytes as usize]));
                decode += part.iter().map(|sample| u64::from(sample.duration_ticks)).sum::<u64>();
            }
            let movie = open(&file).unwrap();
            prop_assert_eq!(movie.sample_count(TrackId(0)) as usize, samples.len());
            let mut tick = -(lead as i64);
            for (index, sample) in samples.iter().enumerate() {
                let read = movie.sample(TrackId(0), index as u32).unwrap();
                let pts = MediaTime::from_ticks(tick + i64::from(sample.composition_ticks), 90_000);
                prop_assert_eq!((read.pts, read.bytes), (pts, sample.bytes));
                prop_assert_eq!(read.key.starts(), sample.starts);
                tick += i64::from(sample.duration_ticks);
            }
        }
    }
}
