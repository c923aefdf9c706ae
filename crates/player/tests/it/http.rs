//! The player by HTTP on simulated hosts: HLS, DASH and movie files of the server across a link.

use std::time::Duration;

use weir_link::{Loss, Rate};
use weir_player::http::{Settings, play};
use weir_record::event::EndReason;
use weir_record::stats::PlaySummary;
use weir_record::{Level, Record, Sink, queue};
use weir_server::{Hub, Library, LivePattern, PatternSettings, Server};

use crate::movie::{Shape, movie_of};
use crate::world::Pair;

const SECONDS: u32 = 20;
const WAYS: [&str; 3] = ["/index.m3u8", "/manifest.mpd", ".mp4"];

/// The address of what the server has under this name.
fn address(pair: &Pair, name: &str) -> String {
    format!("http://{}:8080/{name}", pair.server.addresses()[0])
}

/// Plays to the end, or for `limit`.
fn watch(pair: &Pair, settings: Settings) -> (PlaySummary, Vec<Record>) {
    let (sink, mut drain) = queue(Level::Second, 1 << 20);
    let viewer = pair.viewer.clone();
    let playing = async move { play(&viewer, settings, &sink, |_| {}).await };
    let outcome = pair.world.run(playing).expect("the play ends");
    assert!(outcome.is_success(), "{outcome:?}");
    let mut records = Vec::new();
    drain.take(&mut records);
    (PlaySummary::from_records(&records), records)
}

/// Plays a movie of the typical shape by `way` over this pair's link.
fn movie(pair: &Pair, way: &str, test: &str) -> (PlaySummary, Vec<Record>) {
    let movie = movie_of(test, Shape::typical(SECONDS));
    pair.serve(vec![movie.path.clone()]);
    let name = movie.path.file_stem().unwrap().to_string_lossy().into_owned();
    watch(pair, Settings::new(address(pair, &format!("{name}{way}"))))
}

fn frames(summary: &PlaySummary) -> Vec<u64> {
    let mut frames: Vec<u64> = summary.tracks.iter().filter_map(|track| track.frames).collect();
    frames.sort_unstable();
    frames
}

#[test]
fn every_frame_comes_by_hls_by_dash_and_in_a_file_over_a_link_that_loses() {
    let shape = Shape::typical(SECONDS);
    for (way, test) in WAYS.into_iter().zip(["sim-hls", "sim-dash", "sim-file"]) {
        let pair = Pair::rough(7, Loss::Independent(0.01));
        let (summary, _) = movie(&pair, way, test);
        assert_eq!(frames(&summary), [shape.pictures(), shape.sounds()], "{way}");
        assert_eq!(summary.ended, Some(EndReason::EndOfStream), "{way}");
        assert_eq!(summary.stalls, Some(0), "{way}");
        let startup = Duration::from_nanos(summary.startup_ns.expect("it began"));
        // With a loss of 1 % and 40 ms the link carries some 4 Mbit/s, and a segment has 1.3 MB.
        assert!(startup < Duration::from_secs(6), "{way}: {startup:?}");
    }
}

#[test]
fn a_seed_gives_the_same_records() {
    let run = || movie(&Pair::rough(11, Loss::Independent(0.02)), "/index.m3u8", "sim-seed").1;
    let (one, other) = (run(), run());
    assert!(one.len() > 20, "{}", one.len());
    assert!(one == other);
}

#[test]
fn a_link_slower_than_the_movie_stalls_it_and_the_stalls_are_told() {
    let narrow =
        weir_link::Settings { rate: Rate::bits_per_second(1_500_000), ..Default::default() };
    let pair = Pair::joined(3, narrow.clone(), narrow);
    let (summary, _) = movie(&pair, "/index.m3u8", "sim-narrow");
    assert!(summary.stalls > Some(0), "{summary:#?}");
    let shape = Shape::typical(SECONDS);
    assert_eq!(frames(&summary), [shape.pictures(), shape.sounds()]);
    // 20 s of 2.6 Mbit/s need 35 s there; what is not startup is stalls.
    let waited_ns = summary.startup_ns.unwrap() + summary.stalled_ns.unwrap();
    assert!((8e9..25e9).contains(&(waited_ns as f64)), "{summary:#?}");
}

#[test]
fn the_live_pattern_by_hls_has_the_age_of_each_picture() {
    let pair = Pair::new(5, 0.0);
    let hub = Hub::new(Library::new(Vec::new()), 1 << 20);
    Server::start(&pair.server, &hub, weir_server::Settings::default(), Sink::none()).unwrap();
    let shown = PatternSettings { width: 320, height: 180, ..PatternSettings::default() };
    let (host, runner) = (pair.server.clone(), pair.server.clone());
    let live = LivePattern::open(&host, &hub, "live", &shown, Sink::none()).unwrap();
    pair.server.spawn(async move {
        let Err(error) = live.run(&runner).await;
        panic!("{error}");
    });
    let clock = pair.server.clone();
    pair.world.run(async move { clock.sleep(Duration::from_secs(15)).await });
    let mut settings = Settings::new(address(&pair, "live/index.m3u8"));
    settings.limit = Some(Duration::from_secs(8));
    settings.reads_time_code = true;
    let (summary, _) = watch(&pair, settings);
    let latency = summary.latency.expect("the strip was read");
    assert!(latency.frames > 100, "{latency:#?}");
    let p50 = Duration::from_nanos(latency.p50_ns.expect("pictures were read"));
    assert!((Duration::from_secs(1)..Duration::from_secs(15)).contains(&p50), "{p50:?}");
}
