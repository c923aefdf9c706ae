//! What a file and a stream of it are said to be made of.

use std::time::Duration;

use weir_dial::rtsp::Transport;
use weir_player::probe;
use weir_record::stats::PlaySummary;
use weir_record::{Level, queue};

use crate::movie::{Shape, movie_of};
use crate::world::{Pair, settings};

#[test]
fn a_file_and_the_stream_of_it_are_told_alike() {
    let shape = Shape::typical(6);
    let (pictures, keys, sounds) = (shape.pictures(), shape.key_pictures(), shape.sounds());
    let file = movie_of("probed", shape);
    let pair = Pair::new(1, 0.0);
    pair.serve(vec![file.path.clone()]);
    let mut settings = settings(&pair.url(&file.path), Transport::Udp);
    settings.limit = Some(Duration::from_secs(30));
    let (viewer, path) = (pair.viewer.clone(), file.path.clone());
    let (sink, mut drain) = queue(Level::Second, 1 << 16);
    let (of_file, (outcome, seen)) = pair
        .world
        .run(async move {
            let of_file = probe::file(&viewer, &path).await.unwrap();
            (of_file, probe::stream(&viewer, settings, &sink).await)
        })
        .unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
    let mut records = Vec::new();
    drain.take(&mut records);
    let of_stream = seen.report(&PlaySummary::from_records(&records));
    assert_eq!((of_file.format.as_str(), of_stream.format.as_str()), ("MP4", "RTSP over UDP"));
    // On the wire it is in milliseconds.
    let (here, there) = (of_file.duration_ns.unwrap(), of_stream.duration_ns.unwrap());
    assert!(here.abs_diff(there) <= 1_000_000, "{here} {there}");
    for (here, there) in of_file.tracks.iter().zip(&of_stream.tracks) {
        let expected = if here.kind == Some("video") { pictures } else { sounds };
        assert_eq!((here.frames, there.frames), (Some(expected), Some(expected)));
        assert_eq!((&here.codec, &here.codec_string), (&there.codec, &there.codec_string));
        assert_eq!((here.width, here.height), (there.width, there.height));
        assert_eq!((here.sample_rate_hz, here.channels), (there.sample_rate_hz, there.channels));
        assert_eq!(here.reorder_depth, there.reorder_depth);
        assert_eq!(there.packets_lost, Some(0));
    }
    let (picture, streamed) = (&of_file.tracks[0], &of_stream.tracks[0]);
    assert_eq!(picture.key_frames, Some(keys));
    assert_eq!(picture.frame_rate, streamed.frame_rate);
    // The last GOP of a stream has no next key frame.
    assert_eq!(picture.gop.unwrap().count, keys);
    assert_eq!(streamed.gop.unwrap().count, keys - 1);
    assert_eq!(picture.gop.unwrap().frames_max, streamed.gop.unwrap().frames_max);
    assert!(of_stream.in_words().contains("H.264"), "{}", of_stream.in_words());
}
