//! Movie files and files of records.

use std::collections::BTreeMap;

use weir_dial::rtsp::Transport;
use weir_media::movie::{Movie, Opener, Step};
use weir_media::{MediaTime, TrackId};
use weir_player::rtsp::play;
use weir_player::{Recorder, header};
use weir_record::{Level, Line, Reader, Role, queue};

use crate::movie::{MovieFile, movie, path_of};
use crate::world::{Pair, settings};

fn open(file: &[u8]) -> Movie {
    let mut opener = Opener::new(file.len() as u64);
    loop {
        match opener.poll().unwrap() {
            Step::Need { offset, bytes } => {
                opener.feed(offset, file[offset as usize..][..bytes as usize].to_vec()).unwrap();
            }
            Step::Done(movie) => return *movie,
        }
    }
}

#[test]
fn the_movie_file_holds_every_frame_that_came_and_sound_in_step() {
    for (name, transport) in [("copy_udp", Transport::Udp), ("copy_tcp", Transport::Tcp)] {
        let file = movie(name, 3);
        let copy = MovieFile { path: path_of(&format!("{name}-out.mp4")) };
        let pair = Pair::new(1, 0.0);
        pair.serve(vec![file.path.clone()]);
        let mut settings = settings(&pair.url(&file.path), transport);
        settings.movie = Some(copy.path.clone());
        let played = pair.play(settings, Level::Second);
        let written = played.outcome.movie.unwrap();
        assert_eq!((written.frames, written.failed), (230, None));
        let bytes = std::fs::read(&copy.path).unwrap();
        assert_eq!(bytes.len() as u64, written.bytes);
        let movie = open(&bytes);
        let first = |track| movie.sample(TrackId(track), 0).unwrap();
        let (picture, sound) = (first(0), first(1));
        assert_eq!(movie.sample_count(TrackId(0)), 90);
        // Pictures are delayed by the reorder depth that the parameter sets state.
        let apart = (picture.pts - sound.pts).as_nanos().abs();
        assert!(apart < 1_000_000, "{apart} ns apart");
        assert!(movie.duration() >= MediaTime::from_nanos(2_900_000_000));
    }
}

#[test]
fn the_recorder_writes_what_it_makes_the_summary_of() {
    let file = movie("recorder", 2);
    let records = MovieFile { path: path_of("recorder.jsonl") };
    let pair = Pair::new(9, 0.02);
    pair.serve(vec![file.path.clone()]);
    let (host, path) = (pair.viewer.clone(), records.path.clone());
    let settings = settings(&pair.url(&file.path), Transport::Udp);
    let summary = pair.world.run(async move {
        let (sink, drain) = queue(Level::Packet, 10_000);
        let mut recorder = Recorder::new(drain);
        let header = header(&host, Role::Player, BTreeMap::new());
        recorder.write_to(&host, &path, &header, Level::Second).await.unwrap();
        let playing = play(&host, settings, &sink, |_| {});
        let (outcome, written) = recorder.during(&host, playing).await;
        written.unwrap();
        assert!(outcome.is_success());
        recorder.summary()
    });
    let file = std::fs::read(&records.path).unwrap();
    let mut reader = Reader::new(&file[..]).unwrap();
    assert_eq!(reader.header().seed, Some(9));
    let mut read = Vec::new();
    while let Some(line) = reader.read().unwrap() {
        let Line::Known(record) = line else { panic!("{line:?}") };
        read.push(record);
    }
    assert!(read.iter().all(|record| record.event.level() <= Level::Second));
    let again = weir_record::stats::PlaySummary::from_records(&read);
    assert_eq!(Some(again), summary);
}
