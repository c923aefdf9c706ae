//! The movies that the tests play, made by ffmpeg once and kept for the next run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::program::installed;

/// How a movie is made.
pub(crate) struct Recipe {
    /// Frame size, as in `320x180`.
    size: &'static str,
    seconds: u32,
    /// What the picture's encoder is told besides.
    video: &'static [&'static str],
    /// The index stands before the media.
    index_first: bool,
}

/// x264 High with B-frames, a key frame every two seconds, AAC; the index first.
pub(crate) const PLAIN: Recipe =
    Recipe { size: "320x180", seconds: 6, video: &["-crf", "28"], index_first: true };
/// The same with the index last, as most programs write it.
pub(crate) const INDEX_LAST: Recipe = Recipe { index_first: false, ..PLAIN };
/// One that soon fills the buffers of a viewer that does not read: about 12 Mbit/s.
pub(crate) const HEAVY: Recipe = Recipe {
    size: "640x360",
    seconds: 4,
    video: &[
        "-b:v",
        "12M",
        "-minrate",
        "12M",
        "-maxrate",
        "12M",
        "-bufsize",
        "6M",
        "-x264-params",
        "nal-hrd=cbr",
    ],
    index_first: true,
};

/// What a movie holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frames {
    pub(crate) video: u64,
    pub(crate) audio: u64,
}

/// The movie of this recipe; `None`, and a line that says so, where ffmpeg is not installed.
pub(crate) fn movie(recipe: &Recipe) -> Option<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    installed("ffmpeg")?;
    installed("ffprobe")?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("program-movies");
    fs::create_dir_all(&folder).unwrap();
    let arguments = recipe.arguments();
    let movie = folder.join(format!("{:016x}.mp4", fingerprint(&arguments)));
    if !movie.exists() {
        // Another run of the tests may make it at the same time: the last to be done wins.
        let unfinished = folder.join(format!("{}.mp4", std::process::id()));
        let mut command = Command::new("ffmpeg");
        let output = command.args(&arguments).arg(&unfinished).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        fs::rename(&unfinished, &movie).unwrap();
    }
    Some(movie)
}

impl Recipe {
    fn arguments(&self) -> Vec<String> {
        let picture = format!("testsrc2=size={}:rate=30", self.size);
        let seconds = self.seconds.to_string();
        let mut arguments = vec!["-nostdin", "-v", "error", "-y"];
        arguments.extend(["-f", "lavfi", "-i", &picture]);
        arguments.extend(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]);
        arguments.extend(["-t", &seconds, "-pix_fmt", "yuv420p"]);
        arguments.extend(["-c:v", "libx264", "-profile:v", "high", "-preset", "veryfast"]);
        arguments.extend(["-bf", "2", "-g", "60", "-keyint_min", "60", "-sc_threshold", "0"]);
        arguments.extend(self.video);
        arguments.extend(["-c:a", "aac", "-b:a", "96k"]);
        arguments
            .extend(self.index_first.then_some(["-movflags", "+faststart"]).into_iter().flatten());
        arguments.into_iter().map(str::to_owned).collect()
    }
}

/// Counts the packets of a file's two tracks.
pub(crate) fn frames(path: &Path) -> Frames {
    Frames { video: packets(path, "v").unwrap(), audio: packets(path, "a").unwrap() }
}

/// The packets of the file's first track of this kind, as ffprobe reads them.
pub(crate) fn packets(path: &Path, kind: &str) -> Option<u64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-select_streams", kind])
        .args(["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().trim_end_matches(',').parse().ok()
}

/// FNV-1a, 64 bits: other arguments make another file.
fn fingerprint(arguments: &[String]) -> u64 {
    let bytes = arguments.iter().flat_map(|argument| argument.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
