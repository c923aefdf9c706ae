//! `weir serve` by HTTP: curl and ffmpeg, and what should not be reached.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::json;

use crate::movies::{self, INDEX_LAST, PLAIN, frames};
use crate::program::{Folder, Server, installed, run, serve, weir};

const LIMIT: Duration = Duration::from_secs(30);

/// A server with this movie, and the address of its HTTP.
fn served(folder: &Folder, movie: &Path) -> (Server, String) {
    let films = folder.join("films");
    fs::create_dir_all(films.join("sub folder")).unwrap();
    fs::copy(movie, films.join("movie.mp4")).unwrap();
    fs::copy(movie, films.join("sub folder/100% \u{1f438}.mp4")).unwrap();
    fs::write(folder.join("secret.txt"), "secret").unwrap();
    fs::write(films.join("secret.mp4"), "secret").unwrap();
    let server = Server::start(folder, &[films]);
    let base = format!("http://{}", server.banner["http"].as_str().unwrap());
    (server, base)
}

fn curl(arguments: &[&str]) -> Output {
    Command::new("curl").args(["-sS", "--path-as-is", "-m", "20"]).args(arguments).output().unwrap()
}

/// The status that curl gets.
fn status(arguments: &[&str]) -> String {
    let output = curl(&[&["-o", "/dev/null", "-w", "%{http_code}"], arguments].concat());
    String::from_utf8(output.stdout).unwrap()
}

fn has_curl() -> Option<()> {
    let is_there = Command::new("curl").arg("--version").output().is_ok_and(|o| o.status.success());
    if !is_there {
        eprintln!("SKIPPED: curl is not installed");
    }
    is_there.then_some(())
}

#[test]
fn curl_gets_whole_movies_parts_of_them_and_the_right_statuses() {
    let (Some(movie), Some(())) = (movies::movie(&PLAIN), has_curl()) else {
        return;
    };
    let folder = Folder::new("http-curl");
    let (server, base) = served(&folder, &movie);
    let file = fs::read(&movie).unwrap();
    let url = format!("{base}/movie.mp4");
    assert_eq!(curl(&[&url]).stdout, file);
    assert_eq!(curl(&[&format!("{base}/sub%20folder/100%25%20%F0%9F%90%B8.mp4")]).stdout, file);
    assert_eq!(curl(&["-r", "1000-1999", &url]).stdout, file[1000..2000]);
    assert_eq!(curl(&["-r", "-100", &url]).stdout, file[file.len() - 100..]);
    assert_eq!(curl(&["-C", "5000", &url]).stdout, file[5000..]);
    assert_eq!(status(&["-r", "0-9,20-29", &url]), "206");
    assert_eq!(status(&["-r", "99999999-", &url]), "416");
    assert_eq!(status(&["-X", "DELETE", &url]), "405");
    assert_eq!(status(&["-I", &url]), "200");
    let (one, two) = (folder.join("one"), folder.join("two"));
    let etags = [one.to_str().unwrap(), two.to_str().unwrap()];
    assert_eq!(status(&["--etag-save", etags[0], &url]), "200");
    assert_eq!(status(&["--etag-compare", etags[0], &url]), "304");
    assert_eq!(status(&["-H", "A: b", "-o", etags[1], &base]), "200");
    let sessions = curl(&[&format!("{base}/api/v1/sessions")]).stdout;
    let sessions: serde_json::Value = serde_json::from_slice(&sessions).unwrap();
    let row = &sessions["sessions"][0];
    assert_eq!((&row["stream"], &row["protocol"]), (&json!("movie"), &json!("progressive")));
    assert_eq!(row["identified_by"], "address and agent");
    assert!(row["bytes"].as_u64().unwrap() > file.len() as u64, "{row}");
    assert_eq!(status(&[&format!("{base}/movie")]), "308");
    assert_eq!(status(&["-L", &format!("{base}/movie")]), "200");
    let finished = server.end();
    assert!(!finished.err.contains("ERROR"), "{}", finished.err);
}

#[test]
fn nothing_outside_of_the_folders_is_reached_and_nothing_that_is_no_movie() {
    let (Some(movie), Some(())) = (movies::movie(&PLAIN), has_curl()) else {
        return;
    };
    let folder = Folder::new("http-outside");
    let (server, base) = served(&folder, &movie);
    for path in [
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "movie/../../secret.txt",
        "sub%20folder/..%2f..%2fsecret.txt",
        "../../../../../../etc/passwd",
        "//etc/passwd",
        "/etc/passwd",
        "secret.txt",
        "secret.mp4",
        "secret",
        "secret/",
        "assets/../../Cargo.toml",
        "assets/..%2f..%2fCargo.toml",
        "assets//etc/passwd",
        "movie.mp4%00.txt",
        "..%5c..%5csecret.txt",
        "%c0%ae%c0%ae/secret.txt",
    ] {
        let output = curl(&["-w", "\n%{http_code}", &format!("{base}/{path}")]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.ends_with("\n404") || text.ends_with("\n400"), "{path}: {text}");
        assert!(!text.contains("root:") && !text.starts_with("secret"), "{path}: {text}");
    }
    server.end();
}

#[test]
fn ffmpeg_decodes_all_of_a_movie_and_seeks_in_it() {
    for recipe in [&PLAIN, &INDEX_LAST] {
        let Some(movie) = movies::movie(recipe) else {
            return;
        };
        let folder = Folder::new("http-ffmpeg");
        let (server, base) = served(&folder, &movie);
        let expected = frames(&movie);
        let url = format!("{base}/movie.mp4");
        let decode = |before: &[&str]| {
            let mut command = Command::new("ffmpeg");
            command.args(["-v", "error", "-nostdin"]).args(before).args(["-i", &url]);
            command.args(["-map", "0:v", "-f", "framecrc", "-"]);
            let finished = run(command, &folder, "ffmpeg", LIMIT);
            assert_eq!((finished.code, &*finished.err), (Some(0), ""), "{finished:?}");
            finished.out.lines().filter(|line| !line.starts_with('#')).count() as u64
        };
        assert_eq!(decode(&[]), expected.video);
        let behind = decode(&["-ss", "4"]);
        assert!(behind > 0 && behind < expected.video / 2, "{behind} of {expected:?}");
        server.end();
    }
}

#[test]
fn a_busy_http_port_is_refused_with_the_options_that_help() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("http-busy");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut command = weir();
    command.current_dir(folder.path()).arg("serve").arg(&movie);
    command.args(["--bind", "127.0.0.1", "--rtsp-port", "0", "--http-port", &port]);
    let finished = run(command, &folder, "serve", LIMIT);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    for said in [&*port, "HTTP", "--http-port 0", "--no-http"] {
        assert!(finished.err.contains(said), "{said}: {}", finished.err);
    }
}

#[test]
fn without_http_there_is_none_and_settings_say_so_too() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("http-none");
    let start = |arguments: &[&str]| {
        let mut command = weir();
        command.current_dir(folder.path());
        command.args(["serve", "--bind", "127.0.0.1", "--rtsp-port", "0", "--json"]);
        command.arg(&movie).args(arguments);
        Server::of(crate::program::Running::start(command, &folder, "server"))
    };
    let server = start(&["--no-http"]);
    assert!(server.banner.get("http").is_none(), "{}", server.banner);
    server.end();
    fs::write(folder.join("weir.toml"), "[http]\nenabled = false\n").unwrap();
    let server = start(&[]);
    assert!(server.banner.get("http").is_none(), "{}", server.banner);
    server.end();
    let server = start(&["--http-port", "0"]);
    assert!(server.banner["http"].is_string(), "{}", server.banner);
    server.end();
}

/// Idle connections of one test; `bench/http` holds ten thousand.
const IDLE: usize = 1000;

#[test]
fn idle_connections_cost_little_and_hinder_nobody() {
    let (Some(movie), Some(())) = (movies::movie(&PLAIN), installed("ffmpeg")) else {
        return;
    };
    let folder = Folder::new("http-idle");
    let films = folder.join("films");
    fs::create_dir_all(&films).unwrap();
    fs::copy(&movie, films.join("movie.mp4")).unwrap();
    let mut command = serve(&folder);
    command.arg(&films);
    let server = Server::of(crate::program::Running::start(command, &folder, "server"));
    let address = server.banner["http"].as_str().unwrap().to_owned();
    let ask = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let mut answer = [0; 1024];
        let bytes = stream.read(&mut answer).unwrap();
        assert!(answer[..bytes].starts_with(b"HTTP/1.1 200"));
    };
    ask(&mut TcpStream::connect(&address).unwrap());
    let before = server.program.memory_bytes();
    let mut idle: Vec<_> = (0..IDLE).map(|_| TcpStream::connect(&address).unwrap()).collect();
    idle.iter_mut().for_each(ask);
    let each = server.program.memory_bytes().saturating_sub(before) / IDLE as u64;
    eprintln!("{each} bytes for each of {IDLE} idle connections");
    assert!(each < 4096, "{each} bytes for each idle connection");
    // Those who have gone quiet are still served.
    idle.iter_mut().take(10).for_each(ask);
    drop(idle);
    server.end();
}
