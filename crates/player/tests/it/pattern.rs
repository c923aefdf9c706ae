//! The live test pattern in a simulated world: drawn and encoded at once, in no virtual time.

use std::time::Duration;

use weir_dial::rtsp::Transport;
use weir_record::{Level, Sink};
use weir_server::{Hub, Library, LivePattern, PatternSettings, Server, Start};

use crate::world::{Pair, Played, settings};

fn watch(seed: u64, start: Start) -> Played {
    let pair = Pair::new(seed, 0.0);
    let hub = Hub::new(Library::new(Vec::new()), 1 << 20);
    let asked = weir_server::Settings { start, ..weir_server::Settings::default() };
    Server::start(&pair.server, &hub, asked, Sink::none()).unwrap();
    let shown = PatternSettings { width: 320, height: 180, ..PatternSettings::default() };
    let (host, runner) = (pair.server.clone(), pair.server.clone());
    let live = LivePattern::open(&host, &hub, "live", &shown, Sink::none()).unwrap();
    assert!(live.live().is_pattern());
    pair.server.spawn(async move {
        let Err(error) = live.run(&runner).await;
        panic!("{error}");
    });
    let url = format!("rtsp://{}/live", pair.address());
    // Joined in the middle of a GOP.
    let clock = pair.server.clone();
    pair.world.run(async move { clock.sleep(Duration::from_millis(2_500)).await });
    let mut settings = settings(&url, Transport::Udp);
    settings.limit = Some(Duration::from_secs(5));
    pair.play(settings, Level::Second)
}

#[test]
fn a_viewer_gets_every_picture_and_all_sound_and_a_seed_replays() {
    let played = watch(3, Start::Keyframe);
    assert!(played.outcome.is_success(), "{:?}", played.outcome);
    let [pictures, sound] = [0, 1].map(|track| played.track(track));
    assert_eq!((pictures.lost, sound.lost), (Some(0), Some(0)), "{:#?}", played.summary);
    // Pictures and packets of 20 ms in 5 s; a viewer begins at a key frame.
    let within = |frames: Option<u64>, most| {
        frames.is_some_and(|count| (most * 2 / 3..=most).contains(&count))
    };
    assert!(within(pictures.frames, 215), "{pictures:#?}");
    assert!(within(sound.frames, 360), "{sound:#?}");
    assert_eq!(played.records, watch(3, Start::Keyframe).records);
}

#[test]
fn a_viewer_who_begins_at_the_next_key_frame_is_given_one() {
    let played = watch(4, Start::Live);
    let first_ns = played.track(0).first_decodable_frame_ns.unwrap();
    // The next one by itself comes 1.5 s later.
    assert!(first_ns < 300_000_000, "{first_ns}");
}
