//! What ffmpeg makes of it.

use std::process::Command;

use super::*;

/// Movies by their names, and what ffmpeg makes them with.
const MOVIES: &[(&str, &str)] = &[
    ("bframes.mp4", "PICTURE SOUND -c:v libx264 -preset ultrafast -bf 3 -g 30 -c:a aac"),
    (
        "open.mp4",
        "PICTURE SOUND -c:v libx264 -preset ultrafast -bf 3 -g 40 -x264-params open-gop=1 -c:a aac",
    ),
    ("late.mp4", "PICTURE -itsoffset 3.5 SOUND -c:v libx264 -preset ultrafast -g 30 -c:a aac"),
    ("picture.mp4", "PICTURE -c:v libx264 -preset ultrafast -g 60"),
    ("sound.mp4", "SOUND -c:a aac"),
    ("onekey.mp4", "PICTURE SOUND -c:v libx264 -preset ultrafast -g 9999 -c:a libopus"),
    (
        "hevc.mp4",
        "PICTURE SOUND -c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=60 \
         -tag:v hvc1 -c:a libopus",
    ),
    ("vp9.mp4", "PICTURE SOUND -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 60 -c:a libopus"),
    ("av1.mp4", "PICTURE SOUND -c:v libsvtav1 -preset 12 -g 60 -c:a aac"),
    ("vfr.mp4", "PICTURE -vf select='lt(n,60)+not(mod(n,7))' -vsync vfr -c:v libx264 -g 30 -bf 2"),
];

#[test]
fn ffmpeg_reads_every_frame_at_its_time_by_hls_and_by_dash() {
    if !has("ffmpeg") || !has("ffprobe") {
        eprintln!("SKIPPED: ffmpeg and ffprobe are not installed");
        return;
    }
    let folder = Folder::new("foreign");
    for (name, recipe) in MOVIES {
        let source = folder.0.join(name);
        if !make(&source, recipe) {
            eprintln!("SKIPPED: this ffmpeg does not make {name}");
            continue;
        }
        let out = folder.0.join(format!("{name}.out"));
        export(&source, &out);
        for kind in ["v:0", "a:0"] {
            let expected = packets(&source, kind);
            for list in ["index.m3u8", "manifest.mpd"] {
                let got = packets(&out.join(list), kind);
                assert_eq!(got, expected, "{name} {list} {kind}");
            }
        }
        for list in ["index.m3u8", "manifest.mpd"] {
            let said = run("ffmpeg", &["-i", out.join(list).to_str().unwrap(), "-f", "null", "-"]);
            assert_eq!(said, "", "{name} {list}");
        }
    }
}

#[test]
fn pictures_before_the_start_of_an_edit_are_decoded_and_hardly_shown() {
    if !has("ffmpeg") || !has("ffprobe") {
        eprintln!("SKIPPED: ffmpeg and ffprobe are not installed");
        return;
    }
    let folder = Folder::new("edit");
    let (whole, part) = (folder.0.join("whole.mp4"), folder.0.join("part.mp4"));
    let recipe = "PICTURE SOUND -c:v libx264 -preset ultrafast -bf 2 -g 30 -c:a aac";
    assert!(make(&whole, recipe));
    let arguments = ["-y", "-ss", "2.4", "-i", whole.to_str().unwrap(), "-c", "copy"];
    run("ffmpeg", &[&arguments[..], &[part.to_str().unwrap()]].concat());
    let out = folder.0.join("out");
    export(&part, &out);
    let (expected, got) = (packets(&part, "v:0"), packets(&out.join("index.m3u8"), "v:0"));
    let hidden = expected.iter().filter(|pts| **pts < 0).count();
    assert!(hidden > 5, "ffmpeg begins at the key frame before: {:?}", &expected[..20]);
    assert_eq!(expected.len(), got.len());
    assert_eq!(expected[hidden + 1..], got[hidden + 1..]);
    assert!(got[..=hidden].iter().all(|pts| (0..2_000).contains(pts)), "{:?}", &got[..20]);
    assert_eq!(packets(&part, "a:0"), packets(&out.join("index.m3u8"), "a:0"));
}

/// Presentation times of a stream's packets, in microseconds, ascending.
fn packets(path: &Path, kind: &str) -> Vec<i64> {
    let arguments = ["-select_streams", kind, "-show_entries", "packet=pts_time", "-of", "csv=p=0"];
    let said = run("ffprobe", &[&arguments[..], &[path.to_str().unwrap()]].concat());
    let time = |line: &str| line.trim_end_matches(',').parse::<f64>().ok();
    let mut all: Vec<_> =
        said.lines().filter_map(time).map(|pts| (pts * 1e6).round() as i64).collect();
    all.sort_unstable();
    all
}

fn make(path: &Path, recipe: &str) -> bool {
    let picture = "-f lavfi -i testsrc2=size=160x90:rate=30:duration=9";
    let sound = "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=9";
    let recipe = recipe.replace("PICTURE", picture).replace("SOUND", sound);
    let words = recipe.split_whitespace();
    let format: &[&str] = if recipe.contains("testsrc2") { &["-pix_fmt", "yuv420p"] } else { &[] };
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "quiet", "-y"]).args(words).args(format).arg(path);
    command.env("SVT_LOG", "0").status().is_ok_and(|status| status.success())
}

fn export(movie: &Path, folder: &Path) {
    let world = World::new(1);
    let host = world.host("server");
    let (movie, folder) = (movie.to_owned(), folder.to_owned());
    world.run(async move {
        let stream = Stream::Movie(open(&host, &movie).await);
        Client { hub: hub(), host, stream }.export(&folder).await;
    });
}

/// What a program says, errors among it.
pub(super) fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(["-v", "error"]).args(arguments).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

pub(super) fn has(program: &str) -> bool {
    Command::new(program).arg("-version").output().is_ok_and(|done| done.status.success())
}

#[test]
#[ignore = "by hand: WEIR_MOVIES names files, WEIR_EXPORT a folder"]
fn export_by_hand() {
    let folder = PathBuf::from(std::env::var("WEIR_EXPORT").unwrap());
    for movie in std::env::var("WEIR_MOVIES").unwrap().split_whitespace() {
        let path = Path::new(movie);
        export(path, &folder.join(path.file_name().unwrap()));
    }
}

/// It is the machine's time that is measured.
#[expect(clippy::disallowed_methods, clippy::disallowed_types)]
fn machine_time() -> std::time::Instant {
    std::time::Instant::now()
}

#[test]
#[ignore = "by hand: WEIR_MOVIE names a long file; prints times and memory"]
fn fifty_viewers_by_hand() {
    let status = |key: &str| {
        let all = std::fs::read_to_string("/proc/self/status").unwrap();
        all.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned()
    };
    let world = World::new(1);
    let host = world.host("server");
    let path = PathBuf::from(std::env::var("WEIR_MOVIE").unwrap());
    world.run(async move {
        let now = machine_time;
        eprintln!("before: {}", status("VmRSS"));
        let start = now();
        let movie = open(&host, &path).await;
        eprintln!("opened after {:?}; {}", now() - start, status("VmRSS"));
        let client = Client { hub: hub(), host, stream: Stream::Movie(movie) };
        for list in ["index.m3u8", "video/index.m3u8", "audio/index.m3u8", "manifest.mpd"] {
            let bytes = client.bytes(list).await.len();
            eprintln!("{list}: {bytes} bytes, {:?} since the start", now() - start);
        }
        let count = client.media("video").await.segments.len();
        let begun = now();
        let mut held = Vec::new();
        let mut bytes = 0;
        for round in 0..20 {
            held.clear();
            for viewer in 0..50 {
                let number = 1 + (viewer * count / 50 + round) % count;
                for folder in ["video", "audio"] {
                    held.push(client.get(&format!("{folder}/{number}.m4s")).await.unwrap());
                }
            }
            let pieces = held.iter().flat_map(|resource| &resource.body);
            bytes += pieces.map(|piece| piece.len()).sum::<usize>();
        }
        eprintln!("{bytes} bytes in {:?}; {} {}", now() - begun, status("VmRSS"), status("VmHWM"));
    });
}
