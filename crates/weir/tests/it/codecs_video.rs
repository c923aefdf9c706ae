//! H.265, VP8, VP9 and AV1 from MP4 through RTP, to other players and back into MP4.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use weir_media::mp4::FragmentWriter;
use weir_media::{Codec, Frame, MediaTime, Track, TrackId, vp8};
use weir_time::Instant;

use crate::movies::{Frames, frames, packets};
use crate::players::{Gstreamer, TRANSPORTS, ffmpeg_decodes, frames_decoded};
use crate::plays::assert_decodes;
use crate::program::{Folder, Running, Server, assert_nothing_lost, installed, play};

const LIMIT: Duration = Duration::from_secs(30);
/// How many pictures a second, and how many there are: a key picture each second.
const RATE: u32 = 30;
const PICTURES: u64 = 120;

/// How a codec is made and played.
struct Case {
    /// The name of the movie.
    name: &'static str,
    /// ffmpeg's encoder and what it is told.
    encoder: &'static [&'static str],
    /// GStreamer's elements from the depayloader on, up to the file that shows how many frames
    /// came. (Without one segment, a sink leaves out what arrives after the end of the range.)
    saver: &'static [&'static str],
    /// GStreamer's elements from the depayloader on, up to the decoder.
    decoder: &'static [&'static str],
    /// A line that ffmpeg prints of the codec itself, whatever is served.
    ffmpeg_says: Option<&'static str>,
}

/// B-frames in a pyramid, and open GOPs: key pictures after the first are CRA pictures.
const H265: Case = Case {
    name: "h265",
    encoder: &[
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=error:bframes=4:b-adapt=0:keyint=30:open-gop=1",
        "-tag:v",
        "hvc1",
    ],
    saver: &[
        "rtph265depay",
        "!",
        "video/x-h265,stream-format=byte-stream,alignment=au",
        "!",
        "identity",
        "single-segment=true",
    ],
    decoder: &["rtph265depay", "!", "h265parse", "!", "avdec_h265"],
    ffmpeg_says: None,
};

/// Superframes: each with a picture that is not shown.
const VP9: Case = Case {
    name: "vp9",
    encoder: &[
        "libvpx-vp9",
        "-deadline",
        "good",
        "-cpu-used",
        "5",
        "-auto-alt-ref",
        "1",
        "-lag-in-frames",
        "16",
        "-g",
        "30",
    ],
    saver: &[
        "rtpvp9depay",
        "!",
        "vp9parse",
        "!",
        "identity",
        "single-segment=true",
        "!",
        "matroskamux",
    ],
    decoder: &["rtpvp9depay", "!", "vp9dec"],
    ffmpeg_says: Some("RTP/VP9 support is still experimental"),
};

const VP8: Case = Case {
    name: "vp8",
    encoder: &[
        "libvpx",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-auto-alt-ref",
        "0",
        "-g",
        "30",
    ],
    saver: &["rtpvp8depay", "!", "identity", "single-segment=true", "!", "matroskamux"],
    decoder: &["rtpvp8depay", "!", "vp8dec"],
    ffmpeg_says: None,
};

const AV1: Case = Case {
    name: "av1",
    encoder: &["libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "30"],
    saver: &[],
    decoder: &[],
    ffmpeg_says: None,
};

impl Case {
    /// The movie; `None`, and a line that says so, where it cannot be made.
    fn movie(&self, folder: &Folder) -> Option<PathBuf> {
        installed("ffmpeg")?;
        installed("ffprobe")?;
        let encoders = Command::new("ffmpeg").args(["-v", "error", "-encoders"]).output().unwrap();
        if !String::from_utf8_lossy(&encoders.stdout).contains(self.encoder[0]) {
            eprintln!("SKIPPED: ffmpeg here has no encoder {}", self.encoder[0]);
            return None;
        }
        let movie = folder.join(format!("{}.mp4", self.name));
        if self.name == "vp8" {
            // ffmpeg itself does not put VP8 into MP4.
            let frames = folder.join("vp8.ivf");
            self.encode(&[], &frames);
            fs::write(&movie, movie_of_ivf(&fs::read(frames).unwrap())).unwrap();
        } else {
            let sound = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"];
            self.encode(&sound, &movie);
        }
        Some(movie)
    }

    fn encode(&self, sound: &[&str], file: &Path) {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"]);
        command.arg(format!("testsrc2=size=320x180:rate={RATE}")).args(sound);
        command.args(["-t", &(PICTURES / u64::from(RATE)).to_string(), "-pix_fmt", "yuv420p"]);
        command.arg("-c:v").args(self.encoder).args(["-c:a", "aac"]).arg(file);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// The frames of an IVF file as a fragmented MP4.
fn movie_of_ivf(ivf: &[u8]) -> Vec<u8> {
    let mut rest = &ivf[32..];
    let mut payloads = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<12>() {
        let bytes = u32::from_le_bytes(*head.first_chunk().unwrap()) as usize;
        let (payload, behind) = behind.split_at(bytes);
        payloads.push(payload);
        rest = behind;
    }
    let codec = Codec::Vp8(vp8::Config::from_key_frame(payloads[0]).unwrap());
    let track = Track { id: TrackId(0), codec, clock_rate_hz: 15_360 };
    let mut writer = FragmentWriter::new(&[track]).unwrap();
    let mut out = writer.init_segment().to_vec();
    for (number, payload) in payloads.into_iter().enumerate() {
        let pts = MediaTime::from_ticks(number as i64, RATE);
        let frame = Frame {
            track: TrackId(0),
            pts,
            dts: Some(pts),
            duration: Some(MediaTime::from_ticks(1, RATE)),
            key: vp8::key(payload),
            capture: None,
            arrival: Instant::ZERO,
            discontinuity: false,
            payload: payload.to_vec().into(),
        };
        out.extend(writer.push(&frame).unwrap().unwrap_or_default());
    }
    out.extend(writer.finish());
    out
}

fn gstreamer(url: &str, transport: &str, elements: &[&str], sink: &[String]) -> Command {
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "rtspsrc"]);
    command.arg(format!("location={url}")).arg(format!("protocols={transport}"));
    command.args(["!", "application/x-rtp,media=video", "!"]).args(elements).arg("!").args(sink);
    command
}

/// Whether GStreamer here has all these elements; a line says which one it has not.
fn has_elements(elements: &[&str]) -> bool {
    let is_element = |name: &&&str| **name != "!" && !name.contains('/') && !name.contains('=');
    elements.iter().filter(is_element).all(|name| {
        let output = Command::new("gst-inspect-1.0").arg(name).output();
        let is_there = output.is_ok_and(|output| output.status.success());
        if !is_there {
            eprintln!("SKIPPED: GStreamer here has no element {name}");
        }
        is_there
    })
}

/// Plays the movie over both transports with every player that takes the codec.
fn check(case: &Case) {
    let folder = Folder::new(&format!("codec-{}", case.name));
    let Some(movie) = case.movie(&folder) else {
        return;
    };
    assert_eq!(packets(&movie, "v"), Some(PICTURES));
    let server = Server::start(&folder, &[&movie]);
    let url = server.url(case.name);
    weir_plays(case, &url, &movie, &folder);
    if !case.decoder.is_empty() {
        ffmpeg_plays(case, &url, &folder);
        gstreamer_plays(case, &url, &folder);
    }
    server.end();
}

/// `weir play` loses nothing, and what it keeps decodes to as many frames.
fn weir_plays(case: &Case, url: &str, movie: &Path, folder: &Folder) {
    let viewers = TRANSPORTS.map(|transport| {
        let output = folder.join(format!("{transport}.mp4"));
        let mut command = play(url, transport);
        command.arg("-o").arg(&output);
        (transport, Running::start(command, folder, &format!("weir-{transport}")), output)
    });
    for (transport, viewer, output) in viewers {
        let finished = viewer.finish(LIMIT);
        assert_eq!(finished.code, Some(0), "{} over {transport}: {finished:?}", case.name);
        let summary = finished.json();
        assert_nothing_lost(&summary);
        let video = &summary["tracks"][0];
        assert_eq!(video["frames"], PICTURES, "{} over {transport}", case.name);
        assert_eq!(video["key_frames"], PICTURES / 30, "{} over {transport}", case.name);
        assert_eq!(packets(&output, "v"), Some(PICTURES), "{} over {transport}", case.name);
        if case.name != "vp8" {
            let Frames { audio, .. } = frames(movie);
            assert_eq!(frames(&output).audio, audio, "{} over {transport}", case.name);
        }
        assert_decodes(&output);
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-i"]).arg(&output);
        command.args(["-map", "0:v", "-fps_mode", "passthrough", "-progress", "pipe:1"]);
        let decoded = command.args(["-f", "null", "-"]).output().unwrap();
        let report = String::from_utf8(decoded.stdout).unwrap();
        assert_eq!(frames_decoded(&report), Some(PICTURES), "{} over {transport}", case.name);
    }
}

fn ffmpeg_plays(case: &Case, url: &str, folder: &Folder) {
    let viewers = TRANSPORTS.map(|transport| {
        let name = format!("ffmpeg-{transport}");
        (transport, Running::start(ffmpeg_decodes(url, transport), folder, &name))
    });
    for (transport, viewer) in viewers {
        let finished = viewer.finish(LIMIT);
        let is_odd = |line: &&str| case.ffmpeg_says.is_none_or(|known| !line.contains(known));
        let said: Vec<_> = finished.err.lines().filter(is_odd).collect();
        assert_eq!((finished.code, said), (Some(0), vec![]), "{} over {transport}", case.name);
        let decoded = frames_decoded(&finished.out);
        assert_eq!(decoded, Some(PICTURES), "{} over {transport}", case.name);
    }
}

fn gstreamer_plays(case: &Case, url: &str, folder: &Folder) {
    if installed("gst-launch-1.0").is_none()
        || !has_elements(case.decoder)
        || !has_elements(case.saver)
    {
        return;
    }
    let mut viewers = Vec::new();
    for transport in TRANSPORTS {
        let file = folder.join(format!("gst-{transport}.saved"));
        let sink = ["filesink".to_owned(), format!("location={}", file.display())];
        let name = format!("gst-saves-{transport}");
        let command = gstreamer(url, transport, case.saver, &sink);
        viewers.push((Gstreamer::start(command, folder, &name), name, Some(file)));
        let name = format!("gst-decodes-{transport}");
        let command = gstreamer(url, transport, case.decoder, &["fakesink".to_owned()]);
        viewers.push((Gstreamer::start(command, folder, &name), name, None));
    }
    for (viewer, name, file) in viewers {
        viewer.finish_quiet(LIMIT);
        if let Some(file) = file {
            assert_eq!(packets(&file, "v"), Some(PICTURES), "{} by {name}", case.name);
        }
    }
}

#[test]
fn h265_with_b_frames_is_played_by_ffmpeg_gstreamer_and_weir_and_kept_whole() {
    check(&H265);
}

#[test]
fn vp9_is_played_by_ffmpeg_gstreamer_and_weir_and_kept_whole() {
    check(&VP9);
}

#[test]
fn vp8_is_played_by_ffmpeg_gstreamer_and_weir_and_kept_whole() {
    check(&VP8);
}

#[test]
fn av1_is_played_by_weir_and_kept_whole() {
    check(&AV1);
}
