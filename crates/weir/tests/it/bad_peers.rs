//! Peers that send nonsense, stop reading or vanish: the server answers, serves on and stays small.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::movies::{self, HEAVY, PLAIN};
use crate::program::{Folder, Server, assert_serves_on, wait_until};
use crate::rtsp::{Client, Message};

/// What the server may use in all, whatever a peer sends.
const MEMORY_BYTES_MAX: u64 = 60 << 20;
/// What it may use for the movie that forty viewers see at once: two stretches of 3 MB, and the rest.
const SHARED_BYTES_MAX: u64 = 30 << 20;

/// A server with one movie, for one test.
struct Scene {
    folder: Folder,
    server: Server,
    name: String,
    url: String,
}

impl Scene {
    fn new(test: &str) -> Option<Scene> {
        let movie = movies::movie(&PLAIN)?;
        Some(Scene::with(test, &[], movie))
    }

    fn with(test: &str, options: &[&str], movie: PathBuf) -> Scene {
        let folder = Folder::new(test);
        let mut arguments: Vec<PathBuf> = options.iter().map(PathBuf::from).collect();
        arguments.push(movie.clone());
        let server = Server::start(&folder, &arguments);
        let name = movie.file_stem().unwrap().to_str().unwrap().to_owned();
        let url = server.url(&name);
        Scene { folder, server, name, url }
    }

    fn connect(&self) -> Client {
        Client::connect(&self.server.address)
    }

    /// Holds that the server is as good as new.
    fn end(self) {
        assert_serves_on(&self.server, &self.folder, &self.name);
        let memory = self.server.program.memory_bytes();
        assert!(memory < MEMORY_BYTES_MAX, "{memory} bytes in use");
        self.server.end();
    }
}

/// The status of the next response, if the server does not close without one.
fn status(client: &mut Client) -> Option<u16> {
    client.response().map(|response| response.status)
}

#[test]
fn a_line_of_a_megabyte_is_answered_with_a_status_of_the_400s_and_closed() {
    let Some(scene) = Scene::new("bad-line") else {
        return;
    };
    for filler in [b'a', b' ', 0, 0xff] {
        let mut client = scene.connect();
        client.send(b"DESCRIBE rtsp://");
        client.send(&vec![filler; 1 << 20]);
        client.send(b" RTSP/1.0\r\nCSeq: 1\r\n\r\n");
        // The rest is on its way when the server answers, and takes the answer away from nobody.
        assert_eq!(status(&mut client), Some(414), "{filler}");
        assert!(client.response().is_none());
    }
    scene.end();
}

#[test]
fn a_line_that_is_too_long_is_told_so() {
    let Some(scene) = Scene::new("bad-line-told") else {
        return;
    };
    let mut client = scene.connect();
    client.send(&[b"OPTIONS rtsp://".as_slice(), &vec![b'a'; 20_000]].concat());
    let status = status(&mut client);
    assert!(status.is_some_and(|status| (400..500).contains(&status)), "{status:?}");
    scene.end();
}

#[test]
fn headers_without_end_are_answered_and_closed_while_they_come() {
    let Some(scene) = Scene::new("bad-headers") else {
        return;
    };
    let mut client = scene.connect();
    client.send(format!("OPTIONS {} RTSP/1.0\r\nCSeq: 1\r\n", scene.url).as_bytes());
    for number in 0..150 {
        client.send(format!("X-Filler-{number}: {}\r\n", "x".repeat(100)).as_bytes());
    }
    let status = status(&mut client);
    assert!(status.is_some_and(|status| (400..500).contains(&status)), "{status:?}");
    let mut endless = scene.connect();
    endless.send(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n");
    for _ in 0..20 {
        endless.send("X-Filler: y\r\n".repeat(10_000).as_bytes());
    }
    let memory = scene.server.program.memory_bytes();
    assert!(memory < MEMORY_BYTES_MAX, "{memory} bytes in use");
    scene.end();
}

#[test]
fn a_body_longer_than_anybody_needs_is_refused_before_it_comes() {
    let Some(scene) = Scene::new("bad-body") else {
        return;
    };
    let mut client = scene.connect();
    for length in ["99999999999999999999", "1000000000", "-1", "ten"] {
        let text = format!(
            "SET_PARAMETER {} RTSP/1.0\r\nCSeq: 1\r\nContent-Length: {length}\r\n\r\n",
            scene.url
        );
        client.send(text.as_bytes());
        let status = status(&mut client);
        assert!(status.is_some_and(|status| (400..500).contains(&status)), "{length}: {status:?}");
        client = scene.connect();
    }
    scene.end();
}

#[test]
fn a_request_without_a_right_cseq_is_answered_with_400() {
    let Some(scene) = Scene::new("bad-cseq") else {
        return;
    };
    for cseq in
        ["", "CSeq: \r\n", "CSeq: minus one\r\n", "CSeq: -1\r\n", "CSeq: 99999999999999999999\r\n"]
    {
        let mut client = scene.connect();
        client.send(format!("OPTIONS {} RTSP/1.0\r\n{cseq}\r\n", scene.url).as_bytes());
        assert_eq!(status(&mut client), Some(400), "{cseq:?}");
    }
    scene.end();
}

#[test]
fn a_cseq_that_jumps_or_repeats_comes_back_as_it_was_sent() {
    let Some(scene) = Scene::new("bad-cseq-order") else {
        return;
    };
    let mut client = scene.connect();
    for cseq in [7, 7, 3, 4_000_000_000_u32, 0] {
        client.send(format!("OPTIONS {} RTSP/1.0\r\nCSeq: {cseq}\r\n\r\n", scene.url).as_bytes());
        let response = client.response().unwrap();
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.field("CSeq"), Some(cseq.to_string().as_str()));
    }
    scene.end();
}

#[test]
fn a_session_that_is_not_there_is_answered_with_454() {
    let Some(scene) = Scene::new("bad-session") else {
        return;
    };
    for method in ["PLAY", "PAUSE", "TEARDOWN"] {
        let mut client = scene.connect();
        let response = client.request(method, &scene.url, "Session: 0123456789abcdef\r\n");
        assert_eq!(response.status, 454, "{method}: {response:?}");
    }
    // Nor may anybody use the session of another connection that is playing, by guessing wrong.
    let mut owner = scene.connect();
    assert_eq!(owner.set_up_and_play(&scene.url).status, 200);
    let mut other = scene.connect();
    assert_eq!(other.request("TEARDOWN", &scene.url, "Session: 1\r\n").status, 454);
    assert!(matches!(owner.next(), Message::Packet { .. }));
    scene.end();
}

#[test]
fn play_and_pause_before_setup_are_refused_and_setup_still_works() {
    let Some(scene) = Scene::new("bad-order") else {
        return;
    };
    let mut client = scene.connect();
    for method in ["PLAY", "PAUSE"] {
        let response = client.request(method, &scene.url, "");
        assert!([454, 455].contains(&response.status), "{method}: {response:?}");
    }
    assert_eq!(client.set_up_and_play(&scene.url).status, 200);
    assert!(matches!(client.next(), Message::Packet { .. }));
    scene.end();
}

#[test]
fn setup_twice_is_answered_and_the_track_plays_once() {
    let Some(scene) = Scene::new("bad-setup") else {
        return;
    };
    let mut client = scene.connect();
    assert_eq!(client.set_up(&scene.url, 0).status, 200);
    let again = client.set_up(&scene.url, 0).status;
    assert!(again == 200 || (400..500).contains(&again), "{again}");
    assert_eq!(client.request("PLAY", &scene.url, "").status, 200);
    let while_playing = client.set_up(&scene.url, 0).status;
    assert!(while_playing == 200 || (400..500).contains(&while_playing), "{while_playing}");
    let mut sequence = Vec::new();
    while sequence.len() < 20 {
        match client.next() {
            Message::Packet { channel: 0, bytes } => {
                sequence.push(u16::from_be_bytes([bytes[2], bytes[3]]))
            }
            Message::Packet { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(sequence.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{sequence:?}");
    scene.end();
}

#[test]
fn tracks_transports_ranges_and_methods_that_are_not_there_are_each_refused_with_their_status() {
    let Some(scene) = Scene::new("bad-values") else {
        return;
    };
    let mut client = scene.connect();
    assert!((400..500).contains(&client.set_up(&scene.url, 9).status));
    let track = format!("{}/trackID=0", scene.url);
    for transport in ["Transport: RAW/RAW/UDP\r\n", "Transport: \r\n", ""] {
        let response = client.request("SETUP", &track, transport);
        assert!([400, 461].contains(&response.status), "{transport:?}: {response:?}");
    }
    let method = client.request("DANCE", &scene.url, "");
    assert!([405, 501].contains(&method.status), "{method:?}");
    assert_eq!(client.set_up(&scene.url, 0).status, 200);
    for range in ["npt=900-", "npt=5-3", "npt=words", "npt=-99999999999999999999"] {
        let response = client.request("PLAY", &scene.url, &format!("Range: {range}\r\n"));
        assert!([400, 457].contains(&response.status), "{range}: {response:?}");
    }
    assert_eq!(client.request("PLAY", &scene.url, "").status, 200);
    scene.end();
}

#[test]
fn interleaved_channels_that_collide_are_refused_with_461_and_the_first_keep_theirs() {
    let Some(scene) = Scene::new("bad-channels") else {
        return;
    };
    let mut client = scene.connect();
    let by = |channels: &str| format!("Transport: RTP/AVP/TCP;unicast;interleaved={channels}\r\n");
    assert_eq!(client.set_up_by(&scene.url, 0, &by("4-5")).status, 200);
    for channels in ["4-5", "5-6", "3-4", "8-8", "255", "300-301"] {
        let refused = client.set_up_by(&scene.url, 1, &by(channels));
        assert_eq!(refused.status, 461, "{channels}: {refused:?}");
        assert!(refused.head.contains("channels"), "{refused:?}");
    }
    assert_eq!(client.set_up_by(&scene.url, 1, &by("7-6")).status, 200);
    assert_eq!(client.request("PLAY", &scene.url, "").status, 200);
    let packets = client.packets(Duration::from_secs(1));
    let on = |channel| packets.iter().filter(|(other, _)| *other == channel).count();
    assert!([4, 5, 6, 7].iter().all(|channel| on(*channel) > 0), "not on all four");
    assert_eq!([4, 5, 6, 7].into_iter().map(on).sum::<usize>(), packets.len());
    scene.end();
}

#[test]
fn each_refusal_stands_in_the_log_with_the_peer_and_the_reason() {
    let Some(scene) = Scene::new("bad-log") else {
        return;
    };
    let mut client = scene.connect();
    let peer = client.socket.local_addr().unwrap().to_string();
    let track = format!("{}/trackID=0", scene.url);
    let at = scene.url.clone();
    client.request("DESCRIBE", &scene.server.url("nowhere"), "");
    client.request("PLAY", &at, "");
    client.request("SETUP", &track, "Transport: RTP/AVP;multicast\r\n");
    client.request("SETUP", &at, "Transport: RTP/AVP/TCP\r\n");
    client.request("OPTIONS", &at, "Require: magic\r\n");
    client.request("DANCE", &at, "");
    client.set_up(&at, 0);
    client.request("PLAY", &at, "Range: npt=900-\r\n");
    client.request("PLAY", &at, "Range: clock=19961108T142300Z-\r\n");
    client.request("GET_PARAMETER", &at, "Content-Length: 3\r\n\r\nfps");
    client.send(b"\r\nnonsense\r\n\r\n");
    assert_eq!(status(&mut client), Some(400));
    let reasons = [
        "there is no stream \"nowhere\"",
        "455 Method Not Valid in This State: PLAY before SETUP",
        "461 Unsupported Transport: multicast is not served",
        "459 Aggregate Operation Not Allowed",
        "551 Option Not Supported: the option magic is not known",
        "501 Not Implemented: the method DANCE is not known",
        "457 Invalid Range: the movie ends at",
        "501 Not Implemented: only npt ranges are understood",
        "451 Parameter Not Understood",
        "400 Bad Request: offset",
    ];
    let last = reasons[reasons.len() - 1];
    wait_until(Duration::from_secs(5), "the last refusal is logged", || {
        scene.server.program.said().1.contains(last)
    });
    let said = scene.server.program.said().1;
    for reason in reasons {
        let line = said.lines().find(|line| line.contains(reason));
        let line = line.unwrap_or_else(|| panic!("{reason:?} is not in the log: {said}"));
        assert!(line.contains(&peer), "{line}");
    }
    scene.end();
}

#[test]
fn garbage_is_answered_or_closed_and_never_takes_the_server_down() {
    let Some(scene) = Scene::new("bad-garbage") else {
        return;
    };
    let mut state = 1_u64;
    let mut noise = |count: usize| -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            bytes.push((state >> 56) as u8);
        }
        bytes
    };
    let mut clients = Vec::new();
    for round in 0..40 {
        let mut client = scene.connect();
        client.send(&noise(1 << (round % 17)));
        clients.push(client);
    }
    for start in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"$\x09\xff\xff",
        b"RTSP/1.0 200 OK\r\n\r\n",
    ] {
        let mut client = scene.connect();
        client.send(start);
        client.send(&noise(10_000));
        clients.push(client);
    }
    // Binary data among the requests of a session that plays.
    let mut player = scene.connect();
    assert_eq!(player.set_up_and_play(&scene.url).status, 200);
    player.send(&[b"$\x01\x00\x40".as_slice(), &noise(64), b"$\x07\x00\x10", &noise(16)].concat());
    let response = player.request("OPTIONS", &scene.url, "");
    assert_eq!(response.status, 200, "{response:?}");
    scene.end();
}

#[test]
fn viewers_that_vanish_are_forgotten_whether_they_close_or_are_reset_or_just_go() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let records = "vanish.jsonl";
    let options = ["--record", records, "--config", "short.toml"];
    let folder = Folder::new("bad-vanish");
    std::fs::write(folder.join("short.toml"), "[rtsp]\nsession_timeout_s = 2\n").unwrap();
    let mut arguments: Vec<PathBuf> = options.iter().map(PathBuf::from).collect();
    arguments.extend([PathBuf::from("--live"), movie.clone()]);
    let server = Server::start(&folder, &arguments);
    let name = movie.file_stem().unwrap().to_str().unwrap().to_owned();
    let url = server.url(&name);
    for round in 0..5 {
        let mut client = Client::connect(&server.address);
        assert_eq!(client.set_up_and_play(&url).status, 200);
        assert!(matches!(client.next(), Message::Packet { .. }));
        // Closing with unread data sends a reset; with all of it read, an orderly end.
        if round % 2 == 0 {
            client.drain_what_is_there();
        } else {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    // A viewer over UDP whose program is gone without a word: its connection stays open.
    let (silent, _sockets) = silent_udp_viewer(&server, &url);
    let left = || {
        let text = std::fs::read_to_string(folder.join(records)).unwrap();
        text.lines().filter(|line| line.contains("\"event\":\"viewer_left\"")).count()
    };
    wait_until(Duration::from_secs(8), "all six viewers are forgotten", || left() == 6);
    drop(silent);
    assert_serves_on(&server, &folder, &name);
    assert!(server.program.memory_bytes() < MEMORY_BYTES_MAX);
    server.end();
}

/// A viewer over UDP that plays and never says anything again.
fn silent_udp_viewer(server: &Server, url: &str) -> (Client, [UdpSocket; 2]) {
    let (rtp, rtcp) = loop {
        let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = rtp.local_addr().unwrap().port();
        if port.is_multiple_of(2)
            && let Ok(rtcp) = UdpSocket::bind(("127.0.0.1", port + 1))
        {
            break (rtp, rtcp);
        }
    };
    let port = rtp.local_addr().unwrap().port();
    let mut client = Client::connect(&server.address);
    let transport = format!("Transport: RTP/AVP;unicast;client_port={port}-{}\r\n", port + 1);
    let response = client.request("SETUP", &format!("{url}/trackID=0"), &transport);
    assert_eq!(response.status, 200, "{response:?}");
    let session = response.field("Session").unwrap().split(';').next().unwrap().to_owned();
    let response = client.request("PLAY", url, &format!("Session: {session}\r\n"));
    assert_eq!(response.status, 200, "{response:?}");
    rtp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert!(rtp.recv(&mut [0; 2000]).is_ok_and(|count| count > 12));
    (client, [rtp, rtcp])
}

#[test]
fn many_requests_whose_answers_nobody_reads_do_not_pile_up() {
    let Some(scene) = Scene::new("bad-unread") else {
        return;
    };
    let mut clients: Vec<Client> = (0..4).map(|_| scene.connect()).collect();
    let describe = format!("DESCRIBE {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", scene.url).repeat(200);
    let until = Instant::now() + Duration::from_secs(3);
    for client in &clients {
        client.socket.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    }
    while Instant::now() < until {
        clients.iter_mut().for_each(|client| client.send(describe.as_bytes()));
    }
    let memory = scene.server.program.memory_bytes();
    assert!(memory < MEMORY_BYTES_MAX, "{memory} bytes in use");
    scene.end();
}

#[test]
fn movie_viewers_that_stop_reading_share_their_memory_and_their_requests_are_answered_later() {
    let Some(movie) = movies::movie(&HEAVY) else {
        return;
    };
    let scene = Scene::with("bad-stops", &[], movie);
    let mut clients: Vec<Client> = (0..40).map(|_| scene.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.set_up_and_play(&scene.url).status, 200);
    }
    std::thread::sleep(Duration::from_secs(4));
    let memory = scene.server.program.memory_bytes();
    assert!(memory < SHARED_BYTES_MAX, "{memory} bytes in use");
    for client in &mut clients {
        assert_eq!(client.request("TEARDOWN", &scene.url, "").status, 200);
    }
    scene.end();
}
