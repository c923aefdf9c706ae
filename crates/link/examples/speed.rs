//! Prints how many packets one core takes through a shaped pipe in each second in which this thread
//! had a processor.
//!
//! `cargo run --release -p weir-link --example speed [PACKETS]`
#![allow(clippy::print_stdout, reason = "the figures are this program's output")]

use std::time::Duration;

use weir_link::{Change, Direction, LinkId, Pipe, Settings};
use weir_time::Instant;

fn main() -> Result<(), weir_link::Error> {
    let packets = std::env::args().nth(1).and_then(|packets| packets.parse().ok());
    let packets = packets.unwrap_or(PACKETS);
    let plain = "rate=1gbit queue=1mb delay=20ms";
    for (name, text) in [
        ("rate, queue, delay", plain.to_owned()),
        ("and loss", format!("{plain} loss=1%")),
        ("and loss in bursts", format!("{plain} loss=1% burst 3")),
        ("and uniform jitter", format!("{plain} loss=1% burst 3 jitter=2ms")),
        ("and normal jitter", format!("{plain} loss=1% burst 3 jitter=2ms normal")),
        ("and reordering by it", format!("{plain} loss=1% burst 3 jitter=2ms reorder=jitter")),
        ("a queue of 10 ms, CoDel", "rate=1gbit queue=10ms discipline=codel delay=20ms".to_owned()),
        ("a queue of 10 ms, PIE", "rate=1gbit queue=10ms discipline=pie delay=20ms".to_owned()),
        ("a Mahimahi trace", "trace=opportunities queue=1mb delay=20ms".to_owned()),
        ("a trace of rates", "trace=rates queue=1mb delay=20ms".to_owned()),
        ("policer, no rate", "policer=1gbit burst 1mb delay=20ms".to_owned()),
    ] {
        run(name, &text, packets, false)?;
    }
    run("rate, queue, delay, every packet recorded", plain, packets, true)
}

fn run(name: &str, text: &str, packets: u64, recorded: bool) -> Result<(), weir_link::Error> {
    let mut settings = Settings::default();
    Change::from_text(text, &trace)?.apply(&mut settings);
    let mut pipe = Pipe::new(1, LinkId(0), Direction::Up, settings)?;
    if recorded {
        pipe.observe(4096);
    }
    let begin = processor_time();
    let mut now = Instant::ZERO;
    let mut sum = 0u64;
    for n in 0..packets {
        // A packet of 1500 bytes takes 12 us: slightly more is offered than the link carries.
        now += Duration::from_nanos(11_900);
        let _ = pipe.offer(now, 1500, n);
        while let Some(delivery) = pipe.poll(now) {
            sum = sum.wrapping_add(delivery.payload);
        }
        while let Some(passage) = pipe.take_passage() {
            sum = sum.wrapping_add(passage.index);
        }
    }
    let seconds = (processor_time() - begin).as_secs_f64();
    let counters = pipe.counters();
    println!(
        "{name}: {:.2} million packets a second ({} delivered, {} dropped, checksum {sum:x})",
        packets as f64 / seconds / 1e6,
        counters.delivered_packets,
        counters.dropped_packets(),
    );
    Ok(())
}

/// The time that this thread has had a processor.
fn processor_time() -> Duration {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = said.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("Linux says how long a thread has run"))
}

/// Traces of 1 Gbit/s on the mean, each 10 s long.
fn trace(name: &str) -> Result<String, String> {
    let lines = 1..=10_000_u64;
    match name {
        // 83 and a third opportunities a millisecond.
        "opportunities" => Ok(lines
            .map(|milli| format!("{milli}\n").repeat(83 + usize::from(milli % 3 == 0)))
            .collect()),
        "rates" => Ok(std::iter::once("0 1000\n".to_owned())
            .chain(lines.map(|n| format!("{} {}\n", n as f64 / 1e3, 500 + n % 1001)))
            .collect()),
        _ => Err("there is no such trace".to_owned()),
    }
}

const PACKETS: u64 = 20_000_000;
