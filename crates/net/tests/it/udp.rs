//! Datagrams and trains.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use weir_link::{Direction, Loss, Settings};
use weir_net::sim::{Fate, World};
use weir_net::{BatchStorage, DatagramBuffer, Host, Sent, UdpOptions, UdpSocket, timeout};

use crate::worlds::in_both;

async fn receive_all(host: &Host, socket: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    let mut buffer = DatagramBuffer::new();
    let mut out = Vec::new();
    while out.len() < count {
        let received = timeout(host, Duration::from_secs(5), socket.receive(&mut buffer)).await;
        received.expect("the datagrams arrive").unwrap();
        out.extend(buffer.datagrams().map(|datagram| datagram.data.to_vec()));
    }
    out
}

#[test]
fn a_train_arrives_as_its_datagrams() {
    in_both(|pair| async move {
        let to = pair.server.udp_bind(pair.any_port(), &UdpOptions::default()).unwrap();
        let any = "0.0.0.0:0".parse().unwrap();
        let from = pair.client.udp_bind(any, &UdpOptions::default()).unwrap();
        let payload = [7u8; 30];
        let mut storage = BatchStorage::new();
        let mut batch = storage.begin();
        batch.udp(&from, to.local_address(), 14);
        for piece in payload.chunks(10) {
            batch.header(b"head");
            batch.slice(piece);
        }
        batch.udp(&from, to.local_address(), 4);
        batch.header(b"tail");
        assert_eq!(batch.submit(&pair.client), [Sent::Bytes(42), Sent::Bytes(4)]);
        let got = receive_all(&pair.server, &to, 4).await;
        let whole = [b"head".as_slice(), &[7; 10]].concat();
        assert_eq!(got, [whole.clone(), whole.clone(), whole, b"tail".to_vec()]);
    });
}

#[test]
fn one_port_serves_many_addresses_in_one_batch() {
    in_both(|pair| async move {
        let from =
            pair.client.udp_bind("0.0.0.0:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let bind = || pair.server.udp_bind(pair.any_port(), &UdpOptions::default()).unwrap();
        let receivers: Vec<_> = (0..50).map(|_| bind()).collect();
        let shared = vec![1u8; 1000];
        let mut storage = BatchStorage::new();
        let mut batch = storage.begin();
        for (index, receiver) in receivers.iter().enumerate() {
            batch.udp(&from, receiver.local_address(), 1001);
            batch.header(&[index as u8]);
            batch.slice(&shared);
        }
        assert!(batch.submit(&pair.client).iter().all(|sent| *sent == Sent::Bytes(1001)));
        for (index, receiver) in receivers.iter().enumerate() {
            let got = receive_all(&pair.server, receiver, 1).await;
            assert_eq!((got[0].len(), got[0][0]), (1001, index as u8));
        }
    });
}

#[test]
fn a_busy_port_is_refused() {
    in_both(|pair| async move {
        let first = pair.server.udp_bind(pair.any_port(), &UdpOptions::default()).unwrap();
        let again = pair.server.udp_bind(first.local_address(), &UdpOptions::default());
        assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    });
}

#[test]
fn what_a_link_loses_is_counted_shown_and_missing() {
    let world = World::new(3);
    let (a, b) = (world.host("a"), world.host("b"));
    let lossy = Settings { loss: Loss::Independent(0.2), ..Settings::default() };
    let link = world.join(&a, &b, lossy, Settings::default()).unwrap();
    let lost = Rc::new(RefCell::new(0));
    let seen = Rc::clone(&lost);
    world.on_packet(move |event| {
        if matches!(event.fate, Fate::Dropped(_)) {
            *seen.borrow_mut() += event.datagram.map_or(0, |data| usize::from(data == b"x"));
        }
    });
    let address = std::net::SocketAddr::new(b.addresses()[0], 9);
    let got = world.run(async move {
        let to = b.udp_bind(address, &UdpOptions::default()).unwrap();
        let from = a.udp_bind("0.0.0.0:0".parse().unwrap(), &UdpOptions::default()).unwrap();
        let receiver = b.clone();
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
            receiver.sleep(Duration::from_millis(1)).await;
        }
        *count.borrow()
    });
    let lost = *lost.borrow();
    assert_eq!(got, Some(1000 - lost));
    assert_eq!(link.counters(Direction::Up).dropped_loss_packets, lost as u64);
    assert!((150..250).contains(&lost), "{lost}");
}
