//! What a link drops is what the player misses.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_dial::rtsp::Transport;
use weir_link::{GilbertElliott, Loss, Queue, Rate};
use weir_record::event::EndReason;
use weir_record::{Level, Sink};

use crate::movie::{MovieFile, PICTURES_A_SECOND, Shape, movie, movie_of};
use crate::world::{Fates, Pair, Played, count_fates, lost_down, settings};

/// Seeds that each kind of link is tried with.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=50;

fn bursts(mean: f64, burst_packets: f64) -> Loss {
    Loss::GilbertElliott(GilbertElliott::from_mean_and_burst(mean, burst_packets).unwrap())
}

/// What was met with over all seeds.
#[derive(Default)]
struct Met {
    not_begun: u64,
    /// Tracks whose good-bye was dropped, and that therefore do not know their tail.
    tails_unknown: u64,
    /// Tracks with losses before the first or after the last packet received.
    ends_lost: u64,
    queue_drops: u64,
}

/// Plays over links made of different seeds, and compares what the player misses with what the
/// link dropped. `serve` gives the address of what is played.
fn player_misses_what_is_dropped(
    link: impl Fn(u64) -> Pair,
    serve: impl Fn(&Pair) -> String,
) -> Met {
    let mut met = Met::default();
    for seed in SEEDS {
        let pair = link(seed);
        let fates = count_fates(&pair);
        let url = serve(&pair);
        let played = pair.play(settings(&url, Transport::Udp), Level::Second);
        if played.outcome.reason == EndReason::Failed && played.summary.first_byte_ns.is_none() {
            // A burst has taken a request as often as TCP sends it in 10 s.
            met.not_begun += 1;
            continue;
        }
        let reason = played.outcome.reason;
        assert_eq!(reason, EndReason::EndOfStream, "{:?}", played.outcome);
        met.queue_drops += fates.borrow().queue_drops;
        for number in [0, 1] {
            let place = format!("seed {seed}, track {number}");
            compare(&played, number, &fates.borrow(), &place, &mut met);
        }
    }
    assert!(met.not_begun <= 2, "{} plays not begun", met.not_begun);
    assert!(met.tails_unknown <= 10, "{} tails", met.tails_unknown);
    assert!(met.ends_lost > 0, "losses at the ends were met with");
    met
}

fn compare(played: &Played, number: u8, fates: &Fates, place: &str, met: &mut Met) {
    let (track, source) = (played.track(number), played.source(number));
    let count = |counts: &BTreeMap<u32, u64>| counts.get(&source).copied().unwrap_or(0);
    let dropped = count(&fates.dropped);
    assert_eq!(track.packets, Some(count(&fates.carried)), "{place}");
    let disorder = (track.reordered, track.duplicates);
    assert_eq!(disorder, (Some(0), Some(0)), "{place}");
    let head = track.head_lost.unwrap();
    let inside = track.lost.unwrap() + head;
    match track.tail_lost {
        Some(tail) => assert_eq!(inside + tail, dropped, "{place}"),
        None => {
            assert_eq!(count(&fates.good_byes), 0, "{place}: the good-bye came");
            assert!(inside <= dropped, "{place}");
            met.tails_unknown += 1;
        }
    }
    met.ends_lost += u64::from(head + track.tail_lost.unwrap_or(0) > 0);
}

#[test]
fn by_udp_the_loss_is_what_the_link_dropped_packet_by_packet() {
    let file = movie_of("single_loss", Shape::typical(5));
    let link = |seed| Pair::rough(seed, Loss::Independent(0.02));
    player_misses_what_is_dropped(link, |pair| serve_movie(pair, &file));
}

#[test]
fn by_udp_the_loss_is_what_the_link_dropped_in_bursts() {
    let file = movie_of("burst_loss", Shape::typical(5));
    let link = |seed| Pair::rough(seed, bursts(0.02, 3.0));
    player_misses_what_is_dropped(link, |pair| serve_movie(pair, &file));
}

#[test]
fn by_udp_the_loss_of_a_live_stream_is_what_the_link_dropped() {
    let link = |seed| Pair::rough(seed, Loss::Independent(0.02));
    player_misses_what_is_dropped(link, |pair| {
        pair.serve_live(Shape::typical(6), Sink::none());
        // Into the middle of a group of pictures.
        let viewer = pair.viewer.clone();
        let joined = async move { viewer.sleep(Duration::from_millis(2_700)).await };
        pair.world.run(joined).unwrap();
        format!("rtsp://{}/live", pair.address())
    });
}

#[test]
fn by_udp_the_loss_is_what_the_links_queue_dropped() {
    let file = movie_of("queue_loss", Shape::typical(5));
    let link = |seed| {
        let each = weir_link::Settings {
            rate: Rate::bits_per_second(3_000_000),
            queue: Queue::Packets(30),
            delay: Duration::from_millis(20),
            loss: Loss::Independent(0.005),
            ..weir_link::Settings::default()
        };
        Pair::joined(seed, each.clone(), each)
    };
    let met = player_misses_what_is_dropped(link, |pair| serve_movie(pair, &file));
    assert!(met.queue_drops > 100, "{}", met.queue_drops);
}

fn serve_movie(pair: &Pair, file: &MovieFile) -> String {
    pair.serve(vec![file.path.clone()]);
    pair.url(&file.path)
}

#[test]
fn by_tcp_nothing_is_lost_whatever_the_link_drops() {
    let file = movie_of("tcp_loss", Shape::typical(5));
    let mut dropped = 0;
    for seed in SEEDS {
        let loss = match seed % 2 {
            0 => Loss::Independent(0.02),
            _ => bursts(0.01, 4.0),
        };
        let pair = Pair::rough(seed, loss);
        pair.serve(vec![file.path.clone()]);
        let tcp = settings(&pair.url(&file.path), Transport::Tcp);
        let played = pair.play(tcp, Level::Second);
        let reason = played.outcome.reason;
        assert_eq!(reason, EndReason::EndOfStream, "{:?}", played.outcome);
        dropped += lost_down(&pair);
        let picture = played.track(0);
        assert_eq!(picture.frames, Some(u64::from(5 * PICTURES_A_SECOND)));
        for track in &played.summary.tracks {
            let lost = (track.lost, track.head_lost, track.tail_lost);
            assert_eq!(lost, (Some(0), Some(0), Some(0)), "seed {seed}");
            assert_eq!((track.reordered, track.duplicates), (Some(0), Some(0)));
            assert_eq!((track.frames_discarded, track.ip_bytes), (Some(0), None));
        }
    }
    assert!(dropped > 500, "{dropped}");
}

#[test]
fn without_loss_every_frame_and_byte_comes() {
    let file = movie("no_loss", 3);
    let pair = Pair::new(1, 0.0);
    pair.serve(vec![file.path.clone()]);
    let played = pair.play(settings(&pair.url(&file.path), Transport::Udp), Level::Second);
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
    assert_eq!(summary.warning_texts, Vec::new());
    assert_eq!(summary.warnings + summary.errors + summary.records_dropped, 0);
}

#[test]
fn seconds_add_up_to_the_totals() {
    let file = movie("seconds", 4);
    let pair = Pair::new(2, 0.05);
    pair.serve(vec![file.path.clone()]);
    let played = pair.play(settings(&pair.url(&file.path), Transport::Udp), Level::Second);
    let without_totals = played.records.iter().filter(|r| r.event.name() != "track_total");
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

#[test]
fn gaps_are_the_runs_of_packets_that_were_missed() {
    let file = movie("gaps", 4);
    let pair = Pair::new(2, 0.05);
    pair.serve(vec![file.path.clone()]);
    let played = pair.play(settings(&pair.url(&file.path), Transport::Udp), Level::Second);
    for track in &played.summary.tracks {
        let gaps = played.records.iter().filter_map(|record| match &record.event {
            weir_record::Event::Gap(gap) if gap.track == track.track => Some(gap.count),
            _ => None,
        });
        let gaps: Vec<u64> = gaps.collect();
        assert_eq!(track.gaps, Some(gaps.len() as u64));
        assert_eq!(track.gap_packets_max, gaps.iter().copied().max());
        // Nothing came late: what was missing stayed so.
        assert_eq!(track.lost, Some(gaps.iter().sum()));
        assert_eq!(track.frames_incomplete, track.frames_discarded);
    }
    let picture = played.track(0);
    assert!(picture.gaps > Some(1) && picture.frames_incomplete > Some(0), "{picture:?}");
    assert!(weir_player::show::summary(&played.summary).contains("gaps "));
}
