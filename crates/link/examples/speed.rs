//! Prints how many packets a second one core takes through a shaped pipe.
//!
//! `cargo run --release -p weir-link --example speed`
#![allow(clippy::print_stdout, reason = "the figure is this program's output")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it measures real time; the library itself knows none"
)]

use std::time::Duration;

use weir_link::{Direction, GilbertElliott, Jitter, LinkId, Loss, Pipe, Queue, Rate, Settings};
use weir_time::Instant;

fn main() -> Result<(), weir_link::Error> {
    let plain = Settings {
        rate: Rate::bits_per_second(1_000_000_000),
        queue: Queue::Bytes(1_000_000),
        delay: Duration::from_millis(20),
        ..Settings::default()
    };
    let lossy = Settings {
        loss: Loss::GilbertElliott(GilbertElliott::from_mean_and_burst(0.01, 3.0)?),
        ..plain
    };
    let uniform = Jitter::Uniform { spread: Duration::from_millis(2) };
    let normal = Jitter::Normal { deviation: Duration::from_millis(2) };
    run("rate, queue, delay", plain)?;
    run("and loss in bursts", lossy)?;
    run("and uniform jitter", Settings { jitter: uniform, ..lossy })?;
    run("and normal jitter", Settings { jitter: normal, ..lossy })
}

fn run(name: &str, settings: Settings) -> Result<(), weir_link::Error> {
    let mut pipe = Pipe::new(1, LinkId(0), Direction::Up, settings)?;
    let begin = std::time::Instant::now();
    let mut now = Instant::ZERO;
    let mut sum = 0u64;
    for n in 0..PACKETS {
        // A packet of 1500 bytes takes 12 us: slightly more is offered than the link carries.
        now += Duration::from_nanos(11_900);
        let _ = pipe.offer(now, 1500, n);
        while let Some(delivery) = pipe.poll(now) {
            sum = sum.wrapping_add(delivery.payload);
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let counters = pipe.counters();
    println!(
        "{name}: {:.1} million packets a second ({} delivered, {} dropped, checksum {sum:x})",
        PACKETS as f64 / seconds / 1e6,
        counters.delivered_packets,
        counters.dropped_packets(),
    );
    Ok(())
}

const PACKETS: u64 = 20_000_000;
