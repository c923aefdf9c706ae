//! Connections through a relay.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use weir_emulator::relay::{Kind, Settings};
use weir_link::{Loss, Queue, Rate, Settings as Link};
use weir_proto::tcp::CongestionControl;
use weir_time::hash;

use crate::harness::{LIMIT, Relayed, wait_until};

fn link(mbit: u64, delay_ms: u64, loss: f64) -> Link {
    Link {
        rate: Rate::bits_per_second(mbit * 1_000_000),
        queue: Queue::Bytes(200_000),
        delay: Duration::from_millis(delay_ms),
        loss: Loss::Independent(loss),
        ..Link::default()
    }
}

fn relayed(link: Link) -> (TcpListener, Relayed) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap();
    (server, Relayed::start(Kind::Tcp, target, link.to_owned(), link))
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.set_write_timeout(Some(LIMIT)).unwrap();
    client
}

fn accept(server: &TcpListener) -> TcpStream {
    let (stream, _) = server.accept().unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

fn pattern(bytes: usize, seed: u64) -> Vec<u8> {
    (0..bytes as u64).map(|at| hash([seed, at]) as u8).collect()
}

#[test]
fn bytes_come_whole_both_ways_at_once_over_a_lossy_link() {
    for congestion_control in [CongestionControl::Cubic, CongestionControl::Reno] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = Settings { congestion_control, ..Settings::default() };
        let lossy = link(50, 2, 0.03);
        let target = server.local_addr().unwrap();
        let relayed = Relayed::start_with(settings, Kind::Tcp, target, lossy.to_owned(), lossy);
        let client = connect(relayed.address);
        let connection = accept(&server);
        let (up, down) = (pattern(700_000, 1), pattern(900_000, 2));
        std::thread::scope(|scope| {
            for (stream, sent) in [(&client, &up), (&connection, &down)] {
                scope.spawn(move || {
                    let mut stream = stream;
                    stream.write_all(sent).unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                });
            }
            for (stream, expected) in [(&client, &down), (&connection, &up)] {
                scope.spawn(move || {
                    let (mut stream, mut came) = (stream, Vec::new());
                    stream.read_to_end(&mut came).unwrap();
                    assert!(came == *expected, "{} of {}", came.len(), expected.len());
                });
            }
        });
        let status = relayed.status();
        assert!(status.up.counters.dropped_loss_packets > 0);
        // Segments are counted with their headers.
        assert!(status.up.counters.offered_bytes > 700_000 * 1500 / 1448);
    }
}

#[test]
fn a_half_closed_connection_still_answers() {
    let (server, relayed) = relayed(link(50, 2, 0.0));
    let mut client = connect(relayed.address);
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut connection = accept(&server);
    let mut question = String::new();
    connection.read_to_string(&mut question).unwrap();
    assert_eq!(question, "question");
    connection.write_all(b"answer").unwrap();
    drop(connection);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
}

fn reset(stream: TcpStream) {
    // Closing with bytes that nobody read sends a reset.
    wait_until("there is something to read", || stream.peek(&mut [0]).is_ok_and(|count| count > 0));
    drop(stream);
}

fn wait_for_reset(mut stream: &TcpStream) {
    let error = loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => panic!("it ended without a reset"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn resets_pass_both_ways() {
    let (server, relayed) = relayed(link(50, 2, 0.0));
    let mut client = connect(relayed.address);
    client.write_all(b"unread").unwrap();
    reset(accept(&server));
    wait_for_reset(&client);

    let mut client = connect(relayed.address);
    client.write_all(b"x").unwrap();
    let mut connection = accept(&server);
    connection.write_all(b"unread").unwrap();
    reset(client);
    let mut byte = [0];
    connection.read_exact(&mut byte).unwrap();
    wait_for_reset(&connection);
}

#[test]
fn a_target_that_is_down_resets_the_client_and_is_tried_again_for_the_next() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relayed = Relayed::start(Kind::Tcp, address, link(50, 2, 0.0), link(50, 2, 0.0));
    wait_for_reset(&connect(relayed.address));
    let server = TcpListener::bind(address).unwrap();
    let mut client = connect(relayed.address);
    client.write_all(b"x").unwrap();
    let mut byte = [0];
    accept(&server).read_exact(&mut byte).unwrap();
    assert_eq!(relayed.stop().totals.targets_refused, 1);
}

#[test]
fn a_reader_that_stops_soon_stops_the_writer() {
    let (server, relayed) = relayed(link(500, 1, 0.0));
    let mut client = connect(relayed.address);
    let connection = {
        client.write_all(b"x").unwrap();
        accept(&server)
    };
    client.set_nonblocking(true).unwrap();
    let (mut written, mut quiet) = (0, 0);
    // Nothing is read: what can be written is what all buffers hold together.
    while quiet < 100 {
        match client.write(&[0; 16_384]) {
            Ok(count) => (written, quiet) = (written + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                quiet += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
        assert!(written < 32 << 20, "the writer is never stopped");
    }
    // Ours: two legs, and a receive window that has not grown as nobody reads. The rest is the
    // system's, in the sockets of this test.
    for gauge in ["local_up_bytes", "local_down_bytes"] {
        wait_until("the gauge is shown", || relayed.gauge(gauge).is_some());
        let held = relayed.gauge(gauge).unwrap();
        assert!(held <= 65_536, "{gauge}: {held}");
    }
    assert!(relayed.gauge("local_up_bytes").unwrap() > 0);
    let (mut came, mut connection) = (0, connection);
    client.set_nonblocking(false).unwrap();
    drop(client);
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = connection.read(&mut bytes) {
        came += count;
    }
    assert_eq!(came, written + 1);
}

#[test]
fn a_hundred_connections_share_the_link_and_all_are_forgotten() {
    let (server, relayed) = relayed(link(100, 2, 0.01));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                let mut connection = accept(&server);
                scope.spawn(move || {
                    let mut bytes = Vec::new();
                    connection.read_to_end(&mut bytes).unwrap();
                    connection.write_all(&bytes).unwrap();
                });
            }
        });
        for number in 0..100 {
            let address = relayed.address;
            scope.spawn(move || {
                let mut client = connect(address);
                let sent = pattern(20_000, number);
                client.write_all(&sent).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                let mut came = Vec::new();
                client.read_to_end(&mut came).unwrap();
                assert!(came == sent, "{number}: {} bytes", came.len());
            });
        }
    });
    // Nothing waits for old segments: the link falls silent at once.
    let totals = relayed.stop().totals;
    assert_eq!((totals.flows_opened, totals.flows_refused), (100, 0));
}

#[test]
fn connections_over_the_bound_are_reset() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = Settings { tcp_flows_max: 1, ..Settings::default() };
    let target = server.local_addr().unwrap();
    let fast = link(100, 1, 0.0);
    let relayed = Relayed::start_with(settings, Kind::Tcp, target, fast.to_owned(), fast);
    let mut first = connect(relayed.address);
    first.write_all(b"x").unwrap();
    let mut connection = accept(&server);
    wait_for_reset(&connect(relayed.address));
    connection.write_all(b"y").unwrap();
    let mut byte = [0];
    first.read_exact(&mut byte).unwrap();
    assert_eq!(relayed.stop().totals.flows_refused, 1);
}

#[test]
fn a_place_is_free_again_once_a_connection_has_closed() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = Settings { tcp_flows_max: 1, ..Settings::default() };
    let target = server.local_addr().unwrap();
    let fast = link(100, 1, 0.0);
    let relayed = Relayed::start_with(settings, Kind::Tcp, target, fast.to_owned(), fast);
    for _ in 0..3 {
        wait_until("there is a place", || {
            let mut client = connect(relayed.address);
            if client.write_all(b"x").is_err() {
                return false;
            }
            client.shutdown(Shutdown::Write).unwrap();
            server.set_nonblocking(true).unwrap();
            client.set_nonblocking(true).unwrap();
            let mut connection = loop {
                match server.accept() {
                    Ok((connection, _)) => break connection,
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
                let refused = client.peek(&mut [0]);
                if refused.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset) {
                    return false;
                }
            };
            connection.set_nonblocking(false).unwrap();
            client.set_nonblocking(false).unwrap();
            connection.read_to_end(&mut Vec::new()).unwrap();
            drop(connection);
            client.read_to_end(&mut Vec::new()).unwrap() == 0
        });
    }
}
