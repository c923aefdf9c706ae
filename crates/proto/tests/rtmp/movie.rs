//! A movie to send.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use bytes::Bytes;
use weir_media::movie::{Movie, Opener, Step};
use weir_media::{Frame, Track};
use weir_time::Instant;

/// A file, and what is in it.
type File = (PathBuf, Vec<Track>, Vec<Frame>);

/// Three seconds of H.264 with two B-frames in a row and of AAC: its file, tracks and frames.
/// `None` where ffmpeg is missing.
pub(super) fn movie() -> Option<&'static File> {
    static MOVIE: OnceLock<Option<File>> = OnceLock::new();
    MOVIE.get_or_init(make).as_ref()
}

fn make() -> Option<File> {
    if !super::has("ffmpeg -version") {
        return None;
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("rtmp.mp4");
    let args = "-v error -y -f lavfi -i testsrc2=size=640x360:rate=30 -f lavfi -i sine=r=48000 \
        -t 3 -c:v libx264 -preset ultrafast -bf 2 -pix_fmt yuv420p -g 30 -c:a aac -b:a 64k";
    let made = Command::new("ffmpeg").args(args.split_whitespace()).arg(&path).status().unwrap();
    assert!(made.success());
    let file = std::fs::read(&path).unwrap();
    let movie = open(&file);
    let file = Bytes::from(file);
    let all = (0..movie.gops()).flat_map(|gop| movie.gop_samples(gop));
    let frames = all.map(|sample| {
        let range = sample.offset as usize..sample.offset as usize + sample.bytes as usize;
        movie.frame(&sample, file.slice(range), Instant::ZERO).unwrap()
    });
    let frames = frames.collect();
    Some((path, movie.tracks().to_vec(), frames))
}

fn open(file: &[u8]) -> Movie {
    let mut opener = Opener::new(file.len() as u64);
    loop {
        match opener.poll().unwrap() {
            Step::Need { offset, bytes } => {
                let part = file[offset as usize..][..bytes as usize].to_vec();
                opener.feed(offset, part).unwrap();
            }
            Step::Done(movie) => return *movie,
        }
    }
}
