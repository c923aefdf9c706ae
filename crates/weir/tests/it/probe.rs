//! `weir probe`: of files and of streams, against what ffprobe says.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::movies::{self, PLAIN, frames};
use crate::program::{Finished, Folder, Server, run, weir};

const LIMIT: Duration = Duration::from_secs(20);

fn probe(folder: &Folder, arguments: &[&str]) -> Finished {
    let mut command = weir();
    command.arg("probe").args(arguments);
    run(command, folder, "probe", LIMIT)
}

/// A field of the picture's track as ffprobe says it.
fn ffprobe(movie: &Path, field: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_entries"])
        .args([&format!("stream={field}"), "-of", "csv=p=0"])
        .arg(movie)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().trim_end_matches(',').to_owned()
}

/// Holds what is the same of the movie and of a stream of it.
fn assert_tracks(report: &Value) {
    let (picture, sound) = (&report["tracks"][0], &report["tracks"][1]);
    assert_eq!([&picture["kind"], &sound["kind"]], ["video", "audio"], "{report:#}");
    assert_eq!([&picture["codec"], &sound["codec"]], ["H.264", "AAC"]);
    assert_eq!([&picture["width"], &picture["height"]], [320, 180]);
    assert_eq!((&picture["profile"], &picture["chroma"]), (&"High".into(), &"4:2:0".into()));
    assert_eq!([&picture["frame_rate"], &picture["frame_rate_said"]], [30.0, 30.0]);
    assert_eq!([&picture["gop"]["frames_min"], &picture["gop"]["frames_max"]], [60, 60]);
    assert_eq!(picture["gop"]["ns_mean"], 2_000_000_000_u64);
    assert!(picture["reorder_depth"].as_u64() >= Some(1), "{picture:#}");
    assert_eq!([&sound["sample_rate_hz"], &sound["channels"]], [48_000, 1]);
    assert_eq!(sound["codec_string"], "mp4a.40.2");
    assert_eq!(report["warnings"], Value::Array(Vec::new()));
}

#[test]
fn a_file_is_told_as_ffprobe_tells_it() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("probe-file");
    let path = movie.to_str().unwrap();
    let finished = probe(&folder, &[path, "--json"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report = finished.json();
    assert_tracks(&report);
    let picture = &report["tracks"][0];
    let level: u64 = ffprobe(&movie, "level").parse().unwrap();
    assert_eq!(picture["level"], format!("{}.{}", level / 10, level % 10));
    // What the headers allow; the frames may need less.
    assert_eq!(picture["reorder_depth_said"].to_string(), ffprobe(&movie, "has_b_frames"));
    assert!(picture["reorder_depth"].as_u64() <= picture["reorder_depth_said"].as_u64());
    let expected = frames(&movie);
    assert_eq!(
        [&picture["frames"], &report["tracks"][1]["frames"]],
        [expected.video, expected.audio]
    );
    assert_eq!((&picture["key_frames"], &picture["gop"]["count"]), (&3.into(), &3.into()));
    assert_eq!(picture["frame_rate_is_constant"], true);
    assert_eq!(report["bytes"], fs::metadata(&movie).unwrap().len());
    let duration = report["duration_ns"].as_u64().unwrap();
    assert!((5_950_000_000..6_100_000_000).contains(&duration), "{duration}");
    let said: f64 = ffprobe(&movie, "bit_rate").parse().unwrap();
    let rate = picture["data_rate_bps"].as_f64().unwrap();
    assert!((rate - said).abs() < 0.02 * said, "{rate}, {said}");
}

#[test]
fn a_stream_is_told_as_its_file_is() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("probe-stream");
    let server = Server::start(&folder, &[&movie]);
    let url = server.url(movie.file_stem().unwrap().to_str().unwrap());
    let finished = probe(&folder, &[&url, "--json", "--seconds", "4.5"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report = finished.json();
    assert_tracks(&report);
    assert_eq!((&report["source"], &report["format"]), (&url.into(), &"RTSP over UDP".into()));
    assert_eq!(report["tracks"][0]["packets_lost"], 0);
    // The key frames at 0, 2 and 4 s end two GOPs.
    assert_eq!(report["tracks"][0]["gop"]["count"], 2);
    assert!(report["duration_ns"].as_u64() > Some(5_900_000_000), "{report:#}");
    server.end();
}

#[test]
fn for_people_it_is_a_few_lines() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("probe-words");
    let finished = probe(&folder, &[movie.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for word in [
        "MP4, 6.0",
        "track 0 video H.264 (avc1.",
        "High, level",
        "320x180",
        "30 frames/s",
        "GOP of 60 frames, 2.000 s",
        "B-frames (reorder depth",
        "track 1 audio AAC (mp4a.40.2, LC)",
        "48000 Hz",
        "Mbit/s",
    ] {
        assert!(finished.out.contains(word), "{word} is not in:\n{}", finished.out);
    }
}

#[test]
fn what_is_no_movie_or_not_there_is_an_error_that_names_it() {
    let folder = Folder::new("probe-wrong");
    let text = folder.join("text.mp4");
    fs::write(&text, "this is no movie at all").unwrap();
    for (source, said) in [
        (text.to_str().unwrap(), "text.mp4: "),
        ("not-there.mp4", "not-there.mp4: cannot read it: No such file"),
        ("http://127.0.0.1/x", "expected rtsp://HOST"),
        (folder.path().to_str().unwrap(), "is a folder"),
    ] {
        let finished = probe(&folder, &[source]);
        assert_eq!(finished.code, Some(1), "{source}: {finished:?}");
        assert!(finished.err.contains(said), "{source}: {}", finished.err);
        assert_eq!(finished.err.lines().count(), 1, "{source}: {}", finished.err);
        assert_eq!(finished.out, "", "{source}");
    }
}
