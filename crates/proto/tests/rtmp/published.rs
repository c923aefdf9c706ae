//! Programs that publish to the server's machine.

use weir_proto::rtmp::server::{EndReason, Event};

use super::driver::{Served, listen, serve};
use super::movie::movie;
use super::{Program, has};

/// What is published with such a command line, in which `URL` stands for the address.
fn published(line: &str, record: &str) -> (Served, bool, String) {
    let (listener, port) = listen();
    let url = format!("rtmp://127.0.0.1:{port}/live/key?user=a&pass=b");
    let mut program = Program::start(&line.replace("URL", &url));
    let served = serve(&listener, &mut program, None, record);
    let (content, said) = program.output();
    (served, content, said)
}

/// That the target was understood, and both tracks came before any frame and once.
fn is_whole(served: &Served) {
    let target = served.events.iter().find_map(|event| match event {
        Event::Publish { target, .. } => Some(target),
        _ => None,
    });
    let target = target.unwrap();
    assert_eq!((target.path().as_str(), target.query.as_str()), ("live/key", "user=a&pass=b"));
    let names: Vec<_> = served.stream.tracks.iter().map(|track| track.codec.name()).collect();
    assert_eq!(names, ["H.264", "AAC"]);
    assert_eq!((served.stream.told, &served.stream.refused), (1, &Vec::new()));
    assert!(
        !served.events.iter().any(|e| matches!(e, Event::Refused { .. })),
        "{:?}",
        served.events
    );
}

#[test]
fn ffmpeg_publishes_every_frame_of_a_movie_with_its_times() {
    let Some((path, tracks, frames)) = movie() else { return };
    let line = format!("ffmpeg -v error -i {} -c copy -f flv URL", path.display());
    let (served, content, said) = published(&line, "ffmpeg-publish.bin");
    assert!(content, "{said}");
    is_whole(&served);
    assert_eq!(served.end(), Some(&EndReason::Asked));
    assert_eq!(served.stream.frames.len(), frames.len());
    // ffmpeg makes the first decoding time 0.
    let origin = frames[0].dts.unwrap();
    for track in tracks {
        let sent = frames.iter().filter(|frame| frame.track == track.id);
        let came = served.stream.frames.iter().filter(|frame| frame.track == track.id);
        for (sent, came) in sent.zip(came) {
            let off = (came.pts - (sent.pts - origin)).as_nanos().abs();
            assert!(off <= 1_500_000, "{came:?} is {off} ns off {sent:?}");
            assert_eq!((came.key, &came.payload), (sent.key, &sent.payload));
        }
    }
}

#[test]
fn ffmpeg_publishes_sound_or_picture_alone() {
    let Some((path, ..)) = movie() else { return };
    for (without, name) in [("-an", "H.264"), ("-vn", "AAC")] {
        let line = format!("ffmpeg -v error -i {} {without} -c copy -f flv URL", path.display());
        let (served, content, said) = published(&line, &format!("ffmpeg{without}.bin"));
        assert!(content, "{said}");
        let names: Vec<_> = served.stream.tracks.iter().map(|t| t.codec.name()).collect();
        assert_eq!(names, [name]);
        assert!(served.stream.frames.len() >= 90);
    }
}

#[test]
fn ffmpeg_is_told_why_it_may_not_publish() {
    let Some((path, ..)) = movie() else { return };
    // A path that no packer is there for would not matter; MP3 is told, and the picture goes on.
    let line = format!(
        "ffmpeg -v error -i {} -c:v copy -c:a libmp3lame -ar 44100 -f flv URL",
        path.display()
    );
    let (served, content, said) = published(&line, "ffmpeg-mp3.bin");
    assert!(content, "{said}");
    assert_eq!(served.stream.refused, ["MP3 is not supported: in FLV"]);
    assert_eq!(served.stream.count("H.264"), 90);
}

const GST_SOURCES: &str = "videotestsrc num-buffers=60 ! video/x-raw,width=320,height=180 ! \
    x264enc bframes=2 key-int-max=30 ! video/x-h264,profile=main ! h264parse ! m. \
    audiotestsrc num-buffers=86 ! avenc_aac ! aacparse ! m. flvmux name=m streamable=true !";

#[test]
fn gstreamer_publishes_by_rtmp2sink() {
    if !has("gst-inspect-1.0 rtmp2sink") || !has("gst-inspect-1.0 x264enc") {
        return;
    }
    let line = format!("gst-launch-1.0 -q {GST_SOURCES} rtmp2sink location=URL");
    let (served, content, said) = published(&line, "gst-rtmp2sink.bin");
    assert!(content, "{said}");
    is_whole(&served);
    assert_eq!(served.end(), Some(&EndReason::Asked));
    assert_eq!(served.stream.count("H.264"), 60);
    assert!(served.stream.count("AAC") >= 80);
}

#[test]
fn gstreamer_publishes_by_rtmpsink_which_is_librtmp() {
    if !has("gst-inspect-1.0 rtmpsink") || !has("gst-inspect-1.0 x264enc") {
        return;
    }
    let line = format!("gst-launch-1.0 -q {GST_SOURCES} rtmpsink location=URL");
    let (served, content, said) = published(&line, "gst-rtmpsink.bin");
    assert!(content, "{said}");
    is_whole(&served);
    assert_eq!(served.stream.count("H.264"), 60);
    assert!(served.stream.count("AAC") >= 80);
}
