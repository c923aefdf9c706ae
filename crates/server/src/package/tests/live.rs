//! Live streams: what a client sees of one while it goes on.

use std::time::Duration;

use proptest::prelude::*;
use weir_media::{Capture, CaptureSource, Frame, Track};
use weir_time::{Instant, Utc};

use super::movies::{frame, picture, sound};
use super::*;
use crate::Publisher;
use crate::package::segmenter::Segmenter;

/// Frames of pictures at 25 a second and sound at 50, from `from_ms` to before `to_ms` on their
/// time line, with a key frame every `gop` frames.
fn frames(from_ms: i64, to_ms: i64, gop: i64) -> Vec<Frame> {
    let pictures = (from_ms / 40..to_ms / 40)
        .map(|n| frame(0, n * 40, n * 40, (n - from_ms / 40) % gop == 0, 400));
    let sounds = (from_ms / 20..to_ms / 20).map(|n| frame(1, n * 20, n * 20, true, 60));
    let mut all: Vec<_> = pictures.chain(sounds).collect();
    all.sort_by_key(|frame| (frame.dts, frame.track));
    all
}

/// Brings frames when they are due, the first at once.
async fn publish(host: &Host, publisher: &mut Publisher, frames: &[Frame]) {
    let (start, first) = (host.now(), frames[0].dts.unwrap());
    for frame in frames {
        host.sleep_until(start + (frame.dts.unwrap() - first).to_duration()).await;
        publisher.push(frame, host.now()).unwrap();
    }
}

/// A client of a stream of pictures and sound, of which these frames come one after another.
fn world(parts: Vec<Vec<Frame>>) -> (World, Client) {
    let world = World::new(1);
    let host = world.host("server");
    let hub = hub();
    let mut publisher = hub.publish("live", vec![picture(), sound(1)]).unwrap();
    let stream = Stream::Live(Arc::clone(publisher.live()));
    let publishing = host.clone();
    host.spawn(async move {
        for part in parts {
            publish(&publishing, &mut publisher, &part).await;
        }
    });
    (world, Client { hub, host, stream })
}

async fn sleep_ms(client: &Client, millis: u64) {
    client.host.sleep(Duration::from_millis(millis)).await;
}

#[test]
fn the_first_viewer_waits_for_the_first_segment_and_later_ones_do_not() {
    let (world, client) = world(vec![frames(0, 20_000, 50)]);
    world.run(async move {
        let start = client.host.now();
        let [variants, renditions] = validate::multivariant(&client.text("index.m3u8").await);
        let waited = client.host.now().since(start);
        assert!((2_000..2_100).contains(&waited.as_millis()), "{waited:?}");
        assert_eq!(variants[0]["CODECS"], "avc1.64001f,mp4a.40.2");
        assert_eq!(variants[0]["FRAME-RATE"], "25.000");
        assert_eq!(renditions.len(), 1);
        let list = client.media("video").await;
        assert_eq!((list.segments.len(), list.target_s, list.ended), (1, 2, false));
        assert_eq!(client.host.now().since(start), waited);
    });
}

#[test]
fn nobody_waits_for_ever() {
    let hub = hub();
    let world = World::new(1);
    let host = world.host("server");
    let publisher = hub.publish("live", vec![picture()]).unwrap();
    world.run(async move {
        let stream = Stream::Live(Arc::clone(publisher.live()));
        let client = Client { hub, host, stream };
        let start = client.host.now();
        assert!(matches!(client.get("index.m3u8").await, Err(Refusal::NotFound)));
        assert_eq!(client.host.now().since(start), Duration::from_secs(12));
    });
}

#[test]
fn a_viewer_who_follows_gets_every_frame_once_at_its_time() {
    let (world, client) = world(vec![frames(5_000, 45_000, 25)]);
    world.run(async move {
        for folder in ["video", "audio"] {
            client.media(folder).await;
        }
        let mut before: Option<[validate::Media; 2]> = None;
        let mut seen: [Vec<(String, f64, movie::Movie)>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..45 {
            let now = [client.media("video").await, client.media("audio").await];
            if let Some(before) = &before {
                validate::follows(&before[0], &now[0]);
                validate::follows(&before[1], &now[1]);
            }
            for (number, folder) in ["video", "audio"].into_iter().enumerate() {
                assert!(now[number].segments.len() <= 6 && now[number].independent);
                for segment in &now[number].segments {
                    if seen[number].iter().all(|(uri, ..)| *uri != segment.uri) {
                        let movie = client.segment(folder, segment).await;
                        seen[number].push((segment.uri.clone(), segment.duration_s, movie));
                    }
                }
            }
            before = Some(now);
            sleep_ms(&client, 1_000).await;
        }
        assert!(before.unwrap()[0].ended);
        for (number, (rate, frame_s)) in
            [(90_000.0, 0.04), (48_000.0, 0.02)].into_iter().enumerate()
        {
            let mut end_s = 0.0;
            let mut count = 0;
            for (uri, duration_s, movie) in &seen[number] {
                for sample in movie.samples(movie.main_track(), 0, u32::MAX) {
                    let expected = f64::from(count) * frame_s;
                    let time = sample.pts.as_secs_f64();
                    assert!((time - expected).abs() <= 1.0 / rate, "{uri}: {time} {expected}");
                    count += 1;
                }
                end_s += duration_s;
                assert!((end_s - f64::from(count) * frame_s).abs() < 1.0 / rate, "{uri}");
            }
            assert_eq!(end_s.round(), 40.0);
        }
    });
}

#[test]
fn segments_that_left_the_window_go_after_a_while() {
    let (world, client) = world(vec![frames(0, 60_000, 25)]);
    world.run(async move {
        sleep_ms(&client, 50_000).await;
        let list = client.media("video").await;
        assert_eq!((list.segments.len(), list.sequence), (6, 19));
        // Clients that have the list before may still ask.
        assert!(client.get("video/18.m4s").await.is_ok());
        let first = client.get("video/1.m4s").await;
        assert!(matches!(first, Err(Refusal::NotFound)), "{first:?}");
        let next = client.get("video/25.m4s").await;
        assert!(matches!(next, Err(Refusal::NotFound)), "{next:?}");
        let kept = client.get("video/24.m4s").await.unwrap();
        assert!(kept.max_age_s.is_some());
        assert!(client.get("video/index.m3u8").await.unwrap().max_age_s.is_none());
    });
}

#[test]
fn a_stream_that_ends_says_so_and_one_of_the_same_name_goes_on_from_there() {
    let (world, client) = world(vec![frames(0, 9_000, 25)]);
    world.run(async move {
        sleep_ms(&client, 5_000).await;
        let early = client.media("video").await;
        sleep_ms(&client, 10_000).await;
        let ended = client.media("video").await;
        assert!(ended.ended && !early.ended);
        assert_eq!(ended.segments.iter().map(|segment| segment.duration_s).sum::<f64>(), 9.0);
        let kept = client.hub.ended("live").expect("it was watched");
        assert!(matches!(&client.stream, Stream::Live(live) if Arc::ptr_eq(live, &kept)));

        let mut again = client.hub.publish("live", vec![picture(), sound(1)]).unwrap();
        assert!(client.hub.ended("live").is_none());
        let client = Client { stream: Stream::Live(Arc::clone(again.live())), ..client };
        publish(&client.host, &mut again, &frames(0, 5_000, 25)).await;
        let list = client.media("video").await;
        let number = list.segments.iter().position(|segment| segment.discontinuity);
        let first = &list.segments[number.expect("a break between the two")];
        assert_eq!((first.map.as_str(), first.uri.as_str()), ("init-2.mp4", "6.m4s"));
        assert!(client.get("video/init.mp4").await.is_ok());
        assert!(client.get("video/init-2.mp4").await.is_ok());
        assert_eq!(list.target_s, ended.target_s);
        assert!(client.text("manifest.mpd").await.matches("<Period").count() == 2);
    });
}

#[test]
fn times_that_step_back_are_a_discontinuity_in_both_playlists() {
    let (world, client) = world(vec![frames(60_000, 65_000, 25), frames(0, 60_000, 25)]);
    world.run(async move {
        sleep_ms(&client, 9_500).await;
        let lists = [client.media("video").await, client.media("audio").await];
        for list in &lists {
            let breaks: Vec<_> =
                list.segments.iter().filter(|segment| segment.discontinuity).collect();
            assert_eq!(breaks.len(), 1, "{list:?}");
            assert_eq!(breaks[0].date.as_deref(), lists[0].segments[3].date.as_deref());
        }
        let text = client.text("manifest.mpd").await;
        assert_eq!(text.matches("<Period").count(), 2, "{text}");
        assert!(text.contains("presentationTimeOffset"));
        sleep_ms(&client, 20_000).await;
        let later = client.media("video").await;
        assert_eq!(later.discontinuity_sequence, 1);
        validate::follows(&lists[0], &client.media("video").await);
    });
}

#[test]
fn other_parameter_sets_bring_a_new_initialization_segment() {
    let mut segmenter = Segmenter::new(&[picture()], None);
    let other = match picture().codec {
        Codec::H264(config) => {
            let pps = Bytes::from_static(&[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc1]);
            let config =
                weir_media::h264::Config::from_parameter_sets(config.sps, vec![pps]).unwrap();
            Track { codec: Codec::H264(config), ..picture() }
        }
        _ => unreachable!(),
    };
    let all: Vec<_> = (0..250).map(|n| frame(0, n * 40, n * 40, n % 25 == 0, 99)).collect();
    for (number, frame) in all.iter().enumerate() {
        if number == 125 {
            segmenter.change(&other);
        }
        segmenter.push(frame, Instant::from_millis(40 * number as u64));
    }
    let lane = &segmenter.lanes[0];
    let rows: Vec<_> = lane.window().map(|each| (each.init, each.epoch.number)).collect();
    let first = rows[0].1;
    let (old, new) = ((1, first), (2, first + 1));
    assert_eq!(rows, [old, old, old, new, new]);
    assert_ne!(lane.init(1), lane.init(2));
}

#[test]
fn without_key_frames_segments_end_and_say_that_they_are_not_independent() {
    let (world, client) =
        world(vec![frames(0, 6_000, 25), frames(6_000, 40_000, 9_999)[1..].to_vec()]);
    world.run(async move {
        sleep_ms(&client, 4_500).await;
        let before = client.media("video").await;
        assert_eq!((before.target_s, before.independent), (2, true));
        sleep_ms(&client, 20_000).await;
        let after = client.media("video").await;
        assert!(!after.independent && after.target_s == 2);
        assert!(after.segments.iter().all(|segment| segment.duration_s > 1.9));
    });
}

#[test]
fn dates_come_from_the_capture_where_it_is_known() {
    let at = Utc::from_nanos(1_700_000_000_000_000_000);
    let parts: Vec<_> = frames(0, 10_000, 25)
        .into_iter()
        .map(|mut frame| {
            let nanos = at.as_nanos() + frame.pts.as_nanos() as u64;
            let source = CaptureSource::TimeCode;
            frame.capture = Some(Capture { at: Utc::from_nanos(nanos), source });
            frame
        })
        .collect();
    let (world, client) = world(vec![parts]);
    world.run(async move {
        sleep_ms(&client, 7_000).await;
        for folder in ["video", "audio"] {
            let list = client.media(folder).await;
            let dates: Vec<_> =
                list.segments.iter().filter_map(|segment| segment.date.as_deref()).collect();
            let expected = [
                "2023-11-14T22:13:20.000Z",
                "2023-11-14T22:13:22.000Z",
                "2023-11-14T22:13:24.000Z",
            ];
            assert_eq!(dates, expected, "{folder}");
        }
        let text = client.text("manifest.mpd").await;
        assert!(text.contains("availabilityStartTime=\"2023-11-14T22:13:20.000Z\""), "{text}");
    });
}

#[test]
fn ffmpeg_reads_a_live_stream_that_has_ended_as_it_was() {
    if !foreign::has("ffmpeg") {
        eprintln!("SKIPPED: ffmpeg is not installed");
        return;
    }
    let folder = Folder::new("live");
    let out = folder.0.clone();
    let (world, client) = world(vec![frames(0, 11_000, 25)]);
    world.run(async move {
        client.media("video").await;
        sleep_ms(&client, 12_000).await;
        client.export(&out).await;
    });
    for (kind, count) in [("v:0", 275), ("a:0", 550)] {
        let list = folder.0.join("index.m3u8");
        let arguments = ["-count_packets", "-select_streams", kind, "-of", "csv=p=0"];
        let shown = ["-show_entries", "stream=nb_read_packets", list.to_str().unwrap()];
        let said = foreign::run("ffprobe", &[&arguments[..], &shown[..]].concat());
        assert!(said.lines().any(|line| line.trim() == count.to_string()), "{kind}: {said}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_times_come_playlists_stay_right(
        rows in prop::collection::vec(
            (0u8..2, -300i64..900, 0i64..120, 0u8..8, 0u8..60, any::<bool>()), 1..400),
        asks in 0usize..400,
    ) {
        let mut segmenter = Segmenter::new(&[picture(), sound(1)], None);
        let mut dts = [0i64; 2];
        let mut now = 0;
        for (number, (track, step, shift, key, odd, has_dts)) in rows.into_iter().enumerate() {
            let step = if odd == 0 { step * 50 } else { step };
            dts[usize::from(track)] += step;
            let at = dts[usize::from(track)];
            let shift = if track == 0 { shift } else { 0 };
            let mut frame = frame(track, at + shift, at, key == 0 || track == 1, 20);
            frame.discontinuity = odd == 1;
            if !has_dts {
                frame.dts = None;
            }
            now += step.max(0) as u64;
            segmenter.push(&frame, Instant::from_millis(now));
            if number == asks {
                segmenter.settle_target_duration_s();
            }
        }
        segmenter.end();
        let target_s = segmenter.settle_target_duration_s();
        for lane in &segmenter.lanes {
            let mut end = 0;
            for (before, segment) in lane.segments.iter().zip(lane.segments.iter().skip(1)) {
                prop_assert_eq!(before.number + 1, segment.number);
                prop_assert!(before.epoch.number <= segment.epoch.number);
            }
            for segment in &lane.segments {
                let span = segment.span(lane.rate_hz());
                prop_assert!(weir_proto::hls::rounded_s(span) <= target_s, "{span:?}");
                let init = lane.init(segment.init).unwrap();
                let movie = validate::movie(&init, &[&segment.pieces.concat()]);
                prop_assert!(movie.sample_count(movie.main_track()) > 0);
                let head = &segment.pieces[0];
                let at = head.windows(4).position(|word| word == b"tfdt").unwrap();
                let decode = u64::from_be_bytes(head[at + 8..at + 16].try_into().unwrap());
                prop_assert!(decode >= end, "decoding times go on");
                end = decode + segment.ticks;
            }
        }
    }
}
