//! `weir play` and `weir probe` against the server of another project: gst-rtsp-server.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::movies::{self, Frames, PLAIN, frames};
use crate::program::{Folder, Running, assert_nothing_lost, play, run, wait_until, weir};

const LIMIT: Duration = Duration::from_secs(30);
const PYTHON: &str = "/usr/bin/python3";

/// gst-rtsp-server with one movie, and the movie's address there; `None`, and a line that says so,
/// where it is not installed.
fn served(folder: &Folder, name: &str, movie: &Path) -> Option<(Running, String)> {
    let has_server = "import gi; gi.require_version('GstRtspServer', '1.0'); \
                      from gi.repository import GstRtspServer";
    let is_there = Command::new(PYTHON).args(["-c", has_server]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: gst-rtsp-server for Python is not installed");
        return None;
    }
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/gst_server.py");
    let mut command = Command::new(PYTHON);
    command.arg(script).arg(movie).arg(port.to_string());
    let server = Running::start(command, folder, name);
    wait_until(LIMIT, "gst-rtsp-server listens", || server.said().0.contains("rtsp://"));
    let url = server.said().0.split_whitespace().last().unwrap().to_owned();
    Some((server, url))
}

#[test]
fn a_movie_of_gst_rtsp_server_comes_whole_over_udp_and_tcp_and_decodes() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("foreign-gst");
    let expected = frames(&movie);
    for transport in ["udp", "tcp"] {
        let Some((server, url)) = served(&folder, &format!("gst-{transport}"), &movie) else {
            return;
        };
        let (output, list) =
            (folder.join(format!("{transport}.mp4")), folder.join(format!("{transport}.csv")));
        let mut command = play(&url, transport);
        command.arg("-o").arg(&output).arg("--packets").arg(&list);
        let finished = run(command, &folder, transport, LIMIT);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let summary = finished.json();
        assert_nothing_lost(&summary);
        assert_eq!(summary["ended"], "end_of_stream", "{summary:#}");
        let count = |kind: &str| {
            let tracks = summary["tracks"].as_array().unwrap();
            let track = tracks.iter().find(|track| track["kind"] == kind).unwrap();
            (track["frames"].as_u64().unwrap(), track["packets"].as_u64().unwrap())
        };
        let (video, audio) = (count("video"), count("audio"));
        let came = Frames { video: video.0, audio: audio.0 };
        assert_eq!(came.video, expected.video, "{transport}");
        // It leaves out the sound before the start of the movie's edit list.
        assert!((expected.audio - 2..=expected.audio).contains(&came.audio), "{came:?}");
        assert_eq!(frames(&output), came, "{transport}: frames in the movie that was kept");
        assert_decodes(&output);
        let lines = std::fs::read_to_string(&list).unwrap().lines().count() as u64;
        assert_eq!(lines, 1 + video.1 + audio.1, "{transport}: packets in the list");
        // What it leaves out it has numbered: RTP-Info names a packet that never comes.
        for warning in summary["warning_texts"].as_array().unwrap() {
            assert!(warning.as_str().unwrap().contains("RTP-Info says"), "{warning}");
        }
        drop(server);
    }
}

/// Holds that ffmpeg decodes the file without an error.
fn assert_decodes(path: &Path) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path).args(["-f", "null", "-"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_stream_of_gst_rtsp_server_is_probed() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("foreign-probe");
    let Some((_server, url)) = served(&folder, "gst", &movie) else {
        return;
    };
    let mut command = weir();
    command.args(["probe", &url, "--json", "--seconds", "4.5"]);
    let finished = run(command, &folder, "probe", LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report = finished.json();
    let picture = &report["tracks"][0];
    assert_eq!([&picture["width"], &picture["height"]], [320, 180], "{report:#}");
    assert_eq!(picture["gop"]["frames_max"], 60, "{report:#}");
}
