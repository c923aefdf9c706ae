//! Programs that play from the server's machine, and publish to or play from the client's.

use weir_proto::rtmp::client;

use super::driver::{dial, listen, serve};
use super::movie::movie;
use super::{Program, has};

/// What a player says that is sent the movie.
fn played(line: &str, record: &str) -> (bool, String) {
    let (_, tracks, frames) = movie().unwrap();
    let (listener, port) = listen();
    let url = format!("rtmp://127.0.0.1:{port}/live/key");
    let mut program = Program::start(&line.replace("URL", &url));
    serve(&listener, &mut program, Some((tracks, frames)), record);
    // rtmpsrc connects again at the end of the stream, and is not to wait for an answer.
    drop(listener);
    program.output()
}

#[test]
fn ffmpeg_plays_every_frame() {
    let Some((_, tracks, frames)) = movie() else { return };
    let (content, said) =
        played("ffmpeg -v error -i URL -map 0 -c copy -f framecrc -", "ffmpeg-play.bin");
    assert!(content, "{said}");
    for track in tracks {
        let prefix = format!("{},", track.id.0);
        let lines = said.lines().filter(|line| line.starts_with(&prefix)).count();
        let sent = frames.iter().filter(|frame| frame.track == track.id).count();
        assert_eq!(lines, sent, "{said}");
    }
}

#[test]
fn ffmpeg_finds_both_tracks_in_each_of_ten_joins() {
    if movie().is_none() {
        return;
    }
    for _ in 0..10 {
        let line = "ffprobe -v error -show_entries stream=codec_name,width -of csv=p=0 URL";
        let (content, said) = played(line, "ffprobe-play.bin");
        assert!(content, "{said}");
        assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["h264,640", "aac"]);
    }
}

#[test]
fn gstreamer_plays_by_rtmp2src_and_by_rtmpsrc_which_is_librtmp() {
    if movie().is_none() {
        return;
    }
    for source in ["rtmp2src", "rtmpsrc"] {
        if !has(&format!("gst-inspect-1.0 {source}")) {
            continue;
        }
        let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("gst-played.flv");
        let _ = std::fs::remove_file(&path);
        let sink = format!("filesink location={}", path.display());
        let live = if source == "rtmpsrc" { "\u{20}" } else { "" };
        let line = format!("gst-launch-1.0 -q {source} location=URL{live} ! {sink}");
        let (content, said) = played(&line, &format!("gst-{source}.bin"));
        assert!(content || source == "rtmpsrc", "{source}: {said}");
        let file = std::fs::read(&path).unwrap();
        let probe = std::process::Command::new("ffprobe")
            .args(
                "-v error -count_packets -show_entries stream=codec_name,nb_read_packets"
                    .split(' '),
            )
            .args(["-of", "csv=p=0"])
            .arg(&path)
            .output()
            .unwrap();
        let found = String::from_utf8_lossy(&probe.stdout).into_owned();
        let (_, _, frames) = movie().unwrap();
        assert!(found.contains("h264,90") && found.contains("aac,"), "{source}: {found}");
        assert!(file.len() > frames.iter().map(|frame| frame.payload.len()).sum());
    }
}

#[test]
fn the_client_publishes_to_ffmpeg() {
    let Some((_, tracks, frames)) = movie() else { return };
    let port = free_port();
    let url = format!("rtmp://127.0.0.1:{port}/live/key");
    let mut program =
        Program::start(&format!("ffmpeg -v error -listen 1 -i {url} -map 0 -c copy -f framecrc -"));
    let dialled = dial(&url, Some((tracks, frames)), usize::MAX);
    assert_eq!(dialled.events.last(), Some(&client::Event::Ended), "{:?}", dialled.events);
    let (content, said) = program.output();
    assert!(content, "{said}");
    let count = said.lines().filter(|line| line.starts_with(['0', '1'])).count();
    assert_eq!(count, frames.len(), "{said}");
}

fn free_port() -> u16 {
    listen().1
}
