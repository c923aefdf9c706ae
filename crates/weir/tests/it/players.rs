//! Other players take what `weir serve` sends: ffmpeg, ffprobe and GStreamer.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::movies::{self, Frames, INDEX_LAST, PLAIN, frames, packets};
use crate::program::{Finished, Folder, Running, Server, installed};

/// Twice the movie's length and more.
const LIMIT: Duration = Duration::from_secs(20);
pub(crate) const TRANSPORTS: [&str; 2] = ["udp", "tcp"];

pub(crate) fn ffmpeg(url: &str, transport: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "warning", "-rtsp_transport", transport, "-i", url]);
    command
}

/// Decodes everything; the number of pictures stands in the report on standard output.
pub(crate) fn ffmpeg_decodes(url: &str, transport: &str) -> Command {
    let mut command = ffmpeg(url, transport);
    command.args([
        "-map",
        "0",
        "-fps_mode",
        "passthrough",
        "-progress",
        "pipe:1",
        "-f",
        "null",
        "-",
    ]);
    command
}

/// The last `frame=` of ffmpeg's report.
pub(crate) fn frames_decoded(report: &str) -> Option<u64> {
    report.lines().rev().find_map(|line| line.strip_prefix("frame="))?.trim().parse().ok()
}

/// Prints one line a packet: the track's number first.
pub(crate) fn ffprobe_counts(url: &str, transport: &str) -> Command {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "warning", "-rtsp_transport", transport, "-count_packets"]);
    command.args(["-show_entries", "stream=codec_type,nb_read_packets", "-of", "csv=p=0", url]);
    command
}

pub(crate) fn frames_counted(report: &str) -> Frames {
    let of = |kind: &str| {
        let counts = report.lines().find_map(|line| line.strip_prefix(kind));
        counts
            .and_then(|count| count.trim_matches(',').parse().ok())
            .unwrap_or_else(|| panic!("{report}"))
    };
    Frames { video: of("video"), audio: of("audio") }
}

/// Plays one track, by its depayloader. One process a track: gst-launch links two tracks that come
/// at the same moment on two threads, and now and then leaves one of them out.
fn gstreamer(url: &str, transport: &str, media: &str) -> Command {
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "rtspsrc"]);
    command.arg(format!("location={url}")).arg(format!("protocols={transport}"));
    command.args(["!", &format!("application/x-rtp,media={media}"), "!"]);
    command.args(match media {
        "video" => {
            &["rtph264depay", "!", "video/x-h264,stream-format=byte-stream,alignment=au"][..]
        }
        _ => &["rtpmp4gdepay"],
    });
    command
}

/// Writes a track to a file, as it stands in the RTP packets. A sink leaves out what comes after
/// the end of the range by its arrival; with `all` it keeps that as well.
fn gstreamer_saves(url: &str, transport: &str, media: &str, all: bool, file: &Path) -> Command {
    let mut command = gstreamer(url, transport, media);
    command.args(["!", "identity", &format!("single-segment={all}")]);
    command.args(["!", "filesink", &format!("location={}", file.display())]);
    command
}

/// A gst-launch that runs.
pub(crate) struct Gstreamer<'a> {
    running: Running,
    /// The same command, to be run once more.
    again: Command,
    folder: &'a Folder,
    name: String,
}

impl<'a> Gstreamer<'a> {
    pub(crate) fn start(command: Command, folder: &'a Folder, name: &str) -> Gstreamer<'a> {
        let again = copy(&command);
        let running = Running::start(command, folder, name);
        Gstreamer { running, again, folder, name: name.to_owned() }
    }

    /// Holds that it comes to the end and says nothing. If it loses its own race at the start, it
    /// is run again.
    pub(crate) fn finish_quiet(self, limit: Duration) {
        let mut finished = self.running.finish(limit);
        for _ in 0..START_TRIES_MAX {
            if !is_start_race(&finished.err) {
                break;
            }
            finished = Running::start(copy(&self.again), self.folder, &self.name).finish(limit);
        }
        assert_quiet(&finished, &self.name);
    }
}

const START_TRIES_MAX: usize = 5;

fn copy(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    copy
}

/// Whether it ended because the track that it leaves out came first: rtspsrc gives up when all pads
/// that it has shown so far are not linked, and the one that is linked may not be shown yet. That
/// depends on its threads alone.
fn is_start_race(text: &str) -> bool {
    text.contains("streaming stopped, reason not-linked (-1)")
}

/// Holds that GStreamer came to the end and said nothing.
fn assert_quiet(finished: &Finished, name: &str) {
    let said = without_dispose_race(&finished.err);
    if is_pause_race(&said) {
        return;
    }
    assert_eq!((finished.code, said.as_str()), (Some(0), ""), "{name}");
    for word in ["WARNING", "ERROR"] {
        assert!(!finished.out.contains(word), "{name}: {finished:?}");
    }
}

/// What was said but for one complaint: when all is over, gst-launch now and then drops an element
/// that rtspsrc has just linked before it has stopped it. It is about the program itself, and comes
/// with any server.
fn without_dispose_race(text: &str) -> String {
    let mut kept = text.to_owned();
    while let Some(middle) = kept.find("\nTrying to dispose element ")
        && let Some(start) = kept[..middle].rfind("(gst-launch-1.0:")
        && let Some(end) = kept[middle..].find("application or some element.\n")
    {
        let end = middle + end + "application or some element.\n".len();
        kept.replace_range(start..end, "");
    }
    kept.trim().to_owned()
}

/// Whether all that was said is that PAUSE could not be sent: at the end of the stream gst-launch
/// pauses and closes at once, and rtspsrc now and then closes its own connection under the PAUSE that
/// it has queued. A capture shows TEARDOWN alone then, answered, and the server's end open until the
/// client has closed. What was received is counted by whoever asks.
fn is_pause_race(text: &str) -> bool {
    let known = |line: &str| {
        line.ends_with("GstRTSPSrc:rtspsrc0: Could not write to resource.")
            || line == "Additional debug info:"
            || line.contains(": gst_rtspsrc_try_send (): ")
            || line.contains(": gst_rtspsrc_pause (): ")
            || line == "Could not send message. (Received end-of-file)"
    };
    text.contains("gst_rtspsrc_pause ()") && text.lines().all(known)
}

/// Bytes of the file's sound, without any container.
fn sound_bytes(movie: &Path) -> u64 {
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-select_streams",
        "a",
        "-show_entries",
        "packet=size",
        "-of",
        "csv=p=0",
    ]);
    let output = command.arg(movie).output().unwrap();
    let sizes = String::from_utf8(output.stdout).unwrap();
    sizes.lines().filter_map(|line| line.trim_end_matches(',').parse::<u64>().ok()).sum()
}

#[test]
fn ffmpeg_decodes_a_movie_over_udp_and_tcp_without_a_warning_and_counts_every_frame() {
    let (Some(first), Some(last)) = (movies::movie(&PLAIN), movies::movie(&INDEX_LAST)) else {
        return;
    };
    let folder = Folder::new("ffmpeg-plays");
    let server = Server::start(&folder, &[&first, &last]);
    let mut viewers = Vec::new();
    for movie in [&first, &last] {
        let url = server.url(movie.file_stem().unwrap().to_str().unwrap());
        for transport in TRANSPORTS {
            let name = |what: &str| format!("{what}-{transport}-{}", viewers.len());
            let decoder = Running::start(ffmpeg_decodes(&url, transport), &folder, &name("ffmpeg"));
            let counter =
                Running::start(ffprobe_counts(&url, transport), &folder, &name("ffprobe"));
            viewers.push((movie, transport, decoder, counter));
        }
    }
    for (movie, transport, decoder, counter) in viewers {
        let expected = frames(movie);
        let decoded = decoder.finish(LIMIT);
        assert_eq!((decoded.code, decoded.err.as_str()), (Some(0), ""), "{transport}");
        assert_eq!(
            frames_decoded(&decoded.out),
            Some(expected.video),
            "{transport}: {}",
            decoded.out
        );
        let counted = counter.finish(LIMIT);
        assert_eq!((counted.code, counted.err.as_str()), (Some(0), ""), "{transport}");
        assert_eq!(frames_counted(&counted.out), expected, "{transport}");
    }
    server.end();
}

#[test]
fn ffmpeg_decodes_a_live_loop_over_udp_and_tcp_across_its_turns_without_a_warning() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("ffmpeg-live");
    let server = Server::start(&folder, &[Path::new("--live"), &movie]);
    let url = server.url(movie.file_stem().unwrap().to_str().unwrap());
    let viewers = TRANSPORTS.map(|transport| {
        let mut command = ffmpeg(&url, transport);
        command.args(["-t", "8", "-map", "0", "-fps_mode", "passthrough"]);
        command.args(["-progress", "pipe:1", "-f", "null", "-"]);
        Running::start(command, &folder, &format!("ffmpeg-{transport}"))
    });
    for viewer in viewers {
        let finished = viewer.finish(LIMIT);
        assert_eq!((finished.code, finished.err.as_str()), (Some(0), ""));
        let frames = frames_decoded(&finished.out).unwrap();
        assert!((230..=242).contains(&frames), "{frames} frames in 8 s");
    }
    server.end();
}

#[test]
fn ffmpeg_seeks_to_the_key_frame_before_the_place_asked_for() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("ffmpeg-seeks");
    let server = Server::start(&folder, &[&movie]);
    let url = server.url(movie.file_stem().unwrap().to_str().unwrap());
    let viewers = TRANSPORTS.map(|transport| {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-rtsp_transport", transport, "-ss", "4.5"]);
        command.args(["-i", &url, "-map", "0", "-fps_mode", "passthrough"]);
        command.args(["-progress", "pipe:1", "-f", "null", "-"]);
        Running::start(command, &folder, &format!("ffmpeg-{transport}"))
    });
    for viewer in viewers {
        let finished = viewer.finish(LIMIT);
        assert_eq!((finished.code, finished.err.as_str()), (Some(0), ""));
        // The key frame at 4 s and all after it; up to a few of the beginning before the seek.
        let frames = frames_decoded(&finished.out).unwrap();
        assert!((40..=66).contains(&frames), "{frames} frames");
    }
    server.end();
}

#[test]
fn gstreamer_gets_every_frame_over_udp_and_tcp_and_comes_to_the_end() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let Some(()) = installed("gst-launch-1.0") else {
        return;
    };
    let folder = Folder::new("gstreamer-plays");
    let server = Server::start(&folder, &[&movie]);
    let url = server.url(movie.file_stem().unwrap().to_str().unwrap());
    let mut viewers = Vec::new();
    for transport in TRANSPORTS {
        for (media, all) in [("video", true), ("video", false), ("audio", true)] {
            let name = format!("gst-{transport}-{media}-{all}");
            let extension = if media == "video" { "h264" } else { "aac" };
            let file = folder.join(format!("{name}.{extension}"));
            let command = gstreamer_saves(&url, transport, media, all, &file);
            let viewer = Gstreamer::start(command, &folder, &name);
            viewers.push((name, media, viewer, file));
        }
    }
    let expected = frames(&movie);
    for (name, media, viewer, file) in viewers {
        viewer.finish_quiet(LIMIT);
        if media == "video" {
            assert_eq!(packets(&file, "v"), Some(expected.video), "{name}");
        } else {
            let bytes = std::fs::metadata(&file).unwrap().len();
            assert_eq!(bytes, sound_bytes(&movie), "{name}: bytes of sound");
        }
    }
    server.end();
}

#[test]
fn gstreamer_decodes_picture_and_sound_without_a_warning() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let Some(()) = installed("gst-launch-1.0") else {
        return;
    };
    let folder = Folder::new("gstreamer-decodes");
    let server = Server::start(&folder, &[&movie]);
    let url = server.url(movie.file_stem().unwrap().to_str().unwrap());
    let mut viewers = Vec::new();
    for transport in TRANSPORTS {
        for (media, parser, decoder) in
            [("video", "h264parse", "avdec_h264"), ("audio", "aacparse", "avdec_aac")]
        {
            let mut command = gstreamer(&url, transport, media);
            command.args(["!", parser, "!", decoder, "!", "fakesink"]);
            let name = format!("gst-{transport}-{media}");
            viewers.push(Gstreamer::start(command, &folder, &name));
        }
    }
    for viewer in viewers {
        viewer.finish_quiet(LIMIT);
    }
    server.end();
}

#[test]
fn only_the_complaint_about_disposing_is_passed_over() {
    let complaint = "\n(gst-launch-1.0:12825): GStreamer-CRITICAL **: 10:18:09.172: \nTrying to \
        dispose element capsfilter3, but it is in PLAYING instead of the NULL state.\nYou need to \
        explicitly set elements to the NULL state before\ndropping the final reference, to allow \
        them to clean up.\nThis problem may also be caused by a refcounting bug in the\napplication \
        or some element.\n\n";
    assert_eq!(without_dispose_race(complaint), "");
    let other = format!("WARNING: lost{complaint}");
    assert_eq!(without_dispose_race(&other), "WARNING: lost");
}
