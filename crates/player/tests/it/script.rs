//! Pauses, seeks and limits.

use std::time::Duration;

use weir_dial::rtsp::Transport;
use weir_player::rtsp::Action;
use weir_record::event::EndReason;
use weir_record::{Event, Level};

use crate::movie::movie;
use crate::world::{Pair, Played, settings};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn play(test: &str, transport: Transport, script: Vec<(Duration, Action)>) -> Played {
    let file = movie(test, 6);
    let pair = Pair::new(4, 0.0);
    pair.serve(vec![file.path.clone()]);
    let mut settings = settings(&pair.url(&file.path), transport);
    settings.script = script;
    let played = pair.play(settings, Level::Second);
    assert_eq!(played.outcome.reason, EndReason::EndOfStream, "{:?}", played.outcome);
    played
}

#[test]
fn a_pause_is_left_out_and_nothing_is_lost_over_it() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let script = vec![(secs(2), Action::Pause), (secs(30), Action::Resume)];
        let played = play("pause", transport, script);
        let picture = played.track(0);
        assert_eq!((picture.lost, picture.tail_lost), (Some(0), Some(0)), "{transport:?}");
        assert_eq!(picture.frames_discarded, Some(0));
        assert!(picture.frames >= Some(180), "{:?}", picture.frames);
        let receiving = picture.receiving_ns.unwrap();
        assert!((5_500_000_000..7_000_000_000).contains(&receiving), "{receiving}");
        assert!(picture.inter_arrival_max_ns < Some(1_000_000_000));
        assert!(played.names().contains(&"paused"));
    }
}

#[test]
fn a_seek_goes_on_elsewhere_without_a_gap_in_the_numbers() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let played = play("seek", transport, vec![(secs(1), Action::Seek(secs(4)))]);
        let picture = played.track(0);
        assert_eq!(
            (picture.lost, picture.head_lost, picture.tail_lost),
            (Some(0), Some(0), Some(0))
        );
        // A second from the start, and two from the place.
        assert!((85..=100).contains(&picture.frames.unwrap()), "{:?}", picture.frames);
        let starts = played.records.iter().filter_map(|record| match &record.event {
            Event::Playing(playing) => playing.from_ns,
            _ => None,
        });
        assert_eq!(starts.collect::<Vec<_>>(), [0, 4_000_000_000]);
    }
}

#[test]
fn a_limit_ends_the_play_without_a_frame_discarded() {
    let file = movie("limit", 6);
    let pair = Pair::new(4, 0.0);
    pair.serve(vec![file.path.clone()]);
    let mut settings = settings(&pair.url(&file.path), Transport::Udp);
    settings.limit = Some(secs(2));
    settings.dial.from = Some(secs(1));
    let played = pair.play(settings, Level::Second);
    assert_eq!(played.outcome.reason, EndReason::Done);
    let picture = played.track(0);
    assert!((60..=63).contains(&picture.frames.unwrap()), "{:?}", picture.frames);
    assert_eq!((picture.frames_discarded, picture.lost), (Some(0), Some(0)));
    assert_eq!(picture.tail_lost, Some(0), "the good-bye behind TEARDOWN is waited for");
}
