//! Motion JPEG, Opus and G.711 from files through RTP to ffmpeg, GStreamer and `weir play`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use weir_media::jpeg::image_bytes;

use crate::movies::packets;
use crate::players::{
    Gstreamer, TRANSPORTS, ffmpeg, ffmpeg_decodes, ffprobe_counts, frames_counted, frames_decoded,
};
use crate::program::{Folder, Running, Server, assert_nothing_lost, installed, play};
use crate::rtsp::Client;

const LIMIT: Duration = Duration::from_secs(20);

/// Images of each kind that RTP carries: the movie's name, and what its encoder is told.
const IMAGES: [(&str, &str); 4] = [
    ("optimal-420", "-pix_fmt yuvj420p"),
    ("default-420", "-pix_fmt yuvj420p -huffman default"),
    // Written with sampling factors 2x2, 1x2, 1x2.
    ("optimal-422", "-pix_fmt yuvj422p -q:v 2"),
    ("default-422", "-pix_fmt yuvj422p -huffman default"),
];
const SOUNDS: [(&str, &str, &str); 2] =
    [("mu-law", "pcm_mulaw", "rtppcmudepay"), ("a-law", "pcm_alaw", "rtppcmadepay")];
/// Three seconds.
const IMAGE_COUNT: u64 = 75;

/// Makes a file in the folder; `None` where ffmpeg is missing.
fn make(folder: &Folder, name: &str, arguments: &str) -> Option<PathBuf> {
    installed("ffmpeg")?;
    installed("ffprobe")?;
    let path = folder.join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(arguments.split_whitespace()).arg(&path);
    output(command);
    Some(path)
}

fn make_images(folder: &Folder, name: &str, encoder: &str) -> Option<PathBuf> {
    let source = "-f lavfi -i testsrc2=size=320x240:rate=25 -t 3";
    make(folder, &format!("{name}.mp4"), &format!("{source} -c:v mjpeg {encoder}"))
}

/// What a command prints; it must not complain.
fn output(mut command: Command) -> String {
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{command:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

fn ffmpeg_reads(path: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path);
    command
}

/// The size and the digest of each picture.
fn pixels(report: &str) -> Vec<String> {
    let lines = report.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(',').skip(4).collect()).collect()
}

const PIXELS: [&str; 6] = ["-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5"];
const SAMPLES: [&str; 8] = ["-map", "0:a", "-c:a", "pcm_s16le", "-f", "md5", "-flags", "bitexact"];

fn pixels_of(path: &Path) -> Vec<String> {
    let mut command = ffmpeg_reads(path);
    command.args(PIXELS).arg("-");
    pixels(&output(command))
}

fn samples_of(path: &Path) -> String {
    let mut command = ffmpeg_reads(path);
    command.args(SAMPLES).arg("-");
    output(command)
}

/// Writes what a depayloader gives out of one track.
fn gstreamer(url: &str, transport: &str, media: &str, depayloader: &str, file: &Path) -> Command {
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "rtspsrc"]);
    command.arg(format!("location={url}")).arg(format!("protocols={transport}"));
    command.args(["!", &format!("application/x-rtp,media={media}"), "!", depayloader]);
    command.args(["!", "identity", "single-segment=true", "!", "filesink"]);
    command.arg(format!("location={}", file.display()));
    command
}

/// Whole images that stand one behind the other in a file.
fn images_in(path: &Path) -> u64 {
    let data = fs::read(path).unwrap();
    let (mut at, mut count) = (0, 0);
    while at < data.len() {
        at += image_bytes(&data[at..]).unwrap().unwrap_or_else(|| panic!("{at} is cut off"));
        count += 1;
    }
    count
}

fn bytes_of_sound(path: &Path) -> u64 {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "a", "-show_entries", "packet=size"]);
    command.args(["-of", "csv=p=0"]).arg(path);
    let sizes = output(command);
    sizes.lines().filter_map(|line| line.trim_end_matches(',').parse::<u64>().ok()).sum()
}

#[test]
fn ffmpeg_shows_the_very_pixels_of_motion_jpeg_over_udp_and_tcp() {
    let folder = Folder::new("jpeg-ffmpeg");
    let mut movies = Vec::new();
    for (name, encoder) in IMAGES {
        let Some(movie) = make_images(&folder, name, encoder) else {
            return;
        };
        movies.push((name, movie));
    }
    let server = Server::start(&folder, &[folder.path()]);
    let mut viewers = Vec::new();
    for (name, movie) in &movies {
        for transport in TRANSPORTS {
            let mut command = ffmpeg(&server.url(name), transport);
            command.args(PIXELS).arg("-");
            let title = format!("{name}-{transport}");
            viewers.push((Running::start(command, &folder, &title), title, movie));
        }
    }
    for (viewer, title, movie) in viewers {
        let finished = viewer.finish(LIMIT);
        assert_eq!((finished.code, finished.err.as_str()), (Some(0), ""), "{title}");
        let expected = pixels_of(movie);
        assert_eq!(expected.len() as u64, IMAGE_COUNT);
        assert!(pixels(&finished.out) == expected, "{title}: other pixels\n{}", finished.out);
    }
    server.end();
}

#[test]
fn gstreamer_gets_every_image_over_udp_and_tcp() {
    let folder = Folder::new("jpeg-gstreamer");
    let Some(()) = installed("gst-launch-1.0") else {
        return;
    };
    for (name, encoder) in IMAGES {
        if make_images(&folder, name, encoder).is_none() {
            return;
        }
    }
    let server = Server::start(&folder, &[folder.path()]);
    let mut viewers = Vec::new();
    for (name, _) in IMAGES {
        for transport in TRANSPORTS {
            let title = format!("{name}-{transport}");
            let file = folder.join(format!("{title}.mjpeg"));
            let command = gstreamer(&server.url(name), transport, "video", "rtpjpegdepay", &file);
            viewers.push((Gstreamer::start(command, &folder, &title), title, file, name));
        }
    }
    for (viewer, title, file, name) in viewers {
        viewer.finish_quiet(LIMIT);
        assert_eq!(images_in(&file), IMAGE_COUNT, "{title}");
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-f", "mjpeg", "-i"]).arg(&file);
        command.args(PIXELS).arg("-");
        let movie = folder.join(format!("{name}.mp4"));
        assert!(pixels(&output(command)) == pixels_of(&movie), "{title}: other pixels");
    }
    server.end();
}

#[test]
fn h264_with_opus_plays_in_ffmpeg_and_gstreamer_with_every_frame() {
    let folder = Folder::new("opus-plays");
    let sources = "-f lavfi -i testsrc2=size=320x180:rate=30 -f lavfi -i sine=r=48000 -t 3";
    let coding = "-c:v libx264 -preset veryfast -bf 2 -g 30 -pix_fmt yuv420p -c:a libopus";
    let mut movies = Vec::new();
    for channels in [1, 2] {
        let name = format!("opus-{channels}.mp4");
        let Some(movie) = make(&folder, &name, &format!("{sources} {coding} -ac {channels}"))
        else {
            return;
        };
        movies.push(movie);
    }
    let has_gstreamer = installed("gst-launch-1.0").is_some();
    let server = Server::start(&folder, &[folder.path()]);
    let mut viewers = Vec::new();
    for movie in &movies {
        let name = movie.file_stem().unwrap().to_str().unwrap();
        let url = server.url(name);
        for transport in TRANSPORTS {
            let title = |what: &str| format!("{what}-{name}-{transport}");
            let decoder =
                Running::start(ffmpeg_decodes(&url, transport), &folder, &title("ffmpeg"));
            let counter =
                Running::start(ffprobe_counts(&url, transport), &folder, &title("ffprobe"));
            let file = folder.join(title("sound"));
            let command = gstreamer(&url, transport, "audio", "rtpopusdepay", &file);
            let saver = has_gstreamer.then(|| Gstreamer::start(command, &folder, &title("gst")));
            viewers.push((movie, title("viewer"), decoder, counter, saver, file));
        }
    }
    for (movie, title, decoder, counter, saver, file) in viewers {
        let expected = crate::movies::frames(movie);
        let decoded = decoder.finish(LIMIT);
        assert_eq!((decoded.code, decoded.err.as_str()), (Some(0), ""), "{title}");
        assert_eq!(frames_decoded(&decoded.out), Some(expected.video), "{title}");
        let counted = counter.finish(LIMIT);
        assert_eq!((counted.code, counted.err.as_str()), (Some(0), ""), "{title}");
        assert_eq!(frames_counted(&counted.out), expected, "{title}");
        if let Some(saver) = saver {
            saver.finish_quiet(LIMIT);
            let bytes = fs::metadata(&file).unwrap().len();
            assert_eq!(bytes, bytes_of_sound(movie), "{title}: bytes of sound");
        }
    }
    server.end();
}

#[test]
fn g711_plays_in_ffmpeg_and_gstreamer_with_every_sample() {
    let folder = Folder::new("g711-plays");
    for (name, codec, _) in SOUNDS {
        let source = "-f lavfi -i sine=r=8000 -t 3";
        let with_picture = "-f lavfi -i testsrc2=size=320x240:rate=25 -c:v mjpeg";
        let made = [
            make(&folder, &format!("{name}.mov"), &format!("{source} -c:a {codec}")),
            make(
                &folder,
                &format!("{name}-picture.mov"),
                &format!("{source} {with_picture} -pix_fmt yuvj420p -c:a {codec} -t 3"),
            ),
            make(
                &folder,
                &format!("{name}-stereo.mov"),
                &format!("{source} -c:a {codec} -ac 2 -ar 16000"),
            ),
        ];
        if made.contains(&None) {
            return;
        }
    }
    let has_gstreamer = installed("gst-launch-1.0").is_some();
    let server = Server::start(&folder, &[folder.path()]);
    let mut viewers = Vec::new();
    for (law, _, depayloader) in SOUNDS {
        for form in ["", "-picture", "-stereo"] {
            for transport in TRANSPORTS {
                let name = format!("{law}{form}");
                let (url, title) = (server.url(&name), format!("{name}-{transport}"));
                let mut command = ffmpeg(&url, transport);
                command.args(SAMPLES).arg("-");
                let decoder = Running::start(command, &folder, &format!("ffmpeg-{title}"));
                let file = folder.join(format!("{title}.raw"));
                let command = gstreamer(&url, transport, "audio", depayloader, &file);
                let saver = (has_gstreamer && form != "-stereo")
                    .then(|| Gstreamer::start(command, &folder, &format!("gst-{title}")));
                let movie = folder.join(format!("{name}.mov"));
                viewers.push((movie, title, decoder, saver, file));
            }
        }
    }
    for (movie, title, decoder, saver, file) in viewers {
        let decoded = decoder.finish(LIMIT);
        assert_eq!((decoded.code, decoded.err.as_str()), (Some(0), ""), "{title}");
        assert_eq!(decoded.out, samples_of(&movie), "{title}: other samples");
        if let Some(saver) = saver {
            saver.finish_quiet(LIMIT);
            let mut command = ffmpeg_reads(&movie);
            let raw = if title.starts_with("mu") { "mulaw" } else { "alaw" };
            let sent = folder.join(format!("{title}.sent"));
            command.args(["-map", "0:a", "-c", "copy", "-f", raw]).arg(&sent);
            output(command);
            assert!(fs::read(&sent).unwrap() == fs::read(&file).unwrap(), "{title}: other bytes");
        }
    }
    server.end();
}

#[test]
fn what_weir_play_keeps_of_each_codec_is_what_the_movie_holds() {
    let folder = Folder::new("codecs-kept");
    let mut movies = Vec::new();
    for (name, encoder) in IMAGES {
        movies.push(make_images(&folder, name, encoder));
    }
    let both = "-f lavfi -i testsrc2=size=320x240:rate=25 -f lavfi -i sine=r=48000 -t 3 \
                -pix_fmt yuv420p";
    movies.push(make(&folder, "opus.mp4", &format!("{both} -c:v libx264 -bf 2 -c:a libopus")));
    let g711 = format!("{both} -c:v libx264 -bf 2 -c:a pcm_alaw -ar 8000");
    movies.push(make(&folder, "g711.mov", &g711));
    movies.push(make(&folder, "sound.mov", "-f lavfi -i sine=r=8000 -t 3 -c:a pcm_mulaw"));
    let Some(movies) = movies.into_iter().collect::<Option<Vec<_>>>() else {
        return;
    };
    let server = Server::start(&folder, &[folder.path()]);
    let mut viewers = Vec::new();
    for movie in &movies {
        for transport in TRANSPORTS {
            let name = movie.file_stem().unwrap().to_str().unwrap();
            let title = format!("{name}-{transport}");
            // Not among the movies that are served.
            fs::create_dir_all(folder.join(".kept")).unwrap();
            let kept = folder.join(format!(".kept/{title}.mp4"));
            let mut command = play(&server.url(name), transport);
            command.arg("-o").arg(&kept);
            viewers.push((Running::start(command, &folder, &title), title, movie, kept));
        }
    }
    for (viewer, title, movie, kept) in viewers {
        let finished = viewer.finish(LIMIT);
        assert_eq!(finished.code, Some(0), "{title}: {finished:?}");
        let summary = finished.json();
        assert_nothing_lost(&summary);
        assert_eq!([&summary["warnings"], &summary["errors"]], [0, 0], "{title}: {finished:?}");
        if packets(movie, "v").is_some() {
            assert_eq!(packets(&kept, "v"), packets(movie, "v"), "{title}");
            assert!(pixels_of(&kept) == pixels_of(movie), "{title}: other pixels");
        }
        if title.starts_with("opus") {
            assert_eq!(packets(&kept, "a"), packets(movie, "a"), "{title}");
        }
        if title.starts_with("g711") || title.starts_with("sound") {
            assert_eq!(samples_of(&kept), samples_of(movie), "{title}: other samples");
        }
    }
    server.end();
}

#[test]
fn images_that_rtp_cannot_carry_are_refused_at_describe_with_the_reason() {
    let folder = Folder::new("jpeg-refused");
    let (Some(_), Some(baseline)) = (
        make_images(&folder, "full-colour", "-pix_fmt yuvj444p"),
        make_images(&folder, "baseline", "-pix_fmt yuvj420p"),
    ) else {
        return;
    };
    make(&folder, "large.mp4", "-f lavfi -i color=size=2064x64:rate=5 -t 1 -c:v mjpeg");
    // The same images, named progressive by their frame headers.
    let mut file = fs::read(&baseline).unwrap();
    let places = file.windows(5).enumerate();
    let headers: Vec<_> = places
        .filter(|(_, five)| *five == [0xff, 0xc0, 0, 17, 8])
        .map(|(place, _)| place + 1)
        .collect();
    assert_eq!(headers.len() as u64, IMAGE_COUNT);
    headers.into_iter().for_each(|place| file[place] = 0xc2);
    fs::write(folder.join("progressive.mp4"), file).unwrap();

    let server = Server::start(&folder, &[folder.path()]);
    let cases = [
        ("full-colour", "images that are 4:4:4: only 4:2:2 and 4:2:0 can be"),
        ("progressive", "images that are progressive: only baseline ones can be"),
        ("large", "images of 2064x64 pixels: only up to 2040x2040 can be"),
    ];
    for (name, reason) in cases {
        let mut client = Client::connect(&server.address);
        let response = client.request("DESCRIBE", &server.url(name), "");
        assert_eq!(response.status, 415, "{}", response.head);
        let status_line = response.head.lines().next().unwrap();
        assert!(status_line.contains(reason), "{status_line}");
    }
    let described =
        Client::connect(&server.address).request("DESCRIBE", &server.url("baseline"), "");
    assert_eq!(described.status, 200);
    let log = server.end().err;
    for (name, reason) in cases {
        let is_told = log.lines().any(|line| line.contains(name) && line.contains(reason));
        assert!(is_told, "{name} is not in the log:\n{log}");
    }
}
