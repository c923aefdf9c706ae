//! What watching costs: CPU time of the driver's thread, in nanoseconds a packet, without a watcher,
//! counted, with a record for each packet, and captured.
//!
//! `cargo run --release -p weir-emulator --example observe`
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "it measures, and says so")]

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use weir_emulator::{Clock, LinkIndex, Links, Plan, Session, SessionSettings, Wire};
use weir_link::{Change, Direction, Settings};
use weir_time::Instant;

#[derive(Clone)]
struct Packet(Bytes);

impl Wire for Packet {
    fn ip_bytes(&self) -> u32 {
        self.0.len() as u32
    }

    fn write_ip(&self, out: &mut Vec<u8>, bytes_max: usize) {
        out.extend_from_slice(self.0.get(..bytes_max).unwrap_or(&self.0));
    }

    fn corrupt(&mut self, _: u64) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{PACKETS} packets of 1400 bytes over 1 Gbit/s, 10 ms, 1 % loss; ns a packet");
    for (name, kind) in [
        ("nobody watches", Kind::Alone),
        ("counted", Kind::Counted),
        ("a record each", Kind::Recorded),
        ("captured, 96 bytes each", Kind::Captured),
    ] {
        let runs = (0..RUNS).map(|run| nanos(kind, run));
        let mut runs = runs.collect::<Result<Vec<_>, _>>()?;
        runs.sort_by(f64::total_cmp);
        println!("{name:>24}: {:6.1} (least {:.1})", runs[RUNS / 2], runs[0]);
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Alone,
    Counted,
    Recorded,
    Captured,
}

fn nanos(kind: Kind, run: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("weir-observe-{}-{run}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = |name: &str| -> Option<PathBuf> { Some(folder.join(name)) };
    let mut up = Settings::default();
    "rate=1gbit delay=10ms loss=1%".parse::<Change>()?.apply(&mut up);
    let plan = Plan { name: "a-b".into(), up, ..Plan::default() };
    let mut settings = SessionSettings { driver: "bench", ..SessionSettings::default() };
    settings.control = file("control.sock");
    settings.capture_bytes_max = 96;
    match kind {
        Kind::Recorded => (settings.record, settings.packets) = (file("run.jsonl"), true),
        Kind::Captured => settings.capture = file("run.pcapng"),
        Kind::Alone | Kind::Counted => {}
    }
    let (session, tap, _inbox) =
        Session::start(settings, Clock::start(), 1, std::slice::from_ref(&plan))?;
    let mut links = Links::new(1);
    links.add(plan)?;
    if !matches!(kind, Kind::Alone) {
        links.watch(Instant::ZERO, tap);
    }
    let (mut now, every) = (Instant::ZERO, Duration::from_nanos(12_000));
    let bytes = Bytes::from(vec![0; 1400]);
    let began = cpu_nanos();
    for number in 0..PACKETS {
        links.offer(now, LinkIndex(0), Direction::Up, Packet(bytes.clone()));
        while links.poll(now).is_some() {}
        if number % 80_000 == 79_999 {
            links.tick(now);
        }
        now += every;
    }
    let took = cpu_nanos() - began;
    drop(links);
    session.finish();
    std::fs::remove_dir_all(&folder)?;
    Ok(took as f64 / f64::from(PACKETS))
}

/// CPU time of this thread: others on the machine do not show.
fn cpu_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills in the time that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

const PACKETS: u32 = 400_000;
const RUNS: usize = 5;
