//! A run depends on its seed alone: the same seed gives the same records in another process.
#![allow(clippy::disallowed_methods, reason = "the test runs itself once more, as another program")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use weir_dial::rtsp::Transport;
use weir_link::{GilbertElliott, Loss};
use weir_player::rtsp::{Action, play};
use weir_player::{Recorder, header};
use weir_record::{Level, Role, queue};

use crate::movie::{Shape, path_of, write};
use crate::world::{Pair, settings};

/// Where the other process writes its files.
const FOLDER_VARIABLE: &str = "WEIR_REPLAY_FOLDER";
const TEST: &str = "replay::a_seed_gives_the_same_records_in_two_processes_and_another_one_others";

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = path_of(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_seed_gives_the_same_records_in_two_processes_and_another_one_others() {
    if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
        return run_all(Path::new(&folder), 5);
    }
    let [here, there, other] = ["here", "there", "other"].map(Folder::new);
    run_all(&here.0, 5);
    run_all(&other.0, 6);
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST])
        .env(FOLDER_VARIABLE, &there.0)
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    for run in RUNS {
        for file in FILES {
            let read = |folder: &Folder| std::fs::read(folder.0.join(run.file(file))).unwrap();
            let name = run.file(file);
            let bytes = read(&here);
            assert!(bytes.len() > 100, "{name}");
            assert!(bytes == read(&there), "{name} differs from process to process");
            assert!(bytes != read(&other), "{name} is the same with another seed");
        }
    }
    let packets = std::fs::read_to_string(here.0.join(RUNS[0].file("player"))).unwrap();
    assert!(packets.contains("rtp_packet"));
}

/// What is played, and how.
#[derive(Clone, Copy)]
struct Run {
    name: &'static str,
    is_live: bool,
    transport: Transport,
}

impl Run {
    fn file(&self, of: &str) -> String {
        format!("{}-{of}.jsonl", self.name)
    }
}

const fn run(name: &'static str, is_live: bool, transport: Transport) -> Run {
    Run { name, is_live, transport }
}

const RUNS: [Run; 4] = [
    run("movie-udp", false, Transport::Udp),
    run("movie-tcp", false, Transport::Tcp),
    run("live-udp", true, Transport::Udp),
    run("live-tcp", true, Transport::Tcp),
];

/// The records of player and server, and what crossed the link.
const FILES: [&str; 3] = ["player", "server", "packets"];

fn run_all(folder: &Path, seed: u64) {
    let movie = folder.join("movie.mp4");
    write(&movie, Shape::typical(12));
    for run in RUNS {
        run_one(folder, &movie, seed, run);
    }
}

fn run_one(folder: &Path, movie: &Path, seed: u64, run: Run) {
    let bursts = GilbertElliott::from_mean_and_burst(0.02, 4.0).unwrap();
    let pair = Pair::rough(seed, Loss::GilbertElliott(bursts));
    let (server_sink, server_drain) = queue(Level::Packet, 1 << 18);
    let mut url = pair.url(movie);
    if run.is_live {
        pair.serve_live(Shape::typical(12), server_sink);
        url = format!("rtsp://{}/live", pair.address());
    } else {
        pair.serve_with(vec![movie.to_owned()], server_sink);
    }
    let packets = folder.join(run.file("packets"));
    watch_packets(&pair, packets);
    let mut settings = settings(&url, run.transport);
    if !run.is_live {
        let seconds = Duration::from_secs;
        settings.script = vec![
            (seconds(2), Action::Pause),
            (seconds(4), Action::Resume),
            (seconds(5), Action::Seek(seconds(8))),
        ];
    }
    let files = ["server", "player"].map(|of| folder.join(run.file(of)));
    let (server, viewer) = (pair.server.clone(), pair.viewer.clone());
    let done = pair.world.run(async move {
        let (sink, drain) = queue(Level::Packet, 1 << 18);
        let (mut here, mut there) = (Recorder::new(drain), Recorder::new(server_drain));
        let head = header(&server, Role::Server, BTreeMap::new());
        let made = there.write_to(&server, &files[0], &head, Level::Packet);
        made.await.unwrap();
        let head = header(&viewer, Role::Player, BTreeMap::new());
        let made = here.write_to(&viewer, &files[1], &head, Level::Packet);
        made.await.unwrap();
        // Into the middle of what is live.
        viewer.sleep(Duration::from_millis(2_700)).await;
        let playing = play(&viewer, settings, &sink, |_| {});
        let recording = here.during(&viewer, playing);
        let ((outcome, written), also) = there.during(&server, recording).await;
        written.and(also).unwrap();
        outcome
    });
    let outcome = done.unwrap();
    assert!(outcome.is_success(), "{}: {outcome:?}", run.name);
}

/// Writes a line for each packet on its way, its content included, once the world ends.
fn watch_packets(pair: &Pair, path: PathBuf) {
    let mut lines = Lines { path, text: String::new() };
    pair.world.on_packet(move |packet| {
        let content = packet.datagram.unwrap_or_default().chunks(8).map(|part| {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            u64::from_le_bytes(word)
        });
        let digest = content.fold(0, |digest, word| weir_time::hash([digest, word]));
        let weir_net::sim::PacketEvent { at, from, to, ip_bytes, fate, .. } = packet;
        let at = at.as_nanos();
        writeln!(lines.text, "{at} {from} {to} {ip_bytes} {fate:?} {digest:x}").unwrap();
    });
}

struct Lines {
    path: PathBuf,
    text: String,
}

impl Drop for Lines {
    fn drop(&mut self) {
        std::fs::write(&self.path, &self.text).unwrap();
    }
}
