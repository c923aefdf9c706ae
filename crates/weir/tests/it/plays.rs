//! `weir play`: what it measures, writes and says.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::movies::{self, Frames, PLAIN, frames};
use crate::program::{Folder, Running, Server, assert_nothing_lost, play, run, weir};

const LIMIT: Duration = Duration::from_secs(20);

fn frames_of(summary: &Value) -> Frames {
    let of = |kind: &str| {
        let tracks = summary["tracks"].as_array().unwrap();
        tracks.iter().find(|track| track["kind"] == kind).unwrap()["frames"].as_u64().unwrap()
    };
    Frames { video: of("video"), audio: of("audio") }
}

/// A server with the plain movie, and the movie's address there.
fn served(folder: &Folder) -> Option<(Server, String, std::path::PathBuf)> {
    let movie = movies::movie(&PLAIN)?;
    let server = Server::start(folder, &[&movie]);
    let url = server.url(movie.file_stem().unwrap().to_str().unwrap());
    Some((server, url, movie))
}

#[test]
fn a_movie_played_over_udp_and_tcp_loses_nothing_and_all_its_frames_are_measured_and_kept() {
    let folder = Folder::new("play-whole");
    let Some((server, url, movie)) = served(&folder) else {
        return;
    };
    let viewers = ["udp", "tcp"].map(|transport| {
        let (records, output) =
            (folder.join(format!("{transport}.jsonl")), folder.join(format!("{transport}.mp4")));
        let mut command = play(&url, transport);
        command.arg("--record").arg(&records).arg("-o").arg(&output);
        (transport, Running::start(command, &folder, transport), records, output)
    });
    let expected = frames(&movie);
    for (transport, viewer, records, output) in viewers {
        let finished = viewer.finish(LIMIT);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let summary = finished.json();
        assert_nothing_lost(&summary);
        assert_eq!(frames_of(&summary), expected, "{transport}");
        assert_summary_is_whole(&summary, &url, transport);
        assert_records_are_whole(&records, transport);
        assert_eq!(frames(&output), expected, "{transport}: frames in the movie that was kept");
        assert_decodes(&output);
        assert_eq!(report(&folder, &records), summary, "{transport}");
    }
    server.end();
}

/// What `weir report` says of a file of records.
fn report(folder: &Folder, records: &Path) -> Value {
    let mut command = weir();
    command.arg("report").arg(records).arg("--json");
    let finished = run(command, folder, "report", LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.json()
}

#[test]
fn records_that_are_there_are_not_written_over() {
    let folder = Folder::new("play-keeps");
    let records = folder.join("run.jsonl");
    fs::write(&records, "of yesterday\n").unwrap();
    let mut command = play("rtsp://127.0.0.1:9/movie", "tcp");
    command.arg("--record").arg(&records);
    let finished = run(command, &folder, "again", LIMIT);
    assert_eq!(finished.code, Some(1));
    assert!(finished.err.contains("run.jsonl is there already"), "{finished:?}");
    assert_eq!(fs::read_to_string(&records).unwrap(), "of yesterday\n");
}

#[test]
fn a_servers_records_tell_who_watched_and_those_of_an_earlier_run_are_kept() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("serve-report");
    let records = folder.join("run.jsonl");
    fs::write(&records, "of yesterday\n").unwrap();
    let server = Server::start(&folder, &[Path::new("--record"), &records, &movie]);
    let url = server.url(movie.file_stem().unwrap().to_str().unwrap());
    // A last report by UDP may be overtaken by TEARDOWN.
    let mut command = play(&url, "tcp");
    command.args(["--seconds", "1"]);
    let played = run(command, &folder, "played", LIMIT).json();
    server.end();
    assert_eq!(fs::read_to_string(folder.join("run.jsonl.1")).unwrap(), "of yesterday\n");
    let summary = report(&folder, &records);
    let [viewer] = &summary["viewers"].as_array().unwrap()[..] else {
        panic!("{summary:#}");
    };
    assert_eq!(viewer["reason"], "teardown");
    assert_eq!(viewer["reported_lost"], 0);
    let tracks = played["tracks"].as_array().unwrap().iter();
    let packets: u64 = tracks.map(|track| track["packets"].as_u64().unwrap()).sum();
    assert!(viewer["packets"].as_u64().unwrap() >= packets, "{viewer:#}, {packets} came");
}

/// Holds what a summary of a whole movie says beside the frames.
fn assert_summary_is_whole(summary: &Value, url: &str, transport: &str) {
    assert_eq!(summary["url"], url);
    assert_eq!(summary["transport"], transport);
    assert_eq!(summary["ended"], "end_of_stream");
    assert_eq!([&summary["warnings"], &summary["errors"], &summary["records_dropped"]], [0, 0, 0]);
    let time = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("{name}: {summary:#}"));
    assert!(time("connect_ns") <= time("first_byte_ns"));
    assert!(time("first_byte_ns") <= time("first_decodable_frame_ns"));
    assert!((5_900_000_000..7_500_000_000).contains(&time("lasted_ns")), "{}", time("lasted_ns"));
    for track in summary["tracks"].as_array().unwrap() {
        assert_eq!(track["basis"], "total");
        assert_eq!([&track["head_lost"], &track["tail_lost"]], [0, 0], "{transport}: {track:#}");
        for figure in ["key_frames", "bytes", "data_rate_bps", "expected", "jitter_ns"] {
            assert!(track[figure].is_u64(), "{figure}: {track:#}");
        }
        for figure in ["inter_arrival_p50_ns", "inter_arrival_p95_ns", "inter_arrival_p99_ns"] {
            assert!(track[figure].is_u64(), "{figure}: {track:#}");
        }
        // What the transport hides is absent, not zero.
        assert_eq!(track["ip_bytes"].is_u64(), transport == "udp", "{track:#}");
    }
    assert_eq!(summary["tracks"][0]["key_frames"], 3);
}

/// Holds that a player's records are lines of JSON from the header to the end of the run.
fn assert_records_are_whole(path: &Path, transport: &str) {
    let lines: Vec<Value> = read_lines(path);
    let header = &lines[0];
    assert_eq!(
        (&header["record"], &header["role"]),
        (&"weir".into(), &"player".into()),
        "{header}"
    );
    assert!(header["version"].is_u64() && header["clock"]["utc_ns"].is_u64(), "{header}");
    assert_eq!(header["asked"]["transport"], transport);
    assert!(lines[1..].iter().all(|line| line["t_ns"].is_u64() && line["event"].is_string()));
    let count = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    for event in ["connecting", "connected", "playing", "first_byte", "ended"] {
        assert_eq!(count(event), 1, "{event}");
    }
    assert_eq!((count("track_described"), count("track_total")), (2, 2));
    assert!(count("track_second") >= 10, "{}", count("track_second"));
    assert_eq!(lines.last().unwrap()["event"], "ended");
}

fn read_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Holds that ffmpeg decodes the file without an error.
pub(crate) fn assert_decodes(path: &Path) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path).args(["-f", "null", "-"]);
    let output = command.output().unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
        (Some(0), "")
    );
}

#[test]
fn a_play_of_two_seconds_ends_after_two_seconds() {
    let folder = Folder::new("play-seconds");
    let Some((server, url, _)) = served(&folder) else {
        return;
    };
    let viewers = ["udp", "tcp"].map(|transport| {
        let mut command = play(&url, transport);
        command.args(["--seconds", "2"]);
        Running::start(command, &folder, transport)
    });
    let start = Instant::now();
    for viewer in viewers {
        let finished = viewer.finish(LIMIT);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let summary = finished.json();
        assert_nothing_lost(&summary);
        assert_eq!(summary["ended"], "done");
        let video = frames_of(&summary).video;
        assert!((55..=66).contains(&video), "{video} frames in 2 s");
    }
    let lasted = start.elapsed().as_secs_f64();
    assert!((1.8..3.0).contains(&lasted), "{lasted} s");
    server.end();
}

#[test]
fn a_play_from_a_place_begins_at_the_key_frame_before_it() {
    let folder = Folder::new("play-from");
    let Some((server, url, _)) = served(&folder) else {
        return;
    };
    let (records, output) = (folder.join("run.jsonl"), folder.join("part.mp4"));
    let mut command = play(&url, "tcp");
    command.args(["--from", "4.5", "--record"]).arg(&records).arg("-o").arg(&output);
    let finished = run(command, &folder, "play", LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let summary = finished.json();
    assert_nothing_lost(&summary);
    // Key frames stand at 0, 2 and 4 s: what is left are two seconds of 30 pictures each.
    assert_eq!(frames_of(&summary).video, 60);
    assert_eq!(frames(&output).video, 60);
    let lines = read_lines(&records);
    let playing = lines.iter().find(|line| line["event"] == "playing").unwrap();
    let from_ns = playing["from_ns"].as_u64().unwrap();
    assert!((3_900_000_000..=4_500_000_000).contains(&from_ns), "{playing}");
    assert_eq!(summary["began_at_ns"], from_ns);
    server.end();
}

#[test]
fn a_summary_for_people_names_the_loss_and_the_frames() {
    let folder = Folder::new("play-words");
    let Some((server, url, _)) = served(&folder) else {
        return;
    };
    let mut command = weir();
    command.args(["play", &url, "--seconds", "1"]);
    let finished = run(command, &folder, "play", LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for word in [url.as_str(), "H.264", "AAC", "frames", "lost 0 of", "jitter", "p99"] {
        assert!(finished.out.contains(word), "{word} is not in:\n{}", finished.out);
    }
    server.end();
}

#[test]
fn a_refused_connection_is_told_with_the_address_and_advice() {
    let folder = Folder::new("play-refused");
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let finished = run(play(&format!("rtsp://127.0.0.1:{port}/x"), "auto"), &folder, "play", LIMIT);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.err.contains(&format!("127.0.0.1:{port}")), "{}", finished.err);
    assert!(finished.err.contains("refused"), "{}", finished.err);
    assert_eq!(finished.json()["ended"], "failed");
}

#[test]
fn a_name_that_is_not_there_is_told_with_the_status() {
    let folder = Folder::new("play-404");
    let Some((server, _, _)) = served(&folder) else {
        return;
    };
    let finished = run(play(&server.url("not-there"), "auto"), &folder, "play", LIMIT);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.err.contains("404") && finished.err.contains("not-there"), "{}", finished.err);
    server.end();
}

#[test]
fn an_address_of_another_protocol_is_told_with_the_right_form() {
    let folder = Folder::new("play-address");
    let finished = run(play("ftp://127.0.0.1/x", "auto"), &folder, "play", LIMIT);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.err.contains("rtsp://HOST"), "{}", finished.err);
}
