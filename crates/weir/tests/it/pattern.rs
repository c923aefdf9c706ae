//! The test pattern: as a movie, and live over RTSP, read back by ffmpeg.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use weir_codec::timecode::{self, TimeCode};
use weir_codec::{Plane, beep, flash};
use weir_media::MediaTime;

use crate::movies::packets;
use crate::players::ffmpeg;
use crate::program::{Finished, Folder, Server, assert_nothing_lost, installed, play, run, weir};

const LIMIT: Duration = Duration::from_secs(60);
const SIZE: (usize, usize) = (320, 180);

fn pattern(folder: &Folder, arguments: &[&str]) -> Finished {
    let mut command = weir();
    command.current_dir(folder.path()).args(["pattern", "--json"]).args(arguments);
    run(command, folder, "pattern", LIMIT)
}

/// The command with its pictures written as luma, 320x180.
fn as_luma(mut command: Command, folder: &Folder, file: &Path) -> Finished {
    let scale = format!("scale={}:{},format=gray", SIZE.0, SIZE.1);
    command.args(["-map", "0:v", "-vf", &scale, "-fps_mode", "passthrough"]);
    command.args(["-f", "rawvideo"]).arg(file);
    run(command, folder, "ffmpeg", LIMIT)
}

fn planes(file: &Path) -> Vec<Plane> {
    let bytes = std::fs::read(file).unwrap();
    let planes = bytes.chunks_exact(SIZE.0 * SIZE.1);
    planes
        .map(|plane| Plane::from_samples(plane.to_vec(), SIZE.0, SIZE.1, SIZE.0).unwrap())
        .collect()
}

fn codes(file: &Path) -> Vec<Option<TimeCode>> {
    planes(file).iter().map(timecode::read).collect()
}

fn decodes(movie: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "warning", "-i"]).arg(movie);
    command
}

/// What ffprobe says of a file, in seconds.
fn duration_s(movie: &Path) -> f64 {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"])
        .arg(movie)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

#[test]
fn a_movie_of_the_pattern_is_whole_and_says_recorded_in_every_picture() {
    let (Some(()), Some(())) = (installed("ffmpeg"), installed("ffprobe")) else { return };
    for (name, sound) in [("a.mp4", "aac"), ("b.mp4", "opus"), ("c.flv", "aac"), ("d.mp4", "none")]
    {
        let folder = Folder::new(&format!("pattern-{name}"));
        let arguments = ["--seconds", "3", "--size", "640x360", "--sound", sound, "-o", name];
        let finished = pattern(&folder, &arguments);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.err.is_empty(), "{}", finished.err);
        assert_eq!(finished.json()["frames"], 90);
        let movie = folder.join(name);
        assert_eq!(packets(&movie, "v"), Some(90), "{name}");
        assert!((duration_s(&movie) - 3.0).abs() < 0.05, "{name}: {}", duration_s(&movie));
        let luma = folder.join("luma");
        let finished = as_luma(decodes(&movie), &folder, &luma);
        assert_eq!((finished.code, finished.err.as_str()), (Some(0), ""), "{name}");
        for (frame, code) in codes(&luma).into_iter().enumerate() {
            let time_ms = (frame as u64 * 1_000_000_000 / 30 + 16) / 1_000_000;
            let expected = TimeCode { is_live: false, frame: frame as u32, time_ms };
            assert_eq!(code, Some(expected), "{name}");
        }
    }
}

/// When beeps begin, as ffmpeg plays the file, in seconds.
fn beeps(movie: &Path, folder: &Folder) -> Vec<f64> {
    let mut command = decodes(movie);
    let samples = folder.join("samples");
    command.args(["-map", "0:a", "-af", "aresample=async=1:first_pts=0"]);
    command.args(["-ac", "1", "-ar", "48000", "-f", "f32le"]).arg(&samples);
    let finished = run(command, folder, "ffmpeg-sound", LIMIT);
    assert_eq!((finished.code, finished.err.as_str()), (Some(0), ""));
    let bytes = std::fs::read(&samples).unwrap();
    let samples = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
    let samples: Vec<f32> = samples.collect();
    let begun = beep::Detector::new(48_000).push(MediaTime::ZERO, &samples);
    begun.into_iter().map(MediaTime::as_secs_f64).collect()
}

#[test]
fn the_beeps_of_a_movie_are_heard_with_its_flashes_in_another_player() {
    let Some(()) = installed("ffmpeg") else { return };
    for (name, sound) in [("a.mp4", "aac"), ("b.mp4", "opus"), ("c.flv", "aac")] {
        let folder = Folder::new(&format!("pattern-beep-{name}"));
        let arguments = ["--seconds", "3", "--size", "320x180", "--sound", sound, "-o", name];
        assert_eq!(pattern(&folder, &arguments).code, Some(0));
        let movie = folder.join(name);
        let found = beeps(&movie, &folder);
        assert_eq!(found.len(), 2, "{name}: {found:?}");
        for (found, second) in found.iter().zip([1.0, 2.0]) {
            assert!((found - second).abs() < 0.003, "{name}: {found} for {second}");
        }
        let luma = folder.join("luma");
        assert_eq!(as_luma(decodes(&movie), &folder, &luma).code, Some(0));
        let mut detector = flash::Detector::new();
        let flashes = (0..)
            .zip(planes(&luma))
            .filter_map(|(frame, plane)| detector.push(&plane, MediaTime::from_ticks(frame, 30)));
        let flashes: Vec<f64> = flashes.map(MediaTime::as_secs_f64).collect();
        assert_eq!(flashes, [1.0, 2.0], "{name}");
    }
}

#[test]
fn a_classroom_movie_of_the_pattern_has_images_that_fit_a_datagram() {
    let Some(()) = installed("ffmpeg") else { return };
    let folder = Folder::new("pattern-mjpeg");
    let finished = pattern(&folder, &["--seconds", "2", "-o", "lab.mjpeg"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.json()["frames"], 40);
    let bytes = std::fs::read(folder.join("lab.mjpeg")).unwrap();
    let (mut rest, mut count) = (&bytes[..], 0);
    while let Some((digits, behind)) = rest.split_at_checked(5) {
        let len: usize = std::str::from_utf8(digits).unwrap().parse().unwrap();
        assert!(len + 12 <= 20_480, "{len}");
        let image = weir_codec::jpeg::decode(&behind[..len]).unwrap();
        let code = timecode::read(image.luma()).unwrap();
        assert_eq!((code.frame, code.is_live), (count, false));
        rest = &behind[len..];
        count += 1;
    }
    assert_eq!(count, 40);
}

#[test]
fn what_cannot_be_made_is_refused_with_the_reason() {
    let folder = Folder::new("pattern-refused");
    std::fs::write(folder.join("there.mp4"), "mine").unwrap();
    for (arguments, reason) in [
        (&["-o", "x.avi"][..], ".mp4, .flv or .mjpeg"),
        (&["-o", "there.mp4"], "--force"),
        (&["-o", "x.mp4", "--size", "641x360"], "even"),
        (&["-o", "x.flv", "--sound", "opus"], "--sound aac"),
        (&["-o", "no/such/folder/x.mp4"], "no/such/folder"),
    ] {
        let finished = pattern(&folder, arguments);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.err.contains(reason), "{reason}: {}", finished.err);
        assert!(finished.out.is_empty() && !finished.err.contains("panicked"));
    }
    assert_eq!(std::fs::read(folder.join("there.mp4")).unwrap(), b"mine");
    let left: Vec<PathBuf> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| !path.to_string_lossy().contains(".part")), "{left:?}");
}

#[test]
fn the_live_pattern_is_seen_over_rtsp_with_its_age_in_every_picture() {
    let Some(()) = installed("ffmpeg") else { return };
    let folder = Folder::new("pattern-live");
    let server = Server::start(&folder, &["--pattern=640x360@30"]);
    let names: Vec<&Value> =
        server.banner["streams"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["pattern"]);
    let luma = folder.join("luma");
    let mut command = ffmpeg(&server.url("pattern"), "tcp");
    command.args(["-frames:v", "90"]);
    let finished = as_luma(command, &folder, &luma);
    let ended_ms = unix_ms();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let codes: Vec<TimeCode> = codes(&luma).into_iter().map(Option::unwrap).collect();
    assert_eq!(codes.len(), 90);
    assert!(codes.iter().all(|code| code.is_live));
    let last = codes.last().unwrap().time_ms;
    assert!((ended_ms - 20_000..=ended_ms).contains(&last), "{last} at {ended_ms}");
    for pair in codes.windows(2) {
        let (frames, ms) = (pair[1].frame - pair[0].frame, pair[1].time_ms - pair[0].time_ms);
        // A machine that is busy leaves pictures out: it never tells them a wrong time.
        assert!(frames >= 1 && ms.abs_diff(u64::from(frames) * 1_000 / 30) < 400, "{pair:?}");
    }
    let mut command = play(&server.url("pattern"), "udp");
    command.args(["--seconds", "2"]);
    let finished = run(command, &folder, "play", LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let summary = finished.json();
    assert_nothing_lost(&summary);
    assert_eq!(summary["tracks"].as_array().unwrap().len(), 2);
    server.end();
}

#[test]
fn the_settings_file_names_patterns_and_a_size_alone_gets_a_hint() {
    let folder = Folder::new("pattern-settings");
    let toml = "[streams.wall]\nsource = \"pattern\"\nsize = \"320x180\"\nfps = 25\n";
    std::fs::write(folder.join("weir.toml"), toml).unwrap();
    let server = Server::start::<&str>(&folder, &[]);
    assert_eq!(server.banner["streams"][0]["name"], "wall");
    let mut command = play(&server.url("wall"), "tcp");
    command.args(["--seconds", "1"]);
    assert_nothing_lost(&run(command, &folder, "play", LIMIT).json());
    server.end();
    let mut command = weir();
    command.current_dir(folder.path()).args(["serve", "--pattern", "640x360@25"]);
    let finished = run(command, &folder, "hint", LIMIT);
    assert!(finished.err.contains("--pattern=640x360@25"), "{finished:?}");
}

#[test]
fn the_version_says_how_the_encoder_was_built() {
    let folder = Folder::new("pattern-version");
    let mut command = weir();
    command.arg("--version");
    let finished = run(command, &folder, "version", LIMIT);
    assert!(finished.out.contains("openh264"), "{finished:?}");
    assert_eq!(finished.code, Some(0));
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}
