//! Paths that are no files, files that are damaged, and names that nobody can ask for.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::movies::{self, PLAIN};
use crate::program::{Finished, Folder, Server, installed, play, run, serve, weir};
use crate::rtsp::Client;

const LIMIT: Duration = Duration::from_secs(10);

/// A pipe with a name.
fn pipe(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// Runs `weir` with these arguments in `folder`, against a deadline.
fn weir_with(folder: &Folder, arguments: &[&str]) -> Finished {
    let mut command = weir();
    command.current_dir(folder.path()).args(arguments);
    run(command, folder, "program", LIMIT)
}

/// Holds that it was refused, and gives what was said.
fn refused(finished: Finished) -> String {
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.err.starts_with("weir: "), "{finished:?}");
    finished.err
}

/// A copy of a movie for one test, changed by `change`, which gets the place and the size of each
/// packet of its pictures.
fn changed(
    folder: &Folder,
    movie: &Path,
    name: &str,
    change: impl Fn(&mut [u8], &[(usize, usize)]),
) {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v", "-show_entries", "packet=pos,size"]);
    let output = command.args(["-of", "csv=p=0"]).arg(movie).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let packets = text.lines().filter_map(|line| {
        let mut numbers = line.split(',').filter_map(|number| number.parse::<usize>().ok());
        let (size, place) = (numbers.next()?, numbers.next()?);
        Some((place, size))
    });
    let packets: Vec<_> = packets.collect();
    assert!(packets.len() > 30, "{text}");
    let mut bytes = fs::read(movie).unwrap();
    change(&mut bytes, &packets);
    fs::write(folder.join(name), bytes).unwrap();
}

/// A movie made by ffmpeg with these arguments, where it is installed.
fn made(folder: &Folder, name: &str, arguments: &[&str]) -> Option<PathBuf> {
    installed("ffmpeg")?;
    let path = folder.join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y"]).args(arguments).arg(&path);
    assert!(command.status().unwrap().success());
    Some(path)
}

#[test]
fn pipes_and_devices_are_refused_where_files_are_expected_and_nobody_waits_for_them() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("files-pipes");
    pipe(&folder, "pipe.mp4");
    fs::copy(&movie, folder.join("movie.mp4")).unwrap();
    let local = ["--bind", "127.0.0.1", "--rtsp-port", "0"];
    let nobody = "rtsp://127.0.0.1:9/movie";
    for arguments in [
        &["probe", "pipe.mp4"][..],
        &["report", "pipe.mp4"],
        &["serve", "pipe.mp4"],
        &["serve", "/dev/null"],
        &["serve", "--live", "pipe.mp4"],
        &["serve", "--config", "pipe.mp4"],
        &[&["serve", "movie.mp4", "--record", "pipe.mp4"][..], &local].concat(),
        &["play", nobody, "--record", "pipe.mp4", "--no-keys"],
        &["play", nobody, "--packets", "pipe.mp4", "--no-keys"],
        &["play", nobody, "-o", "pipe.mp4", "--no-keys"],
    ] {
        let said = refused(weir_with(&folder, arguments));
        assert!(said.contains("it is no regular file"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_movie_file_that_nothing_comes_for_is_not_left_and_others_formats_are_refused() {
    let folder = Folder::new("files-output");
    let nobody = "rtsp://127.0.0.1:9/movie";
    refused(weir_with(&folder, &["play", nobody, "-o", "out.mp4", "--no-keys"]));
    assert!(!folder.join("out.mp4").exists());
    let said = refused(weir_with(&folder, &["play", nobody, "-o", "out.avi", "--no-keys"]));
    assert!(said.contains("out.avi") && said.contains(".mp4"), "{said}");
    assert!(!folder.join("out.avi").exists());
}

#[test]
fn a_name_that_is_not_utf_8_is_refused_with_the_reason() {
    let folder = Folder::new("files-name");
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.mp4");
    fs::write(folder.join(name), b"whatever").unwrap();
    let mut command = serve(&folder);
    command.arg(name);
    let said = refused(run(command, &folder, "serve", LIMIT));
    assert!(said.contains("not UTF-8"), "{said}");
}

#[test]
fn settings_that_the_system_or_the_machine_cannot_have_are_refused_at_the_start() {
    let folder = Folder::new("files-settings");
    for (settings, told) in [
        ("[rtsp]\ncongestion = \"foo\"\n", ["rtsp.congestion", "foo"]),
        ("cache_mib = 0\n", ["cache_mib", "1 to 1048576"]),
        ("cache_mib = 99999999999\n", ["cache_mib", "1 to 1048576"]),
    ] {
        fs::write(folder.join("weir.toml"), settings).unwrap();
        let said = refused(weir_with(&folder, &["serve", "."]));
        assert!(told.iter().all(|part| said.contains(part)), "{said}");
    }
}

#[test]
fn an_image_that_cannot_be_read_is_left_out_and_the_movie_goes_on() {
    let folder = Folder::new("files-image");
    let arguments = "-f lavfi -i testsrc2=size=320x240:rate=25 -t 2 -c:v mjpeg -pix_fmt yuvj420p";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let Some(movie) = made(&folder, "whole.mp4", &arguments) else {
        return;
    };
    let films = folder.join("films");
    fs::create_dir(&films).unwrap();
    changed(&folder, &movie, "films/images.mp4", |bytes, packets| {
        for (place, size) in [packets[0], packets[20]] {
            bytes[place + 2..place + size.min(300)].fill(0);
        }
    });
    let server = Server::start(&folder, &[&films.join("images.mp4")]);
    for number in 0..2 {
        let name = format!("play{number}");
        let finished = run(play(&server.url("images"), "tcp"), &folder, &name, LIMIT);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!(finished.json()["tracks"][0]["frames"], 48, "{finished:?}");
    }
    let log = server.program.said().1;
    let told: Vec<&str> = log.lines().filter(|line| line.contains("cannot be read")).collect();
    assert_eq!(told.len(), 2, "once each, not once a viewer: {log}");
    assert!(told[1].contains("images.mp4: track 0, sample 20 at byte "), "{log}");
    server.end();
}

#[test]
fn a_play_that_brings_no_packet_fails_and_says_so() {
    let folder = Folder::new("files-nothing");
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let arguments = ["-i", movie.to_str().unwrap(), "-map", "0:v", "-c", "copy"];
    let Some(mute) = made(&folder, "mute.mp4", &arguments) else {
        return;
    };
    changed(&folder, &mute, "dark.mp4", |bytes, packets| {
        for (place, size) in packets {
            bytes[*place..place + size].fill(0);
        }
    });
    let server = Server::start(&folder, &[&folder.join("dark.mp4")]);
    for transport in ["tcp", "udp"] {
        let begun = Instant::now();
        let finished = run(play(&server.url("dark"), transport), &folder, transport, LIMIT);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.err.contains("without one packet of media"), "{finished:?}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    server.end();
}

#[test]
fn what_an_edit_list_cuts_off_the_start_takes_no_time() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("files-edit");
    let movie = movie.to_str().unwrap();
    let arguments = ["-ss", "1.3", "-i", movie, "-t", "3", "-c", "copy"];
    let Some(cut) = made(&folder, "cut.mp4", &arguments) else {
        return;
    };
    let server = Server::start(&folder, &[&cut]);
    let begun = Instant::now();
    let finished = run(play(&server.url("cut"), "tcp"), &folder, "play", LIMIT);
    let lasted = begun.elapsed();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(lasted < Duration::from_millis(4_100), "{lasted:?}: {finished:?}");
    server.end();
}

#[test]
fn a_range_says_where_sending_starts_also_where_sound_begins_before_the_picture() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("files-late");
    let movie = movie.to_str().unwrap();
    let arguments = ["-itsoffset", "1.7", "-i", movie, "-i", movie, "-map", "0:v", "-map", "1:a"];
    let Some(late) = made(&folder, "late.mp4", &[&arguments[..], &["-c", "copy"]].concat()) else {
        return;
    };
    let server = Server::start(&folder, &[&late]);
    let mut client = Client::connect(&server.address);
    let played = client.set_up_and_play(&server.url("late"));
    let range = played.head.lines().find_map(|line| line.strip_prefix("Range: ")).unwrap();
    assert!(range.starts_with("npt=0.0"), "{range}");
    server.end();
}
