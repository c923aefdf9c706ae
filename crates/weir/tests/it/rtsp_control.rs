//! Control of a session over RTSP 1.0: ranges, pauses, single tracks, speeds.

use std::process::Command;
use std::time::Duration;

use crate::movies::{self, PLAIN};
use crate::program::{Folder, Server, assert_serves_on, installed};
use crate::rtsp::Client;

/// A server with the plain movie: 6 s, key frames at 0, 2 and 4 s, picture and sound.
struct Scene {
    folder: Folder,
    server: Server,
    name: String,
    url: String,
}

impl Scene {
    fn new(test: &str) -> Option<Scene> {
        let movie = movies::movie(&PLAIN)?;
        let folder = Folder::new(test);
        let server = Server::start(&folder, &[&movie]);
        let name = movie.file_stem().unwrap().to_str().unwrap().to_owned();
        let url = server.url(&name);
        Some(Scene { folder, server, name, url })
    }

    /// A client with both tracks set up: channels 0 to 3.
    fn ready(&self) -> Client {
        let mut client = Client::connect(&self.server.address);
        for track in [0, 1] {
            assert_eq!(client.set_up(&self.url, track).status, 200);
        }
        client
    }

    fn end(self) {
        assert_serves_on(&self.server, &self.folder, &self.name);
        self.server.end();
    }
}

/// Sequence numbers of the packets on the picture's channel.
fn sequence(packets: &[(u8, Vec<u8>)]) -> Vec<u16> {
    let pictures = packets.iter().filter(|(channel, _)| *channel == 0);
    pictures.map(|(_, bytes)| u16::from_be_bytes([bytes[2], bytes[3]])).collect()
}

/// Whether a good-bye (RFC 3550 section 6.6) came on a channel, in or behind a report.
fn said_goodbye(packets: &[(u8, Vec<u8>)], channel: u8) -> bool {
    let mut reports = packets.iter().filter(|(other, _)| *other == channel);
    reports.any(|(_, bytes)| {
        let mut at = 0;
        while let Some(head) = bytes.get(at..at + 4) {
            if head[1] == 203 {
                return true;
            }
            at += 4 * (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1);
        }
        false
    })
}

#[test]
fn every_legal_range_is_answered_with_what_is_played() {
    let Some(scene) = Scene::new("control-ranges") else {
        return;
    };
    let mut client = scene.ready();
    for (asked, played) in [
        ("npt=0-", "npt=0.000-6"),
        ("npt=5-", "npt=4.000-6"),
        ("npt=2-3.5", "npt=2.000-3.500"),
        ("npt=0:00:02.5-0:00:05", "npt=2.000-5.000"),
        ("npt=2-100", "npt=2.000-6"),
        ("npt=2", "npt=2.000-6"),
        ("npt=4.0-;time=19970123T153600Z", "npt=4.000-6"),
    ] {
        let response = client.request("PLAY", &scene.url, &format!("Range: {asked}\r\n"));
        let range = response.field("Range").unwrap_or_default();
        assert!(response.status == 200 && range.starts_with(played), "{asked}: {response:?}");
    }
    for (asked, status) in [
        ("npt=6.5-", 457),
        ("npt=0:01:00-", 457),
        ("npt=3-2", 457),
        ("npt=-", 457),
        ("npt=-1", 457),
        ("smpte=0:00:01:00-", 501),
        ("clock=19961108T142300Z-", 501),
        ("bytes=0-100", 501),
    ] {
        let response = client.request("PLAY", &scene.url, &format!("Range: {asked}\r\n"));
        assert_eq!(response.status, status, "{asked}: {response:?}");
    }
    assert!(!client.packets(Duration::from_millis(300)).is_empty(), "it plays on");
    scene.end();
}

#[test]
fn a_range_without_a_start_goes_on_from_where_it_is() {
    let Some(scene) = Scene::new("control-from-here") else {
        return;
    };
    let mut client = scene.ready();
    let fresh = client.request("PLAY", &scene.url, "Range: npt=-1\r\n");
    assert_eq!(fresh.field("Range"), Some("npt=0.000-1.000"));
    client.request("PLAY", &scene.url, "Range: npt=4-\r\n");
    client.request("PAUSE", &scene.url, "");
    for range in ["npt=-5", "npt=now-5"] {
        let response = client.request("PLAY", &scene.url, &format!("Range: {range}\r\n"));
        let played = response.field("Range").unwrap();
        assert!(played.starts_with("npt=4.") && played.ends_with("-5.000"), "{range}: {played}");
    }
    scene.end();
}

#[test]
fn play_while_playing_goes_elsewhere_at_once_and_the_numbers_go_on() {
    let Some(scene) = Scene::new("control-seek") else {
        return;
    };
    let mut client = scene.ready();
    client.request("PLAY", &scene.url, "");
    let mut numbers = sequence(&client.packets(Duration::from_millis(500)));
    client.send(
        format!(
            "PLAY {} RTSP/1.0\r\nCSeq: 90\r\nSession: {}\r\nRange: npt=4-\r\n\r\n",
            scene.url,
            client.session()
        )
        .as_bytes(),
    );
    let (before, response) = client.response_behind();
    assert!(response.field("Range").unwrap().starts_with("npt=4.000-"), "{response:?}");
    numbers.extend(sequence(&before));
    let next = numbers.last().unwrap().wrapping_add(1);
    let info = response.field("RTP-Info").unwrap();
    assert!(info.contains(&format!("trackID=0;seq={next};")), "{info}, expected {next}");
    numbers.extend(sequence(&client.packets(Duration::from_millis(500))));
    assert!(numbers.windows(2).all(|two| two[1] == two[0].wrapping_add(1)), "{numbers:?}");
    // Two seconds are left from there, and the end comes with a good-bye.
    client.packets_until(|rest| said_goodbye(rest, 1) && said_goodbye(rest, 3));
    scene.end();
}

#[test]
fn scale_and_speed_are_answered_with_the_one_that_is_used() {
    let Some(scene) = Scene::new("control-speed") else {
        return;
    };
    let mut client = scene.ready();
    let response = client.request("PLAY", &scene.url, "Scale: 2.0\r\nSpeed: 4\r\n");
    assert_eq!(response.status, 200);
    assert_eq!((response.field("Scale"), response.field("Speed")), (Some("1"), Some("1")));
    scene.end();
}

#[test]
fn a_pause_at_a_place_to_come_stops_there_and_play_goes_on_from_there() {
    let Some(scene) = Scene::new("control-pause-later") else {
        return;
    };
    let mut client = scene.ready();
    client.request("PLAY", &scene.url, "");
    let response = client.request("PAUSE", &scene.url, "Range: npt=1-\r\n");
    assert_eq!((response.status, response.field("Range")), (200, Some("npt=1.000-")));
    let packets = client.packets_until_silence(Duration::from_millis(700));
    let pictures = sequence(&packets).len();
    assert!((28..=34).contains(&pictures), "{pictures} pictures of one second");
    assert!(!said_goodbye(&packets, 1), "a pause is no end");
    let last = *sequence(&packets).last().unwrap();
    let play = client.request("PLAY", &scene.url, "");
    let range = play.field("Range").unwrap();
    assert!(range.starts_with("npt=1.") || range.starts_with("npt=0.9"), "{range}");
    let numbers = sequence(&client.packets(Duration::from_millis(300)));
    assert_eq!(numbers.first(), Some(&last.wrapping_add(1)));
    scene.end();
}

#[test]
fn a_pause_at_a_place_that_is_passed_goes_back_there_and_one_out_of_range_is_refused() {
    let Some(scene) = Scene::new("control-pause-back") else {
        return;
    };
    let mut client = scene.ready();
    client.request("PLAY", &scene.url, "Range: npt=2-5\r\n");
    client.packets_until(|packets| sequence(packets).len() >= 20);
    for range in ["npt=1-", "npt=5.5-", "npt=100-", "npt=3-4"] {
        let response = client.request("PAUSE", &scene.url, &format!("Range: {range}\r\n"));
        assert_eq!(response.status, 457, "{range}: {response:?}");
    }
    let response = client.request("PAUSE", &scene.url, "Range: npt=2.1-\r\n");
    assert_eq!((response.status, response.field("Range")), (200, Some("npt=2.100-")));
    assert_eq!(client.request("PAUSE", &scene.url, "").status, 455);
    client.packets(Duration::from_millis(100));
    assert!(client.packets(Duration::from_millis(300)).is_empty());
    let play = client.request("PLAY", &scene.url, "");
    assert_eq!(play.field("Range"), Some("npt=2.000-5.000"), "the key frame before, the old end");
    scene.end();
}

#[test]
fn a_track_that_is_torn_down_gets_a_good_bye_and_the_other_goes_on() {
    let Some(scene) = Scene::new("control-teardown") else {
        return;
    };
    let mut client = scene.ready();
    let picture = format!("{}/trackID=0", scene.url);
    let sound = format!("{}/trackID=1", scene.url);
    assert_eq!(client.request("PLAY", &picture, "").status, 460);
    assert_eq!(client.request("PLAY", &scene.url, "").status, 200);
    client.packets(Duration::from_millis(300));
    let session = client.session().to_owned();
    client.send(
        format!("TEARDOWN {picture} RTSP/1.0\r\nCSeq: 90\r\nSession: {session}\r\n\r\n").as_bytes(),
    );
    let (before, response) = client.response_behind();
    assert!(response.status == 200 && response.field("Session").is_some(), "{response:?}");
    assert!(said_goodbye(&before, 1) && !said_goodbye(&before, 3));
    let after = client.packets(Duration::from_millis(700));
    assert!(after.iter().all(|(channel, _)| *channel >= 2), "the picture still comes");
    assert!(after.iter().filter(|(channel, _)| *channel == 2).count() > 10);
    // Alone in its session, a track may be named itself.
    assert_eq!(client.request("PAUSE", &sound, "").status, 200);
    assert_eq!(client.request("PLAY", &sound, "").status, 200);
    let last = client.request("TEARDOWN", &sound, "");
    assert!(last.status == 200 && last.field("Session").is_none(), "{last:?}");
    assert_eq!(client.request("PLAY", &scene.url, "").status, 454);
    scene.end();
}

#[test]
fn transports_are_taken_in_the_clients_order_and_all_tracks_go_one_way() {
    let Some(scene) = Scene::new("control-transports") else {
        return;
    };
    let mut client = Client::connect(&scene.server.address);
    let list = "Transport: RTP/AVP;multicast,RTP/AVP/RTX;unicast;client_port=4000,RTP/AVP/TCP;unicast;interleaved=2-3,RTP/AVP;unicast;client_port=4000-4001\r\n";
    let response = client.set_up_by(&scene.url, 0, list);
    assert!(response.field("Transport").unwrap().contains("interleaved=2-3"), "{response:?}");
    let udp = "Transport: RTP/AVP;unicast;client_port=4000-4001";
    let mixed = client.set_up_by(&scene.url, 1, &format!("{udp}\r\n"));
    assert!(mixed.status == 461 && mixed.head.contains("go the same way"), "{mixed:?}");
    let either = client.set_up_by(&scene.url, 1, &format!("{udp},RTP/AVP/TCP\r\n"));
    assert!(either.field("Transport").unwrap().contains("interleaved=0-1"), "{either:?}");
    for refused in [
        format!("{udp};destination=192.0.2.99\r\n"),
        format!("{udp};mode=\"RECORD\"\r\n"),
        "Transport: RTP/AVP;multicast;port=4000-4001\r\n".to_owned(),
    ] {
        let mut client = Client::connect(&scene.server.address);
        assert_eq!(client.set_up_by(&scene.url, 0, &refused).status, 461, "{refused}");
    }
    scene.end();
}

#[test]
fn a_movie_that_rtp_cannot_carry_is_refused_at_describe_with_its_codec() {
    let Some(scene) = Scene::new("control-codec") else {
        return;
    };
    installed("ffmpeg").unwrap();
    let films = scene.folder.join("films");
    std::fs::create_dir(&films).unwrap();
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10"])
        .args(["-t", "1", "-c:v", "mpeg4"])
        .arg(films.join("old.mp4"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let server = Server::start(&scene.folder, &[&films]);
    let mut client = Client::connect(&server.address);
    let response = client.request("DESCRIBE", &server.url("old"), "");
    assert_eq!(response.status, 415, "{response:?}");
    assert!(response.head.lines().next().unwrap().contains("mp4v"), "{response:?}");
    let said = server.program.said().1;
    assert!(said.contains("old") && said.contains("mp4v"), "{said}");
    server.end();
    scene.end();
}
