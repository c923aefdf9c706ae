//! `weir play` and the keys: from a pipe, and from a terminal.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::time::Duration;

use serde_json::Value;

use crate::movies::{self, PLAIN};
use crate::program::{Folder, Running, Server, assert_nothing_lost, play, run, wait_until, weir};

const LIMIT: Duration = Duration::from_secs(30);

fn served(folder: &Folder) -> Option<(Server, String)> {
    let movie = movies::movie(&PLAIN)?;
    let server = Server::start(folder, &[&movie]);
    let url = server.url(movie.file_stem().unwrap().to_str().unwrap());
    Some((server, url))
}

/// A player with a pipe to type into, and what it has recorded so far.
struct Player {
    program: Running,
    input: ChildStdin,
    records: std::path::PathBuf,
}

impl Player {
    fn start(url: &str, folder: &Folder) -> Player {
        let records = folder.join("run.jsonl");
        let mut command = play(url, "tcp");
        command.arg("--record").arg(&records);
        let (program, input) = Running::start_with_input(command, folder, "player");
        let player = Player { program, input, records };
        player.wait_for("first_byte", 1);
        player
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn count(&self, event: &str) -> usize {
        let text = fs::read_to_string(&self.records).unwrap_or_default();
        text.matches(&format!("\"event\":\"{event}\"")).count()
    }

    fn wait_for(&self, event: &str, count: usize) {
        wait_until(LIMIT, &format!("{count} of {event}"), || self.count(event) >= count);
    }
}

#[test]
fn letters_of_lines_pause_play_on_seek_and_stop() {
    let folder = Folder::new("keys-pipe");
    let Some((server, url)) = served(&folder) else {
        return;
    };
    let mut player = Player::start(&url, &folder);
    player.type_line("t");
    player.wait_for("paused", 1);
    player.type_line("p");
    player.wait_for("playing", 2);
    player.type_line("f 4.0");
    player.wait_for("playing", 3);
    player.type_line("t");
    player.wait_for("paused", 2);
    // Several in one line.
    player.type_line("p q");
    let Player { program, records, .. } = player;
    let finished = program.finish(LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let summary = finished.json();
    assert_eq!(summary["ended"], "stopped");
    assert_nothing_lost(&summary);
    let text = fs::read_to_string(records).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let places: Vec<Value> = lines
        .filter(|line| line["event"] == "playing")
        .map(|line| line["from_ns"].clone())
        .collect();
    assert_eq!(places[2], 4_000_000_000_u64, "{places:?}");
    server.end();
}

#[test]
fn the_end_of_input_stops_nothing_and_unknown_letters_are_told() {
    let folder = Folder::new("keys-end");
    let Some((server, url)) = served(&folder) else {
        return;
    };
    let mut player = Player::start(&url, &folder);
    player.type_line("x");
    player.type_line("f here");
    let Player { program, input, .. } = player;
    drop(input);
    let finished = program.finish(LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.json()["ended"], "end_of_stream");
    assert!(finished.err.contains("unknown key x: p play, t pause"), "{}", finished.err);
    assert!(finished.err.contains("f wants a place in seconds"), "{}", finished.err);
    server.end();
}

/// Plays on a terminal of its own, presses keys as the third argument and on say, `-` for a
/// second of waiting, and prints how the program ended and whether the terminal is as before.
const TERMINAL: &str = r#"
import os, pty, select, sys, termios, time
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:3] + [sys.argv[3]])
before = termios.tcgetattr(terminal)
seen = b""
def read_for(seconds):
    global seen
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                return
raw = False
read_for(1.5)
for key in sys.argv[4:]:
    raw = raw or not termios.tcgetattr(terminal)[3] & termios.ECHO
    os.write(terminal, key.encode().decode("unicode_escape").encode())
    read_for(0.7)
keep = os.dup(terminal)
read_for(5)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print("status", status)
print("raw", raw)
print("restored", termios.tcgetattr(keep) == before)
print(seen.decode(errors="replace"))
"#;

/// What the terminal's program tells of a play with these keys.
fn on_a_terminal(folder: &Folder, url: &str, keys: &[&str]) -> Option<String> {
    if !Path::new("/usr/bin/python3").exists() {
        eprintln!("SKIPPED: /usr/bin/python3 is not installed");
        return None;
    }
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", TERMINAL]).arg(weir().get_program()).args(["play", url]).args(keys);
    let finished = run(command, folder, "terminal", LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    Some(finished.out)
}

#[test]
fn keys_of_a_terminal_count_without_enter_and_the_terminal_is_given_back() {
    let folder = Folder::new("keys-terminal");
    let Some((server, url)) = served(&folder) else {
        return;
    };
    if let Some(out) = on_a_terminal(&folder, &url, &["t", "p", "x", "\\x1b[C", "q"]) {
        for said in ["status 0", "raw True", "restored True", "stopped after", "unknown key x"] {
            assert!(out.contains(said), "{said}: {out}");
        }
        assert!(out.contains("[p play, t pause, arrows 10 s, q stop]"), "{out}");
    }
    server.end();
}

#[test]
fn ctrl_c_gives_the_terminal_back() {
    let folder = Folder::new("keys-ctrl-c");
    let Some((server, url)) = served(&folder) else {
        return;
    };
    if let Some(out) = on_a_terminal(&folder, &url, &["\\x03"]) {
        for said in ["status 0", "raw True", "restored True", "stopped after"] {
            assert!(out.contains(said), "{said}: {out}");
        }
    }
    server.end();
}
