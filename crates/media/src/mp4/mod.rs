//! MP4 (ISO/IEC 14496-12 and 14496-14) and QuickTime files: a reader and a writer.
//!
//! [`crate::movie::Opener`] reads such files. [`FragmentWriter`] makes fragmented MP4 of frames,
//! [`segment`] the segments of CMAF.

mod boxes;
mod edit;
mod first_sample;
mod g711_entry;
mod init;
mod jpeg_entry;
mod moof;
mod moov;
mod opener;
mod opus_entry;
pub mod segment;
mod stbl;
mod stsd;
mod writer;

pub use writer::FragmentWriter;

pub(crate) use opener::{FIRST_KINDS, Opener};

use crate::movie::{SkippedTrack, Warnings};

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use weir_time::Instant;

    use super::*;
    use crate::movie::{Movie, Step};
    use crate::{Codec, Error, Frame, KeyKind, MediaTime, Track, TrackId, aac, h264};

    /// Pictures at 90 kHz, and sound.
    pub(super) fn tracks() -> [Track; 2] {
        let picture = Codec::H264(h264::tests::config());
        let sound = Codec::Aac(aac::Config::lc(48_000, 2).unwrap());
        [
            Track { id: TrackId(0), codec: picture, clock_rate_hz: 90_000 },
            Track { id: TrackId(1), codec: sound, clock_rate_hz: 48_000 },
        ]
    }

    pub(super) fn frame(track: u8, pts_ms: i64, dts_ms: i64, key: KeyKind, bytes: usize) -> Frame {
        let time = |ms| MediaTime::from_nanos(ms * 1_000_000);
        Frame {
            track: TrackId(track),
            pts: time(pts_ms),
            dts: Some(time(dts_ms)),
            duration: None,
            key,
            capture: None,
            arrival: Instant::from_nanos(0),
            discontinuity: false,
            payload: Bytes::from(vec![0; bytes]),
        }
    }

    pub(super) fn open(file: &[u8]) -> Result<Movie, Error> {
        let mut opener = Opener::new(file.len() as u64);
        loop {
            match opener.poll()? {
                Step::Need { offset, bytes } => {
                    opener
                        .feed(offset, file[offset as usize..][..bytes as usize].to_vec().into())?;
                }
                Step::Done(movie) => return Ok(*movie),
            }
        }
    }

    #[test]
    fn other_bytes_than_asked_for_are_refused() {
        let mut opener = Opener::new(100);
        assert!(matches!(opener.poll(), Ok(Step::Need { offset: 0, bytes: 100 })));
        let message = opener.feed(0, vec![0; 99].into()).unwrap_err().to_string();
        assert_eq!(message, "asked for 100 bytes at 0, got 99 at 0");
        assert!(matches!(opener.poll(), Ok(Step::Need { offset: 0, bytes: 100 })));
    }

    #[test]
    fn files_that_are_no_movies_are_told_apart() {
        let message = |file: &[u8]| open(file).unwrap_err().to_string();
        assert_eq!(message(b""), "file at byte 0: it is empty");
        let ftyp = b"\0\0\0\x10ftypisom\0\0\0\0";
        assert_eq!(message(ftyp), "file at byte 16: it has no moov box");
        let mdat = [&ftyp[..], b"\0\0\0\x09mdat!"].concat();
        let expected =
            "file at byte 25: it has samples and no moov box: its recording was not finished";
        assert_eq!(message(&mdat), expected);
        let moov = [&ftyp[..], b"\xff\0\0\0moov"].concat();
        let expected = "the file is cut off: moov at byte 16 needs 4278190096 bytes, \
                        the file has 24";
        assert_eq!(message(&moov), expected);
    }

    #[test]
    fn a_movie_box_past_the_limit_is_refused_before_it_is_read() {
        let mut opener = Opener::new(1 << 40);
        assert!(matches!(opener.poll(), Ok(Step::Need { offset: 0, bytes: 4096 })));
        let mut head = vec![0; 4096];
        head[..8].copy_from_slice(b"\xf0\0\0\0moov");
        opener.feed(0, head.into()).unwrap();
        let message = opener.poll().unwrap_err().to_string();
        assert_eq!(message, "moov at byte 0: 4026531840 bytes, at most 268435456 are read");
        assert!(opener.poll().is_err());
    }
}
