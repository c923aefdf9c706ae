//! `weir link udp`, `tcp`, `rtsp` and `relay`: real programs over emulated links, without rights.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::movies::{self, PLAIN, frames};
use crate::players::{TRANSPORTS, ffmpeg_decodes, frames_decoded};
use crate::program::{
    Finished, Folder, Running, Server, assert_nothing_lost, play, run, wait_until, weir,
};

const LIMIT: Duration = Duration::from_secs(30);

/// Relays that run, with what they printed first.
struct Link {
    program: Running,
    banner: Value,
}

impl Link {
    /// `weir link` with these arguments.
    fn start(folder: &Folder, name: &str, arguments: &[&str]) -> Link {
        let mut command = weir();
        command.args(["link"]).args(arguments).arg("--json");
        Link::of(Running::start(command, folder, name))
    }

    fn of(mut program: Running) -> Link {
        wait_until(LIMIT, "the relay prints where it listens", || {
            program.said().0.contains('\n') || program.is_over()
        });
        let (out, err) = program.said();
        let line = out.lines().next().unwrap_or_default();
        let banner = serde_json::from_str(line).unwrap_or_else(|_| panic!("{out}{err}"));
        Link { program, banner }
    }

    fn listen(&self, relay: usize) -> String {
        self.banner["relays"][relay]["listen"].as_str().unwrap().to_owned()
    }

    /// Ends it as Ctrl-C does; what it says last is JSON too.
    fn end(self) -> Finished {
        self.program.signal("INT");
        let finished = self.program.finish(LIMIT);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(!finished.err.contains("panicked"), "{}", finished.err);
        let documents = serde_json::Deserializer::from_str(&finished.out).into_iter::<Value>();
        assert!(documents.map(Result::unwrap).count() >= 2, "{finished:?}");
        finished
    }
}

fn echo_server() -> UdpSocket {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(LIMIT)).unwrap();
    server
}

/// Sends a datagram through a relay and has it sent back.
fn assert_carries_both_ways(listen: &str, server: &UdpSocket) {
    let client = echo_server();
    client.send_to(b"there", listen).unwrap();
    let mut bytes = [0; 100];
    let (count, peer) = server.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..count], b"there");
    server.send_to(b"and back", peer).unwrap();
    assert_eq!(client.recv(&mut bytes).unwrap(), 8);
}

#[test]
fn datagrams_are_relayed_both_ways_and_ctrl_c_ends_with_the_certificate() {
    let folder = Folder::new("relay-udp");
    let server = echo_server();
    let target = server.local_addr().unwrap().to_string();
    let asked = ["udp", "127.0.0.1:0", &target, "--rate", "10mbit", "--delay", "5ms"];
    let link = Link::start(&folder, "udp", &asked);
    assert_eq!(link.banner["relays"][0]["target"], *target);
    assert_carries_both_ways(&link.listen(0), &server);
    link.end();
}

#[test]
fn people_are_told_what_listens_where() {
    let folder = Folder::new("relay-banner");
    let mut command = weir();
    command.args(["link", "tcp", "0", "8080", "--rate", "3mbit", "--delay", "40ms"]);
    let program = Running::start(command, &folder, "tcp");
    wait_until(LIMIT, "it says so", || program.said().0.contains("Ctrl-C"));
    let out = program.said().0;
    assert!(out.starts_with("tcp *:") && out.contains("-> 127.0.0.1:8080"), "{out}");
    assert!(out.contains("3") && out.contains("40ms"), "{out}");
    program.signal("INT");
    assert_eq!(program.finish(LIMIT).code, Some(0));
}

/// A server with the plain movie, a relay to it, and the movie's address through the relay.
fn relayed(folder: &Folder, asked: &[&str]) -> Option<(Server, Link, String, std::path::PathBuf)> {
    let movie = movies::movie(&PLAIN)?;
    let server = Server::start(folder, &[&movie]);
    let address = server.address.clone();
    let link = Link::start(folder, "link", &[&["rtsp", "127.0.0.1:0", &address], asked].concat());
    let name = movie.file_stem().unwrap().to_str().unwrap();
    let url = format!("rtsp://{}/{name}", link.listen(0));
    Some((server, link, url, movie))
}

#[test]
fn a_movie_is_played_through_a_relay_of_rtsp_over_udp_and_tcp() {
    let folder = Folder::new("relay-rtsp");
    let asked = ["--rate", "20mbit", "--delay", "10ms"];
    let Some((server, link, url, movie)) = relayed(&folder, &asked) else { return };
    let expected = frames(&movie);
    let viewers =
        TRANSPORTS.map(|transport| Running::start(play(&url, transport), &folder, transport));
    for (viewer, transport) in viewers.into_iter().zip(TRANSPORTS) {
        let finished = viewer.finish(LIMIT);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let summary = finished.json();
        assert_nothing_lost(&summary);
        assert!(summary["transport"].as_str().unwrap().contains(transport), "{summary:#}");
        let video = summary["tracks"].as_array().unwrap();
        let video = video.iter().find(|track| track["kind"] == "video").unwrap();
        assert_eq!(video["frames"], expected.video, "{transport}: {summary:#}");
    }
    link.end();
    server.end();
}

#[test]
fn loss_hits_media_by_udp_and_is_repaired_in_tcp() {
    let folder = Folder::new("relay-loss");
    let asked = ["--delay", "5ms", "--down-loss", "4%", "--seed", "3"];
    let Some((server, link, url, _)) = relayed(&folder, &asked) else { return };
    let viewers =
        TRANSPORTS.map(|transport| Running::start(play(&url, transport), &folder, transport));
    let [udp, tcp] = viewers.map(|viewer| viewer.finish(LIMIT));
    assert_eq!((udp.code, tcp.code), (Some(0), Some(0)), "{udp:?}{tcp:?}");
    let summary = udp.json();
    let lost: u64 = summary["tracks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|track| track["lost"].as_u64().unwrap_or(0))
        .sum();
    assert!(lost > 0, "{summary:#}");
    assert_nothing_lost(&tcp.json());
    link.end();
    server.end();
}

#[test]
fn ffmpeg_plays_through_a_relay_of_rtsp_with_loss() {
    let folder = Folder::new("relay-ffmpeg");
    let asked = ["--rate", "20mbit", "--delay", "10ms", "--down-loss", "1%"];
    let Some((server, link, url, movie)) = relayed(&folder, &asked) else { return };
    let expected = frames(&movie).video;
    let viewers = TRANSPORTS
        .map(|transport| Running::start(ffmpeg_decodes(&url, transport), &folder, transport));
    for (viewer, transport) in viewers.into_iter().zip(TRANSPORTS) {
        let finished = viewer.finish(LIMIT);
        let decoded = frames_decoded(&finished.out).unwrap_or_else(|| panic!("{finished:?}"));
        match transport {
            "tcp" => assert_eq!(decoded, expected, "{finished:?}"),
            _ => assert!(decoded > expected / 2, "{finished:?}"),
        }
    }
    link.end();
    server.end();
}

/// A short movie of JPEG images; `None` without ffmpeg.
fn classroom_movie(folder: &Folder) -> Option<std::path::PathBuf> {
    crate::program::installed("ffmpeg")?;
    let pattern = folder.join("%d.jpg");
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=20"])
        .args(["-frames:v", "20", "-q:v", "8"])
        .arg(&pattern)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut movie = Vec::new();
    for number in 1..=20 {
        let image = fs::read(folder.join(format!("{number}.jpg"))).unwrap();
        movie.extend(format!("{:05}", image.len()).into_bytes());
        movie.extend(image);
    }
    let path = folder.join("movie.Mjpeg");
    fs::write(&path, movie).unwrap();
    Some(path)
}

#[test]
fn both_classroom_spellings_work_through_a_relay_of_rtsp() {
    let folder = Folder::new("relay-classroom");
    let Some(movie) = classroom_movie(&folder) else { return };
    let server = Server::start(&folder, &[&movie]);
    let asked = ["rtsp", "127.0.0.1:0", &server.address, "--delay", "10ms"];
    let link = Link::start(&folder, "link", &asked);
    let mut command = play(&format!("rtsp://{}/movie.Mjpeg", link.listen(0)), "auto");
    command.args(["--dialect", "classroom"]);
    let finished = run(command, &folder, "handout", LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.json()["tracks"][0]["frames"], 20, "{finished:?}");

    let mut control = TcpStream::connect(link.listen(0)).unwrap();
    control.set_read_timeout(Some(LIMIT)).unwrap();
    let media = UdpSocket::bind("127.0.0.1:0").unwrap();
    media.set_read_timeout(Some(LIMIT)).unwrap();
    let port = media.local_addr().unwrap().port();
    let mut ask = |request: &str| {
        control.write_all(request.as_bytes()).unwrap();
        let mut reply = [0; 1024];
        let bytes = control.read(&mut reply).unwrap();
        String::from_utf8(reply[..bytes].to_vec()).unwrap()
    };
    let reply = ask(&format!("SETUP movie.Mjpeg\n1\n RTSP/1.0 RTP/UDP {port}"));
    assert!(reply.starts_with("RTSP/1.0 200 OK\nCSeq: 1\nSession: "), "{reply:?}");
    assert!(ask("PLAY \n2").starts_with("RTSP/1.0 200 OK\nCSeq: 2\n"));
    let mut datagram = [0; 20_480];
    for number in 1..=5u16 {
        let (bytes, _) = media.recv_from(&mut datagram).unwrap();
        assert_eq!(datagram[..4], [[0x80, 26], number.to_be_bytes()].concat()[..]);
        assert!(datagram[12..bytes].ends_with(&[0xff, 0xd9]));
    }
    link.end();
    server.end();
}

#[test]
fn http_passes_through_a_relay_of_tcp_with_loss() {
    let folder = Folder::new("relay-http");
    let movie = folder.join("clip.mp4");
    fs::write(&movie, b"not a movie").unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap().to_string();
    let body = vec![7; 300_000];
    let sent = body.clone();
    let serving = std::thread::spawn(move || {
        let (mut connection, _) = server.accept().unwrap();
        let mut request = [0; 4096];
        let count = connection.read(&mut request).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len());
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(&sent).unwrap();
        request[..count].to_vec()
    });
    let asked = ["tcp", "127.0.0.1:0", &target, "--delay", "2ms", "--loss", "2%"];
    let link = Link::start(&folder, "link", &asked);
    let mut client = TcpStream::connect(link.listen(0)).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let request = b"GET /clip.mp4 HTTP/1.1\r\nHost: x\r\nTransport: client_port=1-2\r\n\r\n";
    client.write_all(request).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(&body), "{} bytes", answer.len());
    assert_eq!(serving.join().unwrap(), request);
    link.end();
}

#[test]
fn a_file_describes_several_relays() {
    let folder = Folder::new("relay-file");
    let servers = [echo_server(), echo_server()];
    let file = folder.join("relays.toml");
    let mut text = "seed = 5\n[[link]]\nname = \"shared\"\nrate = \"5mbit\"\n".to_owned();
    for server in &servers {
        let target = server.local_addr().unwrap();
        text += "[[relay]]\nkind = \"udp\"\nlisten = \"127.0.0.1:0\"\nlink = \"shared\"\n";
        text += &format!("target = \"{target}\"\n");
    }
    fs::write(&file, text).unwrap();
    let link = Link::start(&folder, "file", &["relay", file.to_str().unwrap()]);
    assert_eq!(link.banner["seed"], 5);
    for (number, server) in servers.iter().enumerate() {
        assert_eq!(link.banner["relays"][number]["link"], "shared");
        assert_carries_both_ways(&link.listen(number), server);
    }
    link.end();
}

#[test]
fn what_cannot_be_done_is_refused_with_what_to_do() {
    let folder = Folder::new("relay-refused");
    let taken = echo_server();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: [(&[&str], &str); 6] = [
        (&["udp", &taken, "5005"], "another program has this port"),
        (&["udp", "0", "no-such-host.invalid:5005"], "no host is named"),
        (&["udp", "0", "127.0.0.1"], "expected PORT, ADDRESS:PORT or NAME:PORT"),
        (&["udp", "0", "5005", "--rate", "3mbps"], "rate: expected"),
        (&["tcp", "127.0.0.1:5005", "127.0.0.1:5005"], "would send to itself"),
        (&["relay", "no-such-file.toml"], "cannot read no-such-file.toml"),
    ];
    for (arguments, expected) in cases {
        let mut command = weir();
        command.arg("link").args(arguments);
        let finished = run(command, &folder, "refused", LIMIT);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.err.contains(expected), "{expected}: {finished:?}");
    }
}

#[test]
fn somebody_without_rights_can_run_it() {
    let folder = Folder::new("relay-nobody");
    let server = echo_server();
    let target = server.local_addr().unwrap().to_string();
    let program = weir();
    let shared = Path::new("/tmp").join(format!("weir-as-nobody-{}", std::process::id()));
    // Where the tests are built nobody else may look.
    fs::copy(program.get_program(), &shared).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&shared);
    command.args(["link", "udp", "127.0.0.1:0", &target, "--loss", "0%", "--json"]);
    command.current_dir("/tmp");
    let is_able = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&shared)
        .arg("--version")
        .output();
    if is_able.is_ok_and(|output| output.status.success()) {
        let link = Link::of(Running::start(command, &folder, "nobody"));
        assert_carries_both_ways(&link.listen(0), &server);
        link.end();
    } else {
        eprintln!("SKIPPED: this user may not become another");
    }
    let _ = fs::remove_file(&shared);
}
