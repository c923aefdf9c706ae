//! Movies that cannot be read as a whole: what can be read is played.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use weir_link::Settings as Link;
use weir_media::mp4::FragmentWriter;
use weir_net::sim::World;
use weir_proto::rtcp;
use weir_record::{Event, Level, Record};
use weir_server::{Hub, Library, LiveFile, Server, Settings, Stream};
use weir_time::Instant;

use crate::raw::Raw;
use crate::stream::{RATE, frame, track};

const FRAMES: u64 = 180;
const FRAME_BYTES: usize = 500;
/// Frames from one key frame to the next.
const GOP: u64 = 60;

/// A movie file that is gone with it.
struct MovieFile(PathBuf);

impl MovieFile {
    /// Pictures without sound, of which those that `is_damaged` names say that they are longer
    /// than they are.
    fn new(name: &str, is_damaged: impl Fn(u64) -> bool) -> MovieFile {
        let mut writer = FragmentWriter::new(&[track()]).unwrap();
        let mut file = writer.init_segment().to_vec();
        for number in 0..FRAMES {
            file.extend(writer.push(&frame(number, FRAME_BYTES)).unwrap().into_iter().flatten());
        }
        file.extend(writer.finish());
        let length = (FRAME_BYTES as u32).to_be_bytes();
        let mut number = 0;
        for at in 0..file.len() - 8 {
            let is_picture = file[at..at + 4] == length && file[at + 5..at + 8] == [0x80; 3];
            if is_picture && matches!(file[at + 4], 0x65 | 0x41) {
                file[at] = if is_damaged(number) { 0xff } else { 0 };
                number += 1;
            }
        }
        assert_eq!(number, FRAMES);
        let folder = std::env::temp_dir().join(format!("weir-damage-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.mp4"));
        std::fs::write(&path, file).unwrap();
        MovieFile(path)
    }
}

impl Drop for MovieFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What a viewer of a movie got in 20 s, and what the server wrote down.
fn watch(name: &str, path: &Path) -> (Raw, Vec<Record>) {
    let world = World::new(5);
    let (server, client) = (world.host("server"), world.host("client"));
    world.join(&client, &server, Link::default(), Link::default()).unwrap();
    let address = SocketAddr::new(server.addresses()[0], 8554);
    let (sink, mut drain) = weir_record::queue(Level::Event, 1000);
    let hub = Hub::new(Library::new(vec![path.to_owned()]), 1 << 20);
    let running = Server::start(&server, &hub, Settings::default(), sink).unwrap();
    let url = format!("rtsp://server/{name}");
    let host = client.clone();
    let seen = world.run(async move {
        let mut viewer = Raw::connect(&host, address).await;
        viewer.play_live(&url).await;
        viewer.watch(Instant::from_millis(20_000)).await;
        viewer
    });
    drop(running);
    let mut records = Vec::new();
    drain.take(&mut records);
    (seen.unwrap(), records)
}

/// When the first good-bye came.
fn good_bye(viewer: &Raw) -> Option<Instant> {
    let reports = viewer.reports.iter();
    let is_bye = |packet: &rtcp::Packet| matches!(packet, rtcp::Packet::Goodbye(_));
    let mut byes = reports.filter(|(_, _, data)| rtcp::decode(data).unwrap().iter().any(is_bye));
    byes.next().map(|(at, _, _)| *at)
}

/// What the server said of damage, and how many samples it counted.
fn damage(records: &[Record]) -> (Vec<String>, u64) {
    let failures = records.iter().filter_map(|record| match &record.event {
        Event::Failure(failure) => Some(failure.text.to_string()),
        _ => None,
    });
    let dropped = records.iter().filter_map(|record| match &record.event {
        Event::Dropped(dropped) => Some(dropped.count),
        _ => None,
    });
    (failures.collect(), dropped.sum())
}

#[test]
fn frames_before_damage_are_sent_and_playing_goes_on_at_the_next_key_frame_in_its_time() {
    let movie = MovieFile::new("part", |number| number == 5);
    let (viewer, records) = watch("part", &movie.0);
    let packets = &viewer.packets;
    assert_eq!(packets.len() as u64, 5 + FRAMES - GOP);
    assert!(packets.windows(2).all(|two| two[1].seq == two[0].seq.wrapping_add(1)));
    let ticks = |index: usize| packets[index].time.wrapping_sub(packets[0].time);
    assert_eq!([ticks(4), ticks(5)], [4 * 3_000, 60 * 3_000]);
    let waited = packets[5].at.since(packets[0].at).as_millis() as u64;
    assert!(waited.abs_diff(GOP * 1000 / RATE) < 40, "{waited} ms");
    assert!(good_bye(&viewer).is_some());
    let (said, samples) = damage(&records);
    assert_eq!(said.len(), 1, "{said:?}");
    let file = movie.0.display().to_string();
    for part in ["the movie \"part\"", &file, "track 0, sample 5 at byte "] {
        assert!(said[0].contains(part), "{said:?}");
    }
    assert_eq!(samples, GOP - 5);
}

#[test]
fn a_movie_whose_first_group_cannot_be_read_begins_with_the_second() {
    let movie = MovieFile::new("first", |number| number == 0);
    let (viewer, _) = watch("first", &movie.0);
    assert_eq!(viewer.packets.len() as u64, FRAMES - GOP);
    assert!(viewer.packets[0].at < Instant::from_millis(1_000), "{:?}", viewer.packets[0].at);
}

#[test]
fn a_movie_of_which_nothing_can_be_read_is_ended_at_once_with_a_good_bye() {
    let movie = MovieFile::new("all", |_| true);
    let (viewer, records) = watch("all", &movie.0);
    assert!(viewer.packets.is_empty());
    assert!(good_bye(&viewer).is_some_and(|at| at < Instant::from_millis(1_000)));
    assert_eq!(damage(&records).0.len(), 1);
}

#[test]
fn a_live_stream_of_a_file_answers_to_the_full_name_of_the_file_too_and_survives_damage() {
    let movie = MovieFile::new("loop", |number| number == 70);
    let path = movie.0.clone();
    let world = World::new(5);
    let host = world.host("server");
    let runner = host.clone();
    let is_live = world.run(async move {
        let hub = Hub::new(Library::new(Vec::new()), 1 << 20);
        let live = LiveFile::open(&runner, &hub, "loop", &path).await.unwrap();
        let shower = runner.clone();
        runner.spawn(async move {
            let Err(error) = live.run(&shower).await;
            panic!("the live stream has ended: {error}");
        });
        // Three rounds.
        runner.sleep(std::time::Duration::from_secs(20)).await;
        let found = hub.find(&runner, "loop.mp4").await;
        found.is_ok_and(|stream| matches!(stream, Stream::Live(_)))
    });
    assert_eq!(is_live, Some(true));
}
