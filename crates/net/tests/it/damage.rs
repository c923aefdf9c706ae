//! Links that copy packets and change bits of them.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use weir_link::Direction;
use weir_net::sim::World;
use weir_net::{DatagramBuffer, TcpOptions, UdpOptions};

fn world(up: &str) -> (World, weir_net::Host, weir_net::Host, weir_net::sim::Link) {
    let world = World::new(3);
    let (a, b) = (world.host("a"), world.host("b"));
    let up = up.parse().expect("it is well formed");
    let link = world.join(&a, &b, up, Default::default()).expect("possible");
    (world, a, b, link)
}

#[test]
fn datagrams_come_twice_or_fail_their_checksum() {
    let (world, a, b, link) = world("delay=1ms duplicate=20% corrupt=10%");
    let address = SocketAddr::new(b.addresses()[0], 9);
    let receiver = b.clone();
    let got = world.run(async move {
        let to = b.udp_bind(address, &UdpOptions::default()).unwrap();
        let from = a.udp_bind("0.0.0.0:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let count = Rc::new(RefCell::new(0));
        let counter = Rc::clone(&count);
        b.spawn(async move {
            let mut buffer = DatagramBuffer::new();
            while to.receive(&mut buffer).await.is_ok() {
                *counter.borrow_mut() += 1;
            }
        });
        for _ in 0..1000 {
            from.try_send(b"x", address).unwrap();
            a.sleep(Duration::from_millis(2)).await;
        }
        *count.borrow()
    });
    let counters = link.counters(Direction::Up);
    let dropped = world.corrupt_packets(&receiver);
    assert!((150..250).contains(&counters.duplicated_packets), "{counters:?}");
    assert!((70..130).contains(&counters.corrupted_packets), "{counters:?}");
    assert!(dropped > counters.corrupted_packets, "copies of wrong packets are wrong too");
    assert_eq!(got, Some(1000 + counters.duplicated_packets - dropped));
}

#[test]
fn tcp_delivers_every_byte_over_a_link_that_copies_reorders_and_damages() {
    let text = "rate=20mbit delay=5ms jitter=1ms reorder=1% by 3ms duplicate=2% corrupt=1%";
    let (world, a, b, link) = world(text);
    let address = SocketAddr::new(b.addresses()[0], 80);
    let sent: Vec<u8> = (0..400_000_u32).map(|n| ((n * 31) >> 5) as u8).collect();
    let expected = sent.clone();
    let receiver = b.clone();
    let got = world.run(async move {
        let listener = b.tcp_listen(address).unwrap();
        a.clone().spawn(async move {
            let stream = a.tcp_connect(address, &TcpOptions::default()).await.unwrap();
            stream.write_all(&sent).await.unwrap();
            stream.shutdown();
            a.sleep(Duration::from_secs(60)).await;
        });
        let (stream, _) = listener.accept().await.unwrap();
        let stream = b.attach_tcp(stream).unwrap();
        let mut got = BytesMut::new();
        while stream.read(&mut got).await.unwrap() > 0 {}
        got
    });
    assert!(got.is_some_and(|got| got == expected));
    let counters = link.counters(Direction::Up);
    assert!(counters.duplicated_packets > 0 && counters.reordered_packets > 0, "{counters:?}");
    assert!(world.corrupt_packets(&receiver) > 0);
}

#[test]
fn a_link_follows_a_schedule_in_virtual_time() {
    let (world, a, b, link) = world("delay=1ms");
    let schedule = "at 1s delay=30ms; square loss 0%/100% every 2s from 2s";
    link.follow(Direction::Up, &schedule.parse().expect("it is well formed"));
    let address = SocketAddr::new(b.addresses()[0], 9);
    let times = world.run(async move {
        let to = b.udp_bind(address, &UdpOptions::default()).unwrap();
        let from = a.udp_bind("0.0.0.0:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let times = Rc::new(RefCell::new(Vec::new()));
        let kept = Rc::clone(&times);
        b.spawn(async move {
            let mut buffer = DatagramBuffer::new();
            while to.receive(&mut buffer).await.is_ok() {
                let times = buffer.datagrams().map(|datagram| datagram.at.as_nanos() / 1_000_000);
                kept.borrow_mut().extend(times);
            }
        });
        a.sleep(Duration::from_millis(500)).await;
        for _ in 0..5 {
            from.try_send(b"x", address).unwrap();
            a.sleep(Duration::from_secs(1)).await;
        }
        times.borrow().clone()
    });
    // Sent at 0.5, 1.5, 2.5, 3.5 and 4.5 s; in the second half of each period all is lost.
    assert_eq!(times, Some(vec![501, 1530, 2530, 4530]));
}
