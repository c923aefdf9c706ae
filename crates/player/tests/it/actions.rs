//! What a player is told while it plays.

use std::time::Duration;

use weir_dial::rtsp::Transport;
use weir_player::rtsp::{Action, Actions, Settings};
use weir_record::event::EndReason;
use weir_record::{Event, Level};

use crate::movie::movie;
use crate::world::{Pair, Played, settings};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Plays a movie of 20 s; at these times, from the call on, these actions are asked for.
fn play(test: &str, asked: &[(u64, &[Action])], change: impl Fn(&mut Settings)) -> Played {
    let file = movie(test, 20);
    let pair = Pair::new(4, 0.0);
    pair.serve(vec![file.path.clone()]);
    let mut settings = settings(&pair.url(&file.path), Transport::Udp);
    change(&mut settings);
    let (actions, host) = (settings.actions.clone(), pair.viewer.clone());
    let asked: Vec<(u64, Vec<Action>)> =
        asked.iter().map(|(at, what)| (*at, what.to_vec())).collect();
    pair.viewer.spawn(async move {
        let start = host.now();
        for (at, what) in asked {
            host.sleep_until(start + secs(at)).await;
            for action in what {
                assert!(actions.push(action));
            }
        }
    });
    pair.play(settings, Level::Second)
}

/// Where the server was asked to play from.
fn starts(played: &Played) -> Vec<u64> {
    let starts = played.records.iter().filter_map(|record| match &record.event {
        Event::Playing(playing) => playing.from_ns,
        _ => None,
    });
    starts.collect()
}

#[test]
fn a_pause_and_its_end_may_come_at_once() {
    let asked: &[(u64, &[Action])] =
        &[(2, &[Action::Pause, Action::Resume, Action::Pause]), (10, &[Action::Resume])];
    let played = play("keys_pause", asked, |_| {});
    assert_eq!(played.outcome.reason, EndReason::EndOfStream, "{:?}", played.outcome);
    let count = |name: &str| played.names().iter().filter(|other| **other == name).count();
    assert_eq!((count("paused"), count("playing")), (2, 3));
    let picture = played.track(0);
    assert_eq!((picture.lost, picture.frames_discarded), (Some(0), Some(0)));
}

#[test]
fn what_changes_nothing_is_not_asked_of_the_server() {
    let asked: &[(u64, &[Action])] =
        &[(1, &[Action::Resume]), (2, &[Action::Pause, Action::Pause]), (3, &[Action::Stop])];
    let played = play("keys_idle", asked, |_| {});
    assert_eq!(played.outcome.reason, EndReason::Stopped);
    let count = |name: &str| played.names().iter().filter(|other| **other == name).count();
    assert_eq!((count("paused"), count("playing")), (1, 1));
}

#[test]
fn steps_go_from_the_place_that_was_asked_for_last_and_stay_within_the_movie() {
    let forward = Action::Forward(secs(4));
    let asked: &[(u64, &[Action])] = &[
        (1, &[forward, forward]),
        (3, &[Action::Back(secs(100))]),
        (5, &[Action::Forward(secs(100))]),
    ];
    let played = play("keys_steps", asked, |_| {});
    assert_eq!(played.outcome.reason, EndReason::EndOfStream, "{:?}", played.outcome);
    let seconds: Vec<u64> = starts(&played).iter().map(|at| at / 1_000_000_000).collect();
    let [0, first, second, 0, last] = seconds[..] else { panic!("{seconds:?}") };
    assert_eq!((second - first, last), (4, 19), "{seconds:?}");
}

#[test]
fn a_place_past_the_end_is_told_and_the_play_goes_on() {
    let asked: &[(u64, &[Action])] = &[(1, &[Action::Seek(secs(100))]), (4, &[Action::Stop])];
    let played = play("keys_past", asked, |_| {});
    assert_eq!(played.outcome.reason, EndReason::Stopped, "{:?}", played.outcome);
    let texts = &played.summary.warning_texts;
    assert!(texts[0].contains("457") && texts[0].contains("lasts 20 s"), "{texts:?}");
    assert!(played.track(0).frames > Some(100));
}

#[test]
fn to_start_past_the_end_is_a_failure_that_tells_how_long_the_movie_is() {
    let played = play("from_past", &[], |settings| settings.dial.from = Some(secs(100)));
    assert_eq!(played.outcome.reason, EndReason::Failed);
    let text = played.outcome.text.as_deref().unwrap();
    assert!(text.contains("457 Invalid Range"), "{text}");
    assert!(text.ends_with("asked for 100 s, and the stream lasts 20 s"), "{text}");
    assert!(weir_player::show::advice(played.outcome.error.as_ref().unwrap()).is_some());
}

#[test]
fn a_stop_is_heard_while_the_player_connects() {
    let pair = Pair::new(1, 0.0);
    // Packets to a host that is not there are never answered.
    let settings = settings("rtsp://10.9.9.9/movie", Transport::Udp);
    let actions: Actions = settings.actions.clone();
    let host = pair.viewer.clone();
    pair.viewer.spawn(async move {
        actions.push(Action::Pause);
        host.sleep(Duration::from_millis(1)).await;
        actions.push(Action::Stop);
    });
    let played = pair.play(settings, Level::Second);
    assert!(played.summary.lasted_ns < Some(3_000_000_000), "{:?}", played.summary);
}
