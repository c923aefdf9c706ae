//! Datagrams through a relay.

use std::net::UdpSocket;
use std::time::Duration;

use weir_emulator::relay::{Error, Kind, Relay, Relays, Settings};
use weir_emulator::{LinkIndex, Plan};
use weir_link::{Direction, LinkId, Loss, Pipe, Queue, Rate, Settings as Link};
use weir_time::Instant;

use crate::harness::{LIMIT, Relayed, SEED, wait_until};

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// A link that never drops for want of room.
fn roomy() -> Link {
    Link { queue: Queue::Packets(100_000), ..Link::default() }
}

/// Sends numbered datagrams, never more than the sockets hold; returns once all were offered.
fn send_numbers(client: &UdpSocket, relayed: &Relayed, count: u32) {
    for number in 0..count {
        client.send(&number.to_be_bytes()).unwrap();
        if number % 50 == 49 || number + 1 == count {
            wait_until("all are offered", || {
                relayed.status().up.counters.offered_packets > u64::from(number)
            });
        }
    }
}

#[test]
fn the_same_seed_has_the_fates_of_the_virtual_world_packet_for_packet() {
    const COUNT: u32 = 3000;
    let up = Link { loss: Loss::Independent(0.2), ..roomy() };
    let server = socket();
    let relayed = Relayed::start(Kind::Udp, server.local_addr().unwrap(), up.to_owned(), roomy());
    let client = socket();
    client.connect(relayed.address).unwrap();
    let mut pipe = Pipe::new(SEED, LinkId(0), Direction::Up, up).unwrap();
    let mut expected = Vec::new();
    for number in 0..COUNT {
        let _ = pipe.offer(Instant::ZERO, 32, number);
        expected.extend(pipe.poll(Instant::ZERO).map(|delivery| delivery.payload));
    }
    assert!((COUNT / 2..COUNT).contains(&(expected.len() as u32)));
    let receiver = std::thread::spawn(move || {
        let mut came = Vec::new();
        while came.len() < expected.len() {
            let mut number = [0; 4];
            assert_eq!(server.recv(&mut number).unwrap(), 4);
            came.push(u32::from_be_bytes(number));
        }
        assert_eq!(came, expected);
    });
    send_numbers(&client, &relayed, COUNT);
    receiver.join().unwrap();
    let counters = relayed.status().up.counters;
    // A payload of 4 bytes, 8 of UDP, 20 of IPv4.
    assert_eq!(counters.offered_bytes, u64::from(COUNT) * 32);
    assert_eq!(relayed.stop().totals.dropped_no_flow, 0);
}

#[test]
fn answers_of_a_hundred_clients_find_their_way_back() {
    let server = socket();
    let slow = Link { delay: Duration::from_millis(3), ..roomy() };
    let relayed = Relayed::start(Kind::Udp, server.local_addr().unwrap(), slow.to_owned(), slow);
    let clients: Vec<UdpSocket> = (0..100).map(|_| socket()).collect();
    for (number, client) in clients.iter().enumerate() {
        client.connect(relayed.address).unwrap();
        client.send(&[number as u8; 100]).unwrap();
    }
    let mut peers = Vec::new();
    for _ in &clients {
        let mut bytes = [0; 200];
        let (count, peer) = server.recv_from(&mut bytes).unwrap();
        assert!(!peers.contains(&peer));
        peers.push(peer);
        server.send_to(&bytes[..count / 2], peer).unwrap();
    }
    for (number, client) in clients.iter().enumerate() {
        let mut bytes = [0; 200];
        assert_eq!(client.recv(&mut bytes).unwrap(), 50);
        assert_eq!(bytes[0], number as u8);
    }
    wait_until("the gauge shows them", || relayed.gauge("flows") == Some(100));
    assert_eq!(relayed.stop().totals.flows_opened, 100);
}

#[test]
fn large_empty_and_merged_datagrams_keep_their_bounds() {
    let server = socket();
    let relayed = Relayed::start(Kind::Udp, server.local_addr().unwrap(), roomy(), roomy());
    let client = socket();
    client.connect(relayed.address).unwrap();
    for bytes in [60_000, 0, 1, 1200, 1200, 1200, 700, 1472] {
        client.send(&vec![bytes as u8; bytes]).unwrap();
        let mut came = vec![0; 65_536];
        let count = server.recv(&mut came).unwrap();
        assert_eq!(count, bytes);
        assert!(came[..count].iter().all(|byte| *byte == bytes as u8));
    }
    let counters = relayed.status().up.counters;
    let payload: u64 = [60_000, 0, 1, 1200, 1200, 1200, 700, 1472].iter().sum();
    assert_eq!((counters.offered_packets, counters.offered_bytes), (8, payload + 8 * 28));
}

#[test]
fn a_target_that_is_down_ends_nothing_and_gets_datagrams_once_it_is_there() {
    let address = socket().local_addr().unwrap();
    let relayed = Relayed::start(Kind::Udp, address, roomy(), roomy());
    let client = socket();
    client.connect(relayed.address).unwrap();
    send_numbers(&client, &relayed, 20);
    let server = UdpSocket::bind(address).unwrap();
    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    wait_until("a datagram arrives", || {
        client.send(b"hello").unwrap();
        server.recv(&mut [0; 100]).is_ok_and(|count| count == 5)
    });
    drop(server);
    send_numbers(&client, &relayed, 20);
    assert!(relayed.stop().totals.dropped_receiving == 0);
}

#[test]
fn a_silent_client_is_forgotten_and_comes_back_as_a_new_flow() {
    let server = socket();
    let settings = Settings { udp_idle_max: Duration::from_millis(1), ..Settings::default() };
    let target = server.local_addr().unwrap();
    let relayed = Relayed::start_with(settings, Kind::Udp, target, roomy(), roomy());
    let client = socket();
    client.connect(relayed.address).unwrap();
    client.send(b"1").unwrap();
    let (_, first) = server.recv_from(&mut [0; 9]).unwrap();
    wait_until("it has another port", || {
        std::thread::sleep(Duration::from_millis(300));
        client.send(b"2").unwrap();
        server.recv_from(&mut [0; 9]).unwrap().1 != first
    });
    assert!(relayed.stop().totals.flows_opened >= 2);
}

#[test]
fn clients_over_the_bound_are_dropped_and_counted() {
    let server = socket();
    let settings = Settings { udp_flows_max: 2, ..Settings::default() };
    let target = server.local_addr().unwrap();
    let relayed = Relayed::start_with(settings, Kind::Udp, target, roomy(), roomy());
    let clients: Vec<UdpSocket> = (0..3).map(|_| socket()).collect();
    for client in &clients {
        client.connect(relayed.address).unwrap();
        client.send(b"x").unwrap();
    }
    for _ in 0..2 {
        server.recv(&mut [0; 9]).unwrap();
    }
    // What the third sent came before this, and to the same socket.
    clients[0].send(b"last").unwrap();
    assert_eq!(server.recv(&mut [0; 9]).unwrap(), 4);
    let totals = relayed.stop().totals;
    assert_eq!((totals.flows_opened, totals.flows_refused, totals.dropped_no_flow), (2, 1, 1));
}

#[test]
fn a_rate_is_kept_and_a_full_queue_drops() {
    let server = socket();
    let narrow = Link {
        rate: Rate::bits_per_second(1_000_000),
        queue: Queue::Packets(10),
        ..Link::default()
    };
    let relayed = Relayed::start(Kind::Udp, server.local_addr().unwrap(), narrow, roomy());
    let client = socket();
    client.connect(relayed.address).unwrap();
    for _ in 0..200 {
        client.send(&[0; 1222]).unwrap();
    }
    wait_until("all have their fate", || {
        let counters = relayed.status().up.counters;
        counters.delivered_packets + counters.dropped_packets() == 200
    });
    let counters = relayed.status().up.counters;
    // At 10 ms each most of them cannot wait.
    assert!(counters.dropped_queue_packets > 100, "{counters:?}");
    assert_eq!(counters.dropped_loss_packets, 0);
}

#[test]
fn a_port_in_use_and_a_circle_are_refused_with_what_to_do() {
    let taken = socket();
    let listen = taken.local_addr().unwrap();
    let target = "127.0.0.1:9".parse().unwrap();
    let relay = Relay { kind: Kind::Udp, listen, target, link: LinkIndex(0) };
    let error = Relays::bind(Settings::default(), &[relay]).err().unwrap();
    assert!(matches!(error, Error::InUse { protocol: "UDP", .. }), "{error}");
    assert!(error.to_string().contains("choose another"), "{error}");
    let listen = "[::]:9".parse().unwrap();
    let circle = Relay { kind: Kind::Tcp, listen, target, link: LinkIndex(0) };
    let error = Relays::bind(Settings::default(), &[circle]).err().unwrap();
    assert!(matches!(error, Error::Circle { .. }), "{error}");
    let listen = "192.0.2.1:0".parse().unwrap();
    let elsewhere = Relay { kind: Kind::Tcp, listen, target, link: LinkIndex(0) };
    let error = Relays::bind(Settings::default(), &[elsewhere]).err().unwrap();
    assert!(matches!(error, Error::NoSuchAddress { .. }), "{error}");
}

#[test]
fn ipv4_clients_reach_a_relay_on_all_addresses() {
    let server = socket();
    let target = server.local_addr().unwrap();
    let listen = "[::]:0".parse().unwrap();
    let relay = Relay { kind: Kind::Udp, listen, target, link: LinkIndex(0) };
    let relays = Relays::bind(Settings::default(), &[relay]).unwrap();
    let port = relays.listening()[0].port();
    let clock = weir_emulator::Clock::start();
    let mut links = weir_emulator::Links::new(SEED);
    let plan = Plan { name: "link".to_owned(), up: roomy(), down: roomy(), ..Plan::default() };
    links.add(plan).unwrap();
    let (inbox, remote) = weir_emulator::Inbox::new().unwrap();
    let running = relays.start(clock, SEED, links, inbox).unwrap();
    let client = socket();
    client.connect(("127.0.0.1", port)).unwrap();
    client.send(b"up").unwrap();
    let (_, peer) = server.recv_from(&mut [0; 9]).unwrap();
    server.send_to(b"down", peer).unwrap();
    assert_eq!(client.recv(&mut [0; 9]).unwrap(), 4);
    drop(remote);
    let ended = running.stop().unwrap();
    // IPv4 within IPv6 counts as IPv4.
    assert_eq!(ended.links[0].up.counters.offered_bytes, 2 + 28);
}
