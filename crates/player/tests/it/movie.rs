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

/// A movie of so many seconds, named after the test that wants it.
pub(crate) fn movie(test: &str, seconds: u32) -> MovieFile {
    let path = path_of(&format!("{test}.mp4"));
    write(&path, seconds);
    MovieFile { path }
}

fn write(path: &Path, seconds: u32) {
    let tracks = tracks();
    let mut writer = FragmentWriter::new(&tracks).unwrap();
    let mut file = writer.init_segment().to_vec();
    let mut frames = pictures(seconds);
    frames.extend(sounds(seconds));
    frames.sort_by_key(|frame| frame.pts);
    for frame in &frames {
        file.extend(writer.push(frame).unwrap().unwrap_or_default());
    }
    file.extend(writer.finish());
    std::fs::write(path, file).unwrap();
}

/// H.264 at 90 kHz, and AAC.
fn tracks() -> [Track; 2] {
    let sps = [
        0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03,
        0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
    ];
    let pps = [0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
    let sets = |set: &[u8]| vec![Bytes::copy_from_slice(set)];
    let picture = h264::Config::from_parameter_sets(sets(&sps), sets(&pps)).unwrap();
    let sound = aac::Config::lc(SOUND_HZ, 2).unwrap();
    [
        Track {
            id: TrackId(0),
            codec: Codec::H264(picture),
            clock_rate_hz: 90_000,
        },
        Track {
            id: TrackId(1),
            codec: Codec::Aac(sound),
            clock_rate_hz: SOUND_HZ,
        },
    ]
}

/// One key picture a second, of 30,000 bytes; the others have 6,000.
fn pictures(seconds: u32) -> Vec<Frame> {
    let picture = |number: u32| {
        let is_key = number.is_multiple_of(PICTURES_A_SECOND);
        let bytes = if is_key { 30_000 } else { 6_000 };
        let mut payload = BytesMut::new();
        payload.put_u32(bytes);
        payload.put_u8(if is_key { 0x65 } else { 0x41 });
        payload.put_bytes(0x80, bytes as usize - 1);
        let pts = MediaTime::from_ticks(number.into(), PICTURES_A_SECOND);
        frame(0, pts, is_key, payload.freeze())
    };
    (0..seconds * PICTURES_A_SECOND).map(picture).collect()
}

fn sounds(seconds: u32) -> Vec<Frame> {
    let sound = |number: u32| {
        let pts = MediaTime::from_ticks(i64::from(number) * 1_024, SOUND_HZ);
        frame(1, pts, true, Bytes::from(vec![0x21; 300]))
    };
    (0..seconds * SOUND_HZ / 1_024).map(sound).collect()
}

fn frame(track: u8, pts: MediaTime, is_key: bool, payload: Bytes) -> Frame {
    Frame {
        track: TrackId(track),
        pts,
        dts: Some(pts),
        duration: None,
        key: if is_key { KeyKind::Key } else { KeyKind::Delta },
        capture: None,
        arrival: Instant::ZERO,
        discontinuity: false,
        payload,
    }
}
