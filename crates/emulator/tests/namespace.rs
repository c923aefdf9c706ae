//! A network of namespaces by its library alone. One test, because it waits for all children of
//! its process.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test runs programs and sockets of its own, and may panic"
)]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use weir_emulator::namespace::{Network, Outcome, Supervisor, Topology};
use weir_emulator::{Clock, Command, Inbox, Plan, Remote, Reply};
use weir_link::Settings;

const BODY_BYTES: usize = 600_000;

#[test]
fn a_rate_that_is_lowered_while_packets_flow_holds_at_once() {
    let settings = Settings { rate: "16mbit".parse().unwrap(), ..Settings::default() };
    let plan =
        Plan { name: "link".to_owned(), up: settings.clone(), down: settings, ..Plan::default() };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut supervisor = Supervisor::new().unwrap();
    let network = match Network::make(Topology::one_link(plan), "a test") {
        Ok(network) => network,
        Err(error) => return eprintln!("SKIPPED: {error}"),
    };
    let (inbox, remote) = Inbox::new().unwrap();
    let running = network.start(Clock::start(), 1, None, inbox, true).unwrap();
    let changing = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.read_exact(&mut [0; 4]).unwrap();
        let writing = std::thread::spawn(move || connection.write_all(&[7; BODY_BYTES]).unwrap());
        while delivered(&remote) < 100_000 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let change = "rate=2mbit".parse().unwrap();
        remote.ask(Command::Set { link: None, direction: None, change: Box::new(change) });
        let (at, left) = (Instant::now(), BODY_BYTES - delivered(&remote) as usize);
        writing.join().unwrap();
        (at, left)
    });
    let script = format!(
        "exec 3<>/dev/tcp/host.weir/{port}; printf 'send' >&3; test $(head -c {BODY_BYTES} <&3 | wc -c) = {BODY_BYTES}"
    );
    let command = ["bash".to_owned(), "-c".to_owned(), script];
    let outcome = running.supervise(&mut supervisor, None, &command).unwrap();
    assert_eq!(outcome, Outcome::Ended(0));
    let (at, left) = changing.join().unwrap();
    let needed = Duration::from_secs_f64(left as f64 * 8.0 / 2e6);
    assert!(at.elapsed() >= needed, "{left} bytes at 2 Mbit/s need {needed:?}");
    running.finish().unwrap();
}

/// Bytes that have come out of the link towards the host.
fn delivered(remote: &Remote) -> u64 {
    match remote.ask(Command::Show) {
        Reply::Links(links) => links[0].down.counters.delivered_bytes,
        Reply::Refused(why) => panic!("{why}"),
    }
}
