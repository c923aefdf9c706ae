//! A movie out of nothing: pictures and sound without content.

use std::path::{Path, PathBuf};

use bytes::{BufMut, Bytes, BytesMut};
use weir_media::mp4::FragmentWriter;
use weir_media::{Codec, Frame, KeyKind, MediaTime, Track, TrackId, aac, h264};
use weir_time::Instant;

pub(crate) const PICTURES_A_SECOND: u32 = 30;
const SOUND_HZ: u32 = 48_000;

/// A movie file that goes when it is dropped.
pub(crate) struct MovieFile {
    pub(crate) path: PathBuf,
}

impl Drop for MovieFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A path for a file of this test run alone.
pub(crate) fn path_of(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("weir-player-{}-{name}", std::process::id()))
}

/// What a movie is made of.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) seconds: u32,
    /// Pictures from one key picture to the next.
    gop_pictures: u32,
    /// B-pictures between two others: they are decoded after the one that follows them.
    b_pictures: u32,
    key_bytes: u32,
    p_bytes: u32,
    b_bytes: u32,
    sound_bytes: usize,
}

impl Shape {
    /// A key picture a second, and pictures in the order of their decoding.
    pub(crate) fn simple(seconds: u32) -> Self {
        Shape {
            seconds,
            gop_pictures: PICTURES_A_SECOND,
            b_pictures: 0,
            key_bytes: 30_000,
            p_bytes: 6_000,
            b_bytes: 0,
            sound_bytes: 300,
        }
    }

    /// What an encoder makes of 720p30 at 2.6 Mbit/s, sound included: a key picture every two
    /// seconds, two B-pictures between two others.
    pub(crate) fn typical(seconds: u32) -> Self {
        Shape {
            seconds,
            gop_pictures: 2 * PICTURES_A_SECOND,
            b_pictures: 2,
            key_bytes: 60_000,
            p_bytes: 14_000,
            b_bytes: 7_000,
            sound_bytes: 341,
        }
    }

    pub(crate) fn pictures(&self) -> u64 {
        u64::from(self.seconds * PICTURES_A_SECOND)
    }

    pub(crate) fn key_pictures(&self) -> u64 {
        self.pictures().div_ceil(self.gop_pictures.into())
    }

    pub(crate) fn sounds(&self) -> u64 {
        u64::from(self.seconds * SOUND_HZ / 1_024)
    }

    /// All frames of both tracks, in the order of decoding.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        let mut frames = self.picture_frames();
        frames.extend(self.sound_frames());
        frames.sort_by_key(|frame| frame.dts);
        frames
    }

    fn picture_frames(&self) -> Vec<Frame> {
        let picture = |decoded: u32| {
            let first = decoded - decoded % self.gop_pictures;
            let shown = first + self.shown(decoded - first);
            let (bytes, nal) = match decoded - first {
                0 => (self.key_bytes, 0x65),
                _ if shown >= decoded => (self.p_bytes, 0x41),
                _ => (self.b_bytes, 0x01),
            };
            let mut payload = BytesMut::new();
            payload.put_u32(bytes);
            payload.put_u8(nal);
            payload.put_bytes(0x80, bytes as usize - 1);
            let at = |number: u32| MediaTime::from_ticks(number.into(), PICTURES_A_SECOND);
            let pts = at(shown) + self.delay();
            frame(0, pts, at(decoded), first == decoded, payload.freeze())
        };
        (0..self.seconds * PICTURES_A_SECOND).map(picture).collect()
    }

    /// The place in the order of showing of a picture at a place in the order of decoding, both
    /// from a key picture on: I P B B P B B.
    fn shown(&self, decoded: u32) -> u32 {
        let Some(behind_key) = decoded.checked_sub(1) else {
            return 0;
        };
        let run = self.b_pictures + 1;
        let start = behind_key - behind_key % run;
        let last = (start + run).min(self.gop_pictures - 1);
        match behind_key - start {
            0 => last,
            nth => start + nth,
        }
    }

    /// How much later than decoded pictures are shown, so that none is shown before.
    fn delay(&self) -> MediaTime {
        MediaTime::from_ticks(self.b_pictures.min(1).into(), PICTURES_A_SECOND)
    }

    fn sound_frames(&self) -> Vec<Frame> {
        let payload = Bytes::from(vec![0x21; self.sound_bytes]);
        let sound = |number: u64| {
            let pts = MediaTime::from_ticks(number as i64 * 1_024, SOUND_HZ) + self.delay();
            frame(1, pts, pts, true, payload.clone())
        };
        (0..self.sounds()).map(sound).collect()
    }
}

/// A simple movie of so many seconds, named after the test that wants it.
pub(crate) fn movie(test: &str, seconds: u32) -> MovieFile {
    movie_of(test, Shape::simple(seconds))
}

/// A movie, named after the test that wants it.
pub(crate) fn movie_of(test: &str, shape: Shape) -> MovieFile {
    let path = path_of(&format!("{test}.mp4"));
    write(&path, shape);
    MovieFile { path }
}

pub(crate) fn write(path: &Path, shape: Shape) {
    let tracks = tracks();
    let mut writer = FragmentWriter::new(&tracks).unwrap();
    let mut file = writer.init_segment().to_vec();
    for frame in &shape.frames() {
        file.extend_from_slice(&writer.push(frame).unwrap().unwrap_or_default());
    }
    file.extend_from_slice(&writer.finish());
    std::fs::write(path, file).unwrap();
}

/// H.264 at 90 kHz, and AAC.
pub(crate) fn tracks() -> [Track; 2] {
    let sps = [
        0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03,
        0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
    ];
    let pps = [0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
    let sets = |set: &[u8]| vec![Bytes::copy_from_slice(set)];
    let picture = h264::Config::from_parameter_sets(sets(&sps), sets(&pps)).unwrap();
    let sound = aac::Config::lc(SOUND_HZ, 2).unwrap();
    [
        Track { id: TrackId(0), codec: Codec::H264(picture), clock_rate_hz: 90_000 },
        Track { id: TrackId(1), codec: Codec::Aac(sound), clock_rate_hz: SOUND_HZ },
    ]
}

fn frame(track: u8, pts: MediaTime, dts: MediaTime, is_key: bool, payload: Bytes) -> Frame {
    Frame {
        track: TrackId(track),
        pts,
        dts: Some(dts),
        duration: None,
        key: if is_key { KeyKind::Key } else { KeyKind::Delta },
        capture: None,
        arrival: Instant::ZERO,
        discontinuity: false,
        payload,
    }
}
