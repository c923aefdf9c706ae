//! Folders as libraries: movies in every container, bad files among good ones, files that change.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::movies::{self, PLAIN, frames, packets};
use crate::program::{Folder, Running, Server, assert_nothing_lost, assert_serves_on, play};
use crate::rtsp::Client;

/// Twice the movie's length and more.
const LIMIT: Duration = Duration::from_secs(20);

/// The same pictures and sound in another container.
fn remuxed(movie: &Path, to: PathBuf, options: &[&str]) -> PathBuf {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(movie).args(["-c", "copy"]);
    let output = command.args(options).arg(&to).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    to
}

fn names(server: &Server) -> Vec<&str> {
    let streams = server.banner["streams"].as_array().unwrap();
    streams.iter().map(|stream| stream["name"].as_str().unwrap()).collect()
}

fn warnings(server: &Server) -> Vec<&str> {
    let warnings = server.banner["warnings"].as_array().unwrap();
    warnings.iter().map(|warning| warning.as_str().unwrap()).collect()
}

fn status(server: &Server, name: &str) -> u16 {
    Client::connect(&server.address).request("DESCRIBE", &server.url(name), "").status
}

#[test]
fn ffmpeg_plays_flv_and_transport_streams_with_every_frame_and_without_a_warning() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("libraries-containers");
    let films = folder.join("films");
    fs::create_dir(&films).unwrap();
    let files = [
        remuxed(&movie, films.join("flash.FLV"), &["-f", "flv"]),
        remuxed(&movie, films.join("packets.ts"), &[]),
        remuxed(&movie, films.join("disc.m2ts"), &["-mpegts_m2ts_mode", "0"]),
    ];
    let server = Server::start(&folder, &[&films]);
    assert_eq!(names(&server), ["disc", "flash", "packets"]);
    assert!(warnings(&server).is_empty(), "{:?}", server.banner);
    let mut viewers = Vec::new();
    for (file, transport) in files.iter().zip(["tcp", "udp", "tcp"]) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let mut command = Command::new("ffprobe");
        command.args(["-v", "warning", "-rtsp_transport", transport, "-count_packets"]);
        command.args(["-show_entries", "stream=codec_type,nb_read_packets", "-of", "csv=p=0"]);
        command.arg(server.url(name));
        let decoder = Running::start(decodes(&server.url(name), transport), &folder, name);
        let counter = Running::start(command, &folder, &format!("{name}-counter"));
        let own = play(&server.url(name), transport);
        let own = Running::start(own, &folder, &format!("{name}-own"));
        viewers.push((file, decoder, counter, own));
    }
    let expected = frames(&movie);
    for (file, decoder, counter, own) in viewers {
        let finished = decoder.finish(LIMIT);
        assert_eq!((finished.code, finished.err.as_str()), (Some(0), ""), "{file:?}");
        let pictures = finished.out.lines().rev().find_map(|line| line.strip_prefix("frame="));
        assert_eq!(pictures.unwrap().trim(), expected.video.to_string(), "{file:?}");
        let finished = counter.finish(LIMIT);
        assert_eq!((finished.code, finished.err.as_str()), (Some(0), ""), "{file:?}");
        for (kind, count) in [("video", expected.video), ("audio", expected.audio)] {
            let line = finished.out.lines().find_map(|line| line.strip_prefix(kind));
            assert_eq!(line.unwrap().trim_matches(','), count.to_string(), "{file:?} {kind}");
        }
        let finished = own.finish(LIMIT);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_nothing_lost(&finished.json());
    }
    server.end();
}

/// Decodes everything; the number of pictures stands in the report on standard output.
fn decodes(url: &str, transport: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "warning", "-rtsp_transport", transport, "-i", url]);
    command.args([
        "-map",
        "0",
        "-fps_mode",
        "passthrough",
        "-progress",
        "pipe:1",
        "-f",
        "null",
        "-",
    ]);
    command
}

#[test]
fn bad_files_are_told_once_with_path_and_reason_and_hide_no_other() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("libraries-bad");
    let films = folder.join("films");
    fs::create_dir_all(films.join("sub")).unwrap();
    let bytes = fs::read(&movie).unwrap();
    fs::copy(&movie, films.join("good.mp4")).unwrap();
    fs::copy(&movie, films.join("sub/deep.mov")).unwrap();
    fs::write(films.join("good.flv"), b"FLV\x01 and no more").unwrap();
    fs::write(films.join("cut.mp4"), &bytes[..2000]).unwrap();
    fs::write(films.join("empty.ts"), b"").unwrap();
    fs::write(films.join("renamed.mp4"), b"#!/bin/sh\necho no movie\n").unwrap();
    fs::write(films.join("bell\x07.mp4"), &bytes).unwrap();
    symlink("/etc/hostname", films.join("out.mp4")).unwrap();
    symlink("nowhere", films.join("dangling.mp4")).unwrap();
    let server = Server::start(&folder, &[&films]);
    assert_eq!(names(&server), ["good", "sub/deep"]);
    let said = warnings(&server);
    assert_eq!(said.len(), 7, "{said:#?}");
    let log = server.program.said().1;
    for (file, reason) in [
        ("good.flv", "FLV header"),
        ("cut.mp4", "cut off"),
        ("empty.ts", "it is empty"),
        ("renamed.mp4", "no movie"),
        ("bell\\u{7}.mp4", "control characters"),
        ("out.mp4", "leads out of the folder"),
        ("dangling.mp4", "leads to nothing"),
    ] {
        let is_said = |text: &&str| text.contains(file) && text.contains(reason);
        assert_eq!(said.iter().filter(|text| is_said(text)).count(), 1, "{file}: {said:#?}");
        let lines = log.lines().filter(|line| is_said(line)).count();
        assert_eq!(lines, 1, "{file}: {log}");
    }
    for name in ["good", "good.mp4", "sub/deep"] {
        assert_eq!(status(&server, name), 200, "{name}");
    }
    for name in ["out", "dangling", "bell%07", "bell"] {
        assert!((400..500).contains(&status(&server, name)), "{name}");
    }
    // One that cannot be played says so to whoever asks, and not in the log again and again.
    for _ in 0..3 {
        assert!(status(&server, "good.flv") >= 400);
    }
    assert_serves_on(&server, &folder, "good");
    server.end();
}

#[test]
fn no_address_leads_out_of_the_folder() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("libraries-traversal");
    let films = folder.join("films");
    fs::create_dir(&films).unwrap();
    fs::copy(&movie, films.join("good.mp4")).unwrap();
    fs::copy(&movie, folder.join("secret.mp4")).unwrap();
    let server = Server::start(&folder, &[&films]);
    let absolute = folder.join("secret.mp4").display().to_string();
    let names = [
        "../secret.mp4",
        "../secret",
        "%2e%2e/secret.mp4",
        "..%2fsecret.mp4",
        "%2e%2e%2fsecret.mp4",
        "%252e%252e%252fsecret.mp4",
        "..%5csecret.mp4",
        "good/../../secret.mp4",
        "films/../../secret.mp4",
        "good.mp4%00",
        "secret.mp4%00.mp4",
        "%00",
        "%",
        "%zz",
        "%ff%fe",
        &absolute,
        &format!("/{absolute}"),
        "//etc/passwd",
    ];
    for name in names {
        let answered = status(&server, name);
        assert!((400..500).contains(&answered), "{name}: {answered}");
    }
    assert_serves_on(&server, &folder, "good");
    server.end();
}

#[test]
fn a_movie_that_is_replaced_plays_on_for_its_viewers_and_anew_for_others() {
    let (Some(movie), Some(heavy)) = (movies::movie(&PLAIN), movies::movie(&movies::HEAVY)) else {
        return;
    };
    let folder = Folder::new("libraries-replaced");
    let films = folder.join("films");
    fs::create_dir(&films).unwrap();
    fs::copy(&movie, films.join("film.mp4")).unwrap();
    fs::copy(&movie, films.join("gone.mp4")).unwrap();
    let server = Server::start(&folder, &[&films]);
    let viewer = |name: &str, as_: &str| {
        let mut command = play(&server.url(name), "tcp");
        command.arg("-o").arg(folder.join(format!("{as_}.mp4")));
        Running::start(command, &folder, as_)
    };
    let old = [viewer("film", "old"), viewer("gone", "removed")];
    std::thread::sleep(Duration::from_millis(1500));
    fs::copy(&heavy, folder.join("next.mp4")).unwrap();
    fs::rename(folder.join("next.mp4"), films.join("film.mp4")).unwrap();
    fs::remove_file(films.join("gone.mp4")).unwrap();
    let new = viewer("film", "new");
    assert_eq!(status(&server, "gone"), 404);
    for (viewer, name) in old.into_iter().zip(["old", "removed"]) {
        let finished = viewer.finish(LIMIT);
        assert_eq!(finished.code, Some(0), "{name}: {finished:?}");
        assert_nothing_lost(&finished.json());
        let saved = folder.join(format!("{name}.mp4"));
        assert_eq!(packets(&saved, "v"), packets(&movie, "v"), "{name}");
    }
    let finished = new.finish(LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(packets(&folder.join("new.mp4"), "v"), packets(&heavy, "v"));
    server.end();
}

#[test]
fn files_with_one_name_are_told_with_all_their_paths() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("libraries-collide");
    for name in ["a/film.mp4", "a/twin.mp4", "a/twin.mov", "b/film.mp4"] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(&movie, path).unwrap();
    }
    let server = Server::start(&folder, &[folder.join("a"), folder.join("b")]);
    assert_eq!(names(&server), ["film", "twin.mov", "twin.mp4"]);
    let said = warnings(&server);
    assert_eq!(said.len(), 2, "{said:#?}");
    let tells =
        |paths: &[&str]| said.iter().any(|text| paths.iter().all(|path| text.contains(path)));
    assert!(
        tells(&["a/film.mp4", "b/film.mp4"]) && tells(&["a/twin.mp4", "a/twin.mov"]),
        "{said:?}"
    );
    server.end();
}

#[test]
fn a_thousand_movies_are_offered_within_three_seconds_and_pause_nobody() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("libraries-thousand");
    let films = folder.join("films");
    for n in 0..1000 {
        let sub = films.join(format!("season {}", n % 25));
        fs::create_dir_all(&sub).unwrap();
        fs::hard_link(&movie, sub.join(format!("film {n}.mp4")))
            .or_else(|_| fs::copy(&movie, sub.join(format!("film {n}.mp4"))).map(drop))
            .unwrap();
    }
    let begun = Instant::now();
    let server = Server::start(&folder, &[&films]);
    let took = begun.elapsed();
    assert_eq!(names(&server).len(), 1000);
    assert!(took < Duration::from_secs(3), "{took:?}");
    // A viewer through some rescans, and others who ask for what is not there.
    let viewer = play(&server.url("season%207/film%207"), "tcp");
    let mut viewer = Running::start(viewer, &folder, "viewer");
    let mut asked = 0;
    while !viewer.is_over() {
        assert_eq!(status(&server, &format!("film {asked}").replace(' ', "%20")), 404);
        asked += 1;
    }
    let finished = viewer.finish(LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_nothing_lost(&finished.json());
    assert!(asked > 50, "{asked}");
    server.end();
}
