//! Viewers that fall behind hurt nobody.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::movies::{self, HEAVY};
use crate::program::{Folder, Running, Server, assert_nothing_lost, play};
use crate::rtsp::{Client, Message};

/// How long the good viewers watch, and one of the bad does not read.
const WATCHED: &str = "33";
const UNREAD: Duration = Duration::from_secs(45);
/// By how much the 99th percentile may move.
const SHIFT_NS_MAX: u64 = 5_000_000;
/// What the server's memory may grow by meanwhile: two stretches of the movie, as the allocator
/// may keep their places. Two viewers whose packets were kept for them would cost 36 MB.
const MEMORY_GROWTH_BYTES_MAX: u64 = 8 << 20;
/// How long memory is looked at for one figure: longer than one stretch of the movie, whose
/// reading makes it go up and down by some megabytes.
const LOOKING: Duration = Duration::from_secs(4);

/// One server with a live stream, and its good viewer.
struct Stage {
    server: Server,
    url: String,
    records: PathBuf,
    good: Running,
}

impl Stage {
    fn new(folder: &Folder, movie: &Path) -> Stage {
        let records = folder.join("server.jsonl");
        let arguments = [Path::new("--record"), &records, Path::new("--live"), movie];
        let server = Server::start(folder, &arguments);
        let url = server.url(movie.file_stem().unwrap().to_str().unwrap());
        let mut command = play(&url, "tcp");
        command.args(["--seconds", WATCHED]);
        let good = Running::start(command, folder, "good");
        Stage { server, url, records, good }
    }

    /// The least memory that the server takes over a while.
    fn lowest_memory_bytes(&self) -> u64 {
        let until = Instant::now() + LOOKING;
        let mut lowest = u64::MAX;
        while Instant::now() < until {
            lowest = lowest.min(self.server.program.memory_bytes());
            std::thread::sleep(Duration::from_millis(100));
        }
        lowest
    }

    /// The good viewer's summary, and the server's records.
    fn end(self) -> (Value, Vec<Value>) {
        let finished = self.good.finish(Duration::from_secs(15));
        assert_eq!(finished.code, Some(0), "{finished:?}");
        self.server.end();
        let text = std::fs::read_to_string(&self.records).unwrap();
        (finished.json(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }
}

/// Two viewers over TCP stop reading, one for 30 s and one for ever; the stream without them runs
/// beside it, so that both see the same noise of the machine.
#[test]
fn two_viewers_that_stop_reading_move_the_others_p99_by_less_than_5_ms_and_cost_no_memory() {
    let Some(movie) = movies::movie(&HEAVY) else {
        return;
    };
    let (folder, folder_alone) = (Folder::new("behind"), Folder::new("behind-alone"));
    let stage = Stage::new(&folder, &movie);
    let alone = Stage::new(&folder_alone, &movie);
    let mut for_ever = Client::connect(&stage.server.address);
    let mut for_a_while = Client::connect(&stage.server.address);
    for client in [&mut for_ever, &mut for_a_while] {
        assert_eq!(client.set_up_and_play(&stage.url).status, 200);
        assert!(matches!(client.next(), Message::Packet { .. }));
    }
    let stopped = Instant::now();
    // By then the rings are full, and so are the segments that are kept for HLS.
    std::thread::sleep(Duration::from_secs(32));
    let memory_before = stage.lowest_memory_bytes();
    std::thread::sleep(UNREAD.saturating_sub(stopped.elapsed() + LOOKING));
    let memory = stage.lowest_memory_bytes();
    assert!(
        memory < memory_before + MEMORY_GROWTH_BYTES_MAX,
        "{memory_before} then {memory} bytes"
    );

    assert_sequence_has_no_gap(&mut for_a_while, Duration::from_millis(1500));
    let ((summary, records), (summary_alone, records_alone)) = (stage.end(), alone.end());
    for summary in [&summary, &summary_alone] {
        assert_nothing_lost(summary);
        let frames = summary["tracks"][0]["frames"].as_u64().unwrap();
        assert!((970..=1060).contains(&frames), "{frames} frames in {WATCHED} s");
    }
    let p99 = |summary: &Value| summary["tracks"][0]["inter_arrival_p99_ns"].as_u64().unwrap();
    let (with, without) = (p99(&summary), p99(&summary_alone));
    assert!(with.abs_diff(without) < SHIFT_NS_MAX, "p99 {with} ns with them, {without} ns without");
    assert_skips_are_of_the_slow_alone(&records);
    assert!(!records_alone.iter().any(|record| record["event"] == "viewer_skipped"));
}

/// Holds that a viewer that reads again gets packets whose numbers follow each other.
fn assert_sequence_has_no_gap(client: &mut Client, span: Duration) {
    let mut before: Option<u16> = None;
    let mut packets = 0;
    let until = Instant::now() + span;
    while Instant::now() < until {
        match client.next() {
            Message::Packet { channel: 0, bytes } => {
                let number = u16::from_be_bytes([bytes[2], bytes[3]]);
                assert!(
                    before.is_none_or(|before| number == before.wrapping_add(1)),
                    "{before:?}, {number}"
                );
                before = Some(number);
                packets += 1;
            }
            Message::Packet { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(packets > 100, "{packets} packets");
}

/// The player that measures names itself; all others are the slow ones.
fn assert_skips_are_of_the_slow_alone(records: &[Value]) {
    let viewers = |event: &str| -> Vec<&Value> {
        records.iter().filter(|record| record["event"] == event).collect()
    };
    let good: Vec<&Value> = viewers("viewer_joined")
        .into_iter()
        .filter(|record| record["user_agent"].as_str().is_some_and(|agent| agent.contains("weir")))
        .map(|record| &record["viewer"])
        .collect();
    assert_eq!(good.len(), 1);
    let skipped = viewers("viewer_skipped");
    assert!(!skipped.is_empty(), "nobody fell behind");
    assert!(!skipped.iter().any(|record| good.contains(&&record["viewer"])), "{skipped:?}");
}
