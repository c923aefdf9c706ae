//! What a link drops is what the player misses.

use weir_dial::rtsp::Transport;
use weir_record::Level;
use weir_record::event::EndReason;

use crate::movie::{PICTURES_A_SECOND, movie};
use crate::world::{Pair, Played, count_fates, lost_down, settings};

#[test]
fn by_udp_the_loss_is_what_the_link_dropped() {
    let file = movie("udp_loss", 5);
    let mut tails_known = 0;
    for seed in 1..=6 {
        let pair = Pair::new(seed, 0.05);
        pair.serve(vec![file.path.clone()]);
        let fates = count_fates(&pair);
        let played = pair.play(
            settings(&pair.url(&file.path), Transport::Udp),
            Level::Second,
        );
        assert_eq!(
            played.outcome.reason,
            EndReason::EndOfStream,
            "{:?}",
            played.outcome
        );
        for number in [0, 1] {
            let track = played.track(number);
            let source = played.source(number);
            let dropped = fates.borrow().dropped.get(&source).copied().unwrap_or(0);
            let carried = fates.borrow().carried.get(&source).copied().unwrap_or(0);
            assert_eq!(track.packets, Some(carried));
            let inside = track.lost.unwrap() + track.head_lost.unwrap();
            match track.tail_lost {
                Some(tail) => {
                    assert_eq!(inside + tail, dropped, "seed {seed}, track {number}");
                    tails_known += 1;
                }
                // The good-bye was among what was dropped.
                None => assert!(inside <= dropped, "seed {seed}, track {number}"),
            }
            assert!(dropped > 0);
        }
    }
    assert!(tails_known >= 8, "{tails_known}");
}

#[test]
fn by_tcp_nothing_is_lost_whatever_the_link_drops() {
    let file = movie("tcp_loss", 5);
    let pair = Pair::new(3, 0.01);
    pair.serve(vec![file.path.clone()]);
    let played = pair.play(
        settings(&pair.url(&file.path), Transport::Tcp),
        Level::Second,
    );
    assert_eq!(
        played.outcome.reason,
        EndReason::EndOfStream,
        "{:?}",
        played.outcome
    );
    assert!(lost_down(&pair) > 0);
    let picture = played.track(0);
    assert_eq!(picture.frames, Some(u64::from(5 * PICTURES_A_SECOND)));
    for track in &played.summary.tracks {
        let lost = (track.lost, track.head_lost, track.tail_lost);
        assert_eq!(lost, (Some(0), Some(0), Some(0)));
        assert_eq!((track.frames_discarded, track.ip_bytes), (Some(0), None));
    }
}

#[test]
fn without_loss_every_frame_and_byte_comes() {
    let file = movie("no_loss", 3);
    let pair = Pair::new(1, 0.0);
    pair.serve(vec![file.path.clone()]);
    let played = pair.play(
        settings(&pair.url(&file.path), Transport::Udp),
        Level::Second,
    );
    let (picture, sound) = (played.track(0), played.track(1));
    assert_eq!((picture.frames, picture.key_frames), (Some(90), Some(3)));
    assert_eq!(sound.frames, Some(140));
    let lost = (picture.lost, picture.head_lost, picture.tail_lost);
    assert_eq!(lost, (Some(0), Some(0), Some(0)));
    let summary = &played.summary;
    // One way and back for the handshake; then DESCRIBE, SETUP twice, and PLAY.
    assert_eq!(summary.connect_ns, Some(20_000_000));
    assert!((100_000_000..130_000_000).contains(&summary.first_byte_ns.unwrap()));
    assert!(summary.first_decodable_frame_ns >= summary.first_byte_ns);
    assert_eq!(
        summary.warnings + summary.errors + summary.records_dropped,
        0
    );
}

#[test]
fn the_same_seed_gives_the_same_records_and_another_one_others() {
    let file = movie("same_seed", 3);
    let run = |seed| -> Played {
        let pair = Pair::new(seed, 0.03);
        pair.serve(vec![file.path.clone()]);
        pair.play(
            settings(&pair.url(&file.path), Transport::Udp),
            Level::Packet,
        )
    };
    let first = run(7);
    assert!(first.names().contains(&"rtp_packet"));
    assert_eq!(first.lines(), run(7).lines());
    assert_ne!(first.lines(), run(8).lines());
}

#[test]
fn seconds_add_up_to_the_totals() {
    let file = movie("seconds", 4);
    let pair = Pair::new(2, 0.05);
    pair.serve(vec![file.path.clone()]);
    let played = pair.play(
        settings(&pair.url(&file.path), Transport::Udp),
        Level::Second,
    );
    let without_totals = played
        .records
        .iter()
        .filter(|r| r.event.name() != "track_total");
    let by_seconds = weir_record::stats::PlaySummary::from_records(without_totals);
    for (total, seconds) in played.summary.tracks.iter().zip(&by_seconds.tracks) {
        assert_eq!(total.lost, seconds.lost);
        assert_eq!(total.expected, seconds.expected);
        assert_eq!(total.frames, seconds.frames);
        assert_eq!(total.frames_discarded, seconds.frames_discarded);
        assert_eq!(total.ip_bytes, seconds.ip_bytes);
        assert_eq!(total.inter_arrival_p99_ns, seconds.inter_arrival_p99_ns);
    }
}
