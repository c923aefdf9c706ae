//! The classroom dialect of the program as a whole: a movie of JPEG images, a client that writes
//! the student's spelling byte for byte, and `weir play`.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::program::{Folder, Server, installed, play, run};

const IMAGES: usize = 40;
const LIMIT: Duration = Duration::from_secs(20);

/// `movie.Mjpeg`: images made by ffmpeg, each behind its length in five digits. `None` without
/// ffmpeg.
fn movie(folder: &Folder) -> Option<PathBuf> {
    installed("ffmpeg")?;
    let count = IMAGES.to_string();
    let pattern = folder.join("%d.jpg");
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=20"])
        .args(["-frames:v", &count, "-q:v", "8"])
        .arg(&pattern)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut movie = Vec::new();
    for number in 1..=IMAGES {
        let image = fs::read(folder.join(format!("{number}.jpg"))).unwrap();
        movie.extend(format!("{:05}", image.len()).into_bytes());
        movie.extend(image);
    }
    let path = folder.join("movie.Mjpeg");
    fs::write(&path, movie).unwrap();
    Some(path)
}

#[test]
fn a_classroom_movie_is_played_whole_and_kept_byte_for_byte() {
    let folder = Folder::new("classroom-play");
    let Some(movie) = movie(&folder) else { return };
    let server = Server::start(&folder, &[&movie]);
    let output = folder.join("kept.mjpeg");
    let mut command = play(&server.url("movie.Mjpeg"), "auto");
    command.args(["--dialect", "classroom", "-o"]).arg(&output);
    let finished = run(command, &folder, "player", LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let summary = finished.json();
    let track = &summary["tracks"][0];
    assert_eq!(track["frames"], IMAGES, "{summary:#}");
    assert_eq!([&track["lost"], &track["head_lost"]], [0, 0], "{summary:#}");
    assert!(track["jitter_ns"].is_null() && track["jitter_against_50ms_ns"].is_u64());
    assert_eq!(summary["transport"], "classroom/udp");
    assert!(fs::read(&output).unwrap() == fs::read(&movie).unwrap());
    server.end();
}

#[test]
fn the_students_spelling_is_served_on_the_port_for_rtsp() {
    let folder = Folder::new("classroom-student");
    let Some(movie) = movie(&folder) else { return };
    let server = Server::start(&folder, &[&movie]);
    let mut control = TcpStream::connect(&server.address).unwrap();
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
    for number in 1..=10u16 {
        let (bytes, _) = media.recv_from(&mut datagram).unwrap();
        assert_eq!(datagram[..4], [[0x80, 26], number.to_be_bytes()].concat()[..]);
        let image = &datagram[12..bytes];
        assert!(image.starts_with(&[0xff, 0xd8]) && image.ends_with(&[0xff, 0xd9]));
    }
    assert!(ask("TEARDOWN \n3").starts_with("RTSP/1.0 200 OK\nCSeq: 3\n"));
    server.end();
}
