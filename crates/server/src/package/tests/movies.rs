//! Movies: tables of segments, and segments.

use proptest::prelude::*;
use weir_media::mp4::{FragmentWriter, segment};
use weir_media::{Codec, Frame, KeyKind, Kind, MediaTime, Track, TrackId, aac, g711, h264};
use weir_time::Instant;

use super::*;
use crate::package::table::{Starts, Table};

pub(super) fn picture() -> Track {
    let sps = Bytes::from_static(&[0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb]);
    let pps = Bytes::from_static(&[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0]);
    let config = h264::Config::from_parameter_sets(vec![sps], vec![pps]).unwrap();
    Track { id: TrackId(0), codec: Codec::H264(config), clock_rate_hz: 90_000 }
}

pub(super) fn sound(id: u8) -> Track {
    let codec = Codec::Aac(aac::Config::lc(48_000, 2).unwrap());
    Track { id: TrackId(id), codec, clock_rate_hz: 48_000 }
}

pub(super) fn frame(track: u8, pts_ms: i64, dts_ms: i64, key: bool, bytes: usize) -> Frame {
    let time = |ms| MediaTime::from_nanos(ms * 1_000_000);
    let mut payload = vec![0x41; bytes.max(5)];
    payload[..4].copy_from_slice(&(bytes.max(5) as u32 - 4).to_be_bytes());
    payload[4] = if key { 0x65 } else { 0x41 };
    Frame {
        track: TrackId(track),
        pts: time(pts_ms),
        dts: Some(time(dts_ms)),
        duration: None,
        key: if key { KeyKind::Key } else { KeyKind::Delta },
        capture: None,
        arrival: Instant::ZERO,
        discontinuity: false,
        payload: payload.into(),
    }
}

pub(super) fn file(tracks: &[Track], frames: &[Frame]) -> Vec<u8> {
    let mut writer = FragmentWriter::new(tracks).unwrap();
    let mut file = writer.init_segment().to_vec();
    for frame in frames {
        file.extend(writer.push(frame).unwrap().unwrap_or_default());
    }
    file.extend(writer.finish());
    file
}

fn table(tracks: &[Track], frames: &[Frame]) -> (movie::Movie, Table) {
    let movie = validate::movie(&file(tracks, frames), &[]);
    let table = Table::new(&movie);
    (movie, table)
}

/// Every frame is in one segment, segments join, and together they last as long as the track.
fn check(movie: &movie::Movie, table: &Table) -> Result<(), TestCaseError> {
    for rendition in &table.renditions {
        let (mut sample, mut tick) = (0, 0);
        for segment in rendition.segments() {
            prop_assert_eq!(segment.samples.0, sample);
            prop_assert_eq!(segment.ticks.0, tick);
            prop_assert!(segment.samples.1 > segment.samples.0);
            prop_assert!(segment.ticks.1 > segment.ticks.0);
            (sample, tick) = (segment.samples.1, segment.ticks.1);
            let samples = movie.samples(rendition.track.id, segment.samples.0, segment.samples.1);
            let first = samples.into_iter().next().unwrap();
            let starts = first.key.starts() || rendition.starts == Starts::Anywhere;
            prop_assert!(starts, "a segment starts with a key frame");
        }
        prop_assert_eq!(sample, movie.sample_count(rendition.track.id));
        let rate_hz = rendition.track.clock_rate_hz;
        let all = movie.samples(rendition.track.id, 0, u32::MAX);
        let end = all.map(|s| (s.pts + s.duration).to_ticks(rate_hz)).max().unwrap();
        // Each lasts at least a tick, even in a track that lasts none.
        prop_assert!(tick == end || tick <= rendition.count() as i64);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn segments_never_overlap_and_hold_every_frame_once(
        rows in prop::collection::vec((0u8..2, 1i64..900, 0i64..400, 0u8..6, 5usize..200), 1..300),
        is_sound_alone in any::<bool>(),
        late_ms in 0i64..20_000,
    ) {
        let tracks = if is_sound_alone { vec![sound(0)] } else { vec![picture(), sound(1)] };
        let mut dts = [0, late_ms];
        let mut frames = Vec::new();
        for (track, step, shift, key, bytes) in rows {
            let track = if is_sound_alone { 0 } else { track };
            let is_picture = tracks[usize::from(track)].codec.kind() == Kind::Video;
            dts[usize::from(track)] += step;
            let at = dts[usize::from(track)];
            let shift = if is_picture { shift } else { 0 };
            frames.push(frame(track, at + shift, at, key == 0 || !is_picture, bytes));
        }
        frames.sort_by_key(|frame| frame.dts);
        let (movie, table) = table(&tracks, &frames);
        check(&movie, &table)?;
    }
}

#[test]
fn sound_is_cut_at_the_times_of_the_key_frames() {
    let pictures = (0..300).map(|n| frame(0, n * 40, n * 40, n % 25 == 0, 50));
    let sounds = (0..600).map(|n| frame(1, n * 20, n * 20, true, 20));
    let mut frames: Vec<_> = pictures.chain(sounds).collect();
    frames.sort_by_key(|frame| frame.dts);
    let (_, table) = table(&[picture(), sound(1)], &frames);
    let starts = |rendition: &crate::package::table::Rendition| -> Vec<_> {
        rendition.segments().map(|segment| rendition.span((0, segment.ticks.0))).collect()
    };
    let seconds = |s: i64| MediaTime::from_nanos(s * 1_000_000_000);
    assert_eq!(starts(&table.renditions[0]), [seconds(0), seconds(4), seconds(8)]);
    assert_eq!(starts(&table.renditions[1]), [seconds(0), seconds(4), seconds(8)]);
}

#[test]
fn one_key_frame_makes_one_segment_unless_that_would_be_too_large() {
    let frames = |bytes| (0..400).map(move |n| frame(0, n * 40, n * 40, n == 0, bytes));
    let (_, small) = table(&[picture()], &frames(50).collect::<Vec<_>>());
    assert_eq!(small.renditions[0].count(), 1);
    assert_eq!(small.renditions[0].starts, Starts::Alone);
    let (movie, large) = table(&[picture()], &frames(100_000).collect::<Vec<_>>());
    assert_eq!(large.renditions[0].starts, Starts::Anywhere);
    assert!(large.renditions[0].segments().all(|segment| segment.bytes < 17 << 20));
    check(&movie, &large).unwrap();
}

#[test]
fn sound_that_goes_on_behind_the_pictures_is_cut_too() {
    let mut frames: Vec<_> = (0..50).map(|n| frame(0, n * 40, n * 40, n % 25 == 0, 50)).collect();
    frames.extend((0..1000).map(|n| frame(1, n * 20, n * 20, true, 20)));
    frames.sort_by_key(|frame| frame.dts);
    let (movie, table) = table(&[picture(), sound(1)], &frames);
    assert_eq!(table.renditions[1].count(), 5);
    assert_eq!(table.renditions[1].target_duration_s(), 4);
    check(&movie, &table).unwrap();
}

#[test]
fn what_is_not_carried_is_left_out_and_named() {
    let law = g711::Config { law: g711::Law::Mu, sample_rate_hz: 8_000, channels: 1 };
    let voice = Track { id: TrackId(1), codec: Codec::G711(law), clock_rate_hz: 8_000 };
    let mut frames: Vec<_> = (0..50).map(|n| frame(0, n * 40, n * 40, n == 0, 50)).collect();
    frames.extend((0..50).map(|n| frame(1, n * 20, n * 20, true, 160)));
    frames.sort_by_key(|frame| frame.dts);
    let (_, both) = table(&[picture(), voice.clone()], &frames);
    assert_eq!((both.renditions.len(), both.left_out.len()), (1, 1));

    let folder = Folder::new("voice");
    let path = folder.0.join("voice.mp4");
    let alone = Track { id: TrackId(0), ..voice };
    let sounds: Vec<_> = (0..50).map(|n| frame(0, n * 20, n * 20, true, 160)).collect();
    std::fs::write(&path, file(&[alone], &sounds)).unwrap();
    let world = World::new(1);
    let host = world.host("server");
    world.run(async move {
        let stream = Stream::Movie(open(&host, &path).await);
        let client = Client { hub: hub(), host, stream };
        match client.get("index.m3u8").await {
            Err(Refusal::NotCarried(reason)) => assert!(reason.starts_with("G.711"), "{reason}"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn segments_hold_the_frames_of_the_movie_and_playlists_their_times() {
    let pictures = (0..300).map(|n| {
        // Four frames, of which the second is shown last.
        let shown = [1, 4, 2, 3][n as usize % 4] + n / 4 * 4;
        frame(0, shown * 40, n * 40, n % 60 == 0, 3_000 + n as usize)
    });
    let sounds = (0..560).map(|n| frame(1, n * 21, n * 21, true, 100 + n as usize % 50));
    let mut frames: Vec<_> = pictures.chain(sounds).collect();
    frames.sort_by_key(|frame| frame.dts);
    let folder = Folder::new("frames");
    let path = folder.0.join("movie.mp4");
    std::fs::write(&path, file(&[picture(), sound(1)], &frames)).unwrap();
    let world = World::new(1);
    let host = world.host("server");
    world.run(async move {
        let movie = open(&host, &path).await;
        let stream = Stream::Movie(Arc::clone(&movie));
        let client = Client { hub: hub(), host, stream };
        let [variants, renditions] = validate::multivariant(&client.text("index.m3u8").await);
        assert_eq!(variants[0]["CODECS"], "avc1.64001f,mp4a.40.2");
        assert_eq!(variants[0]["FRAME-RATE"], "25.000");
        assert_eq!(renditions[0]["URI"], "audio/index.m3u8");
        for (folder, track) in [("video", TrackId(0)), ("audio", TrackId(1))] {
            let list = client.media(folder).await;
            assert!(list.ended && list.independent);
            let mut index = 0;
            let mut end_s = 0.0;
            for segment in &list.segments {
                let read = client.segment(folder, segment).await;
                let shown = read.samples(TrackId(0), 0, u32::MAX).map(|sample| sample.pts).min();
                let starts_s = shown.unwrap().as_secs_f64();
                let tick_s = 1.0 / f64::from(movie.tracks()[usize::from(track.0)].clock_rate_hz);
                assert!(index == 0 || (starts_s - end_s).abs() <= tick_s, "{folder} {end_s}");
                end_s += segment.duration_s;
                for sample in read.samples(TrackId(0), 0, u32::MAX) {
                    let source = movie.index().sample(track, index).unwrap();
                    assert_eq!((sample.pts, sample.dts), (source.pts, source.dts), "{folder}");
                    assert_eq!(sample.bytes, source.bytes);
                    index += 1;
                }
            }
            assert_eq!(index, movie.index().sample_count(track), "{folder}");
        }
    });
}

#[test]
fn payloads_are_shared_and_reads_are_cached() {
    let frames: Vec<_> = (0..250).map(|n| frame(0, n * 40, n * 40, n % 100 == 0, 2_000)).collect();
    let folder = Folder::new("shared");
    let path = folder.0.join("movie.mp4");
    std::fs::write(&path, file(&[picture()], &frames)).unwrap();
    let world = World::new(1);
    let host = world.host("server");
    world.run(async move {
        let stream = Stream::Movie(open(&host, &path).await);
        let client = Client { hub: hub(), host, stream };
        let first = client.get("video/1.m4s").await.unwrap();
        let again = client.get("video/1.m4s").await.unwrap();
        // The frames follow one another in the file: they are one piece.
        assert_eq!(first.body.len(), 2);
        assert_eq!(first.body[1].len(), 100 * 2_000);
        assert_eq!(first.body[1].as_ptr(), again.body[1].as_ptr());
        assert_eq!(first.etag, again.etag);
        assert!(first.etag.is_some() && first.max_age_s.is_some());
        for path in ["video/0.m4s", "video/4.m4s", "audio/1.m4s", "video/init-2.mp4"] {
            assert!(matches!(client.get(path).await, Err(Refusal::NotFound)), "{path}");
        }
    });
}

#[test]
fn a_damaged_frame_is_left_out_of_its_segment_with_those_that_need_it() {
    let frames: Vec<_> = (0..300).map(|n| frame(0, n * 40, n * 40, n % 100 == 0, 2_000)).collect();
    let folder = Folder::new("damaged");
    let path = folder.0.join("movie.mp4");
    let mut whole = file(&[picture()], &frames);
    let index = validate::movie(&whole, &[]);
    let offset = index.sample(TrackId(0), 105).unwrap().offset as usize;
    // It says that it is longer than it is.
    whole[offset] = 0xff;
    std::fs::write(&path, whole).unwrap();
    let world = World::new(1);
    let host = world.host("server");
    world.run(async move {
        let stream = Stream::Movie(open(&host, &path).await);
        let client = Client { hub: hub(), host, stream };
        let list = client.media("video").await;
        for (segment, count) in list.segments.iter().zip([100, 5, 100]) {
            let read = client.segment("video", segment).await;
            assert_eq!(read.sample_count(TrackId(0)), count);
            let last = read.samples(TrackId(0), 0, u32::MAX).last().unwrap();
            let first = read.sample(TrackId(0), 0).unwrap();
            let lasts_s = (last.dts + last.duration).as_secs_f64() - first.dts.as_secs_f64();
            assert!((lasts_s - segment.duration_s).abs() < 1e-3, "{lasts_s}");
        }
    });
}

#[test]
fn the_table_of_two_hours_has_a_segment_for_each_four_seconds() {
    // Two hours as one fragment of samples without bytes behind them.
    let count = 2 * 3600 * 30;
    let rows: Vec<_> = (0..count)
        .map(|n| segment::Sample {
            duration_ticks: 3_000,
            composition_ticks: [3_000, 9_000, 0, 0][n % 4],
            starts: n % 60 == 0,
            bytes: 8,
        })
        .collect();
    let mut file = segment::init(&picture(), 3_000).unwrap().to_vec();
    file.extend_from_slice(&segment::media_head(Kind::Video, 1, 0, &rows).unwrap());
    file.resize(file.len() + 8 * count, 0);
    let movie = validate::movie(&file, &[]);
    drop(file);
    let table = Table::new(&movie);
    assert_eq!(table.renditions[0].count(), 1_800);
    check(&movie, &table).unwrap();
}
