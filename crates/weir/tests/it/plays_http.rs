//! `weir play http://` and `weir demo`, as a user runs them.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::movies::{self, PLAIN, frames};
use crate::program::{Folder, Running, Server, run, wait_until, weir};

const LIMIT: Duration = Duration::from_secs(40);

fn play(url: &str, folder: &Folder, arguments: &[&str]) -> Value {
    let mut command = weir();
    command.current_dir(folder.path()).args(["play", url, "--json"]).args(arguments);
    let finished = run(command, folder, "play", LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.json()
}

fn frames_of(summary: &Value, kind: &str) -> u64 {
    let tracks = summary["tracks"].as_array().unwrap();
    tracks.iter().find(|track| track["kind"] == kind).unwrap()["frames"].as_u64().unwrap()
}

#[test]
fn a_movie_comes_whole_by_hls_by_dash_and_as_a_file() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("play-http");
    let server = Server::start(&folder, &[&movie]);
    let name = movie.file_stem().unwrap().to_str().unwrap();
    let base = format!("http://{}/{name}", server.banner["http"].as_str().unwrap());
    let expected = frames(&movie);
    for (way, protocol) in
        [("/index.m3u8", "hls"), ("/manifest.mpd", "dash"), (".mp4", "progressive")]
    {
        let copy = format!("{protocol}.mp4");
        let summary = play(&format!("{base}{way}"), &folder, &["-o", &copy]);
        assert_eq!(summary["transport"], protocol, "{summary:#}");
        assert_eq!(frames_of(&summary, "video"), expected.video, "{way}");
        assert_eq!(frames_of(&summary, "audio"), expected.audio, "{way}");
        assert_eq!(summary["ended"], "end_of_stream");
        assert_eq!(summary["stalls"], 0, "{summary:#}");
        assert!(summary["startup_ns"].as_u64().unwrap() < 5_000_000_000, "{summary:#}");
        assert_eq!(frames(&folder.join(copy)), expected, "{way}: frames in the copy");
    }
    server.end();
}

#[test]
fn a_page_that_holds_no_stream_is_told_from_one_that_is_not_there() {
    let folder = Folder::new("play-http-wrong");
    let server = Server::start(&folder, &[Path::new("--pattern=320x180@30")]);
    let base = format!("http://{}", server.banner["http"].as_str().unwrap());
    for (path, expected) in [("/none/index.m3u8", "404"), ("/", "html")] {
        let mut command = weir();
        command.args(["play", &format!("{base}{path}"), "--seconds", "2"]);
        let finished = run(command, &folder, "wrong", LIMIT);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.err.contains(expected), "{path}: {}", finished.err);
    }
    server.end();
}

#[test]
fn the_demo_serves_a_live_picture_whose_age_is_measured_and_a_movie() {
    let folder = Folder::new("demo");
    let mut command = weir();
    command.current_dir(folder.path());
    command.args(["demo", "--no-open", "--json", "--bind", "127.0.0.1"]);
    command.args(["--pattern", "320x180@30"]);
    let program = Running::start(command, &folder, "demo");
    wait_until(Duration::from_secs(20), "the demo prints its addresses", || {
        program.said().0.trim_end().ends_with('}')
    });
    let banner: Value = serde_json::from_str(&program.said().0).unwrap();
    let http = banner["http"].as_str().unwrap();
    let streams = banner["streams"].as_array().unwrap();
    let live = streams.iter().find(|stream| stream["live"] == true).unwrap();
    let live = live["name"].as_str().unwrap();
    let summary = play(&format!("http://{http}/{live}/index.m3u8"), &folder, &["--seconds", "6"]);
    let latency = &summary["latency"];
    assert!(latency["frames"].as_u64().unwrap() > 60, "{summary:#}");
    assert!(latency["p50_ns"].as_u64().unwrap() < 20_000_000_000, "{summary:#}");
    let addresses = weir_streams(http, &folder);
    let movie = addresses.iter().find(|stream| stream["kind"] == "movie");
    assert!(movie.is_some(), "{addresses:#?}");
    program.signal("INT");
    let finished = program.finish(Duration::from_secs(10));
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

/// What the server lists, once the movie that the demo makes is among it.
fn weir_streams(http: &str, folder: &Folder) -> Vec<Value> {
    let mut listed = Vec::new();
    wait_until(Duration::from_secs(30), "the movie of the demo is listed", || {
        let mut command = std::process::Command::new("curl");
        command.args(["-sS", "-m", "10", &format!("http://{http}/api/v1/streams")]);
        let answer = run(command, folder, "curl", LIMIT).json();
        listed = answer["streams"].as_array().cloned().unwrap_or_default();
        listed.iter().any(|stream| stream["kind"] == "movie")
    });
    listed
}
