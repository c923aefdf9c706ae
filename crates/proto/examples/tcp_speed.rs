//! Prints how fast one core carries a TCP connection through an emulated link in virtual time.
//!
//! `cargo run --release -p weir-proto --example tcp_speed`
#![allow(clippy::print_stdout, reason = "the figure is this program's output")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it measures real time; the library itself knows none"
)]

use std::time::Duration;

use bytes::Bytes;
use weir_link::{Direction, LinkId, Loss, Pipe, Queue, Rate, Settings as LinkSettings};
use weir_proto::tcp::{Connection, Output, Segment, Settings};
use weir_time::Instant;

fn main() -> Result<(), weir_link::Error> {
    let link = LinkSettings {
        rate: Rate::bits_per_second(1_000_000_000),
        queue: Queue::Bytes(2_500_000),
        delay: Duration::from_millis(10),
        ..LinkSettings::default()
    };
    run("1 Gbit/s, 20 ms", link.clone())?;
    run("the same, 0.01 % lost", LinkSettings { loss: Loss::Independent(0.0001), ..link })
}

fn run(name: &str, link: LinkSettings) -> Result<(), weir_link::Error> {
    let begin = std::time::Instant::now();
    let mut now = Instant::ZERO;
    let mut client = Connection::connect(now, 1, Settings::default());
    let mut server: Option<Connection> = None;
    let mut up = Pipe::new(1, LinkId(0), Direction::Up, link.clone())?;
    let mut down = Pipe::new(1, LinkId(0), Direction::Down, link)?;
    let block = Bytes::from(vec![0x5a; 1 << 20]);
    let mut read = 0;
    while read < TOTAL_BYTES {
        while client.send_space() > 0 {
            client.send(block.clone());
        }
        let mut next = drive(&mut client, now, &mut up);
        while let Some(delivery) = up.poll(now) {
            let server = server.get_or_insert_with(|| {
                Connection::accept(now, 2, Settings::default(), &delivery.payload)
            });
            server.handle(now, delivery.payload);
            next = next.min(drive(server, now, &mut down));
            while let Some(bytes) = server.recv(1 << 20) {
                read += bytes.len() as u64;
            }
        }
        if let Some(server) = &mut server {
            server.timer(now);
            next = next.min(drive(server, now, &mut down));
        }
        while let Some(delivery) = down.poll(now) {
            client.handle(now, delivery.payload);
            next = next.min(drive(&mut client, now, &mut up));
        }
        let pipes = [up.next_timeout(), down.next_timeout()];
        now = pipes.into_iter().flatten().fold(next, Instant::min);
        client.timer(now);
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{name}: {:.0} MB in {:.1} virtual seconds, {:.0} MB/s of real time ({} sent again)",
        read as f64 / 1e6,
        now.as_secs_f64(),
        read as f64 / 1e6 / seconds,
        client.counters().retransmitted,
    );
    Ok(())
}

/// Sends what is to be sent; returns when to call again.
fn drive(tcp: &mut Connection, now: Instant, pipe: &mut Pipe<Segment>) -> Instant {
    loop {
        match tcp.poll(now) {
            Output::Send(segment) => {
                let _ = pipe.offer(now, segment.ip_bytes(), segment);
            }
            Output::Event(_) => {}
            Output::Timeout(at) => return at.unwrap_or(Instant::FAR),
        }
    }
}

const TOTAL_BYTES: u64 = 1_000_000_000;
