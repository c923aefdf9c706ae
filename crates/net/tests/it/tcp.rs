//! Connections: streams of bytes, back-pressure, endings.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::BytesMut;
use weir_net::{BatchStorage, Doorbell, Sent, TcpOptions, TcpStream, timeout};

use crate::worlds::{Pair, in_both};

/// The two ends of one connection: the server's, then the client's.
async fn connected(pair: &Pair) -> (TcpStream, TcpStream) {
    let listener = pair.server.tcp_listen(pair.any_port()).unwrap();
    let options = TcpOptions { no_delay: true, ..TcpOptions::default() };
    let client = pair.client.tcp_connect(listener.local_address(), &options).await.unwrap();
    let (detached, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, client.local_address());
    (pair.server.attach_tcp(detached).unwrap(), client)
}

#[test]
fn bytes_arrive_in_order_and_a_half_close_is_seen() {
    in_both(|pair| async move {
        let (server, client) = connected(&pair).await;
        client.write_all(b"hello ").await.unwrap();
        client.write_all(b"world").await.unwrap();
        client.shutdown();
        let mut got = BytesMut::new();
        while server.read(&mut got).await.unwrap() > 0 {}
        assert_eq!(&got[..], b"hello world");
        server.write_all(b"bye").await.unwrap();
        drop(server);
        let mut got = BytesMut::new();
        while client.read(&mut got).await.unwrap() > 0 {}
        assert_eq!(&got[..], b"bye");
    });
}

#[test]
fn nobody_listening_is_a_refusal() {
    in_both(|pair| async move {
        let listener = pair.server.tcp_listen(pair.any_port()).unwrap();
        let address = listener.local_address();
        drop(listener);
        let refused = pair.client.tcp_connect(address, &TcpOptions::default()).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_full_socket_blocks_and_rings_when_it_has_room() {
    in_both(|pair| async move {
        let (server, client) = connected(&pair).await;
        let bell = Doorbell::new();
        server.ring_when_writable(&bell, 5);
        let chunk = vec![3u8; 100_000];
        let mut storage = BatchStorage::new();
        let mut written = 0;
        loop {
            let mut batch = storage.begin();
            batch.tcp(&server);
            batch.slice(&chunk);
            match batch.submit(&pair.server)[0] {
                Sent::Bytes(bytes) => written += bytes,
                Sent::Blocked => break,
                Sent::Failed(error) => panic!("{error}"),
            }
            assert!(written < 1 << 28, "the socket is never full");
            // Lets the simulated network move what was written.
            pair.server.sleep(Duration::from_millis(1)).await;
        }
        let mut got = BytesMut::new();
        while got.len() < written {
            client.read(&mut got).await.unwrap();
        }
        let mut keys = Vec::new();
        timeout(&pair.server, Duration::from_secs(5), bell.rung(&mut keys)).await.unwrap();
        assert_eq!(keys, [5]);
        assert_eq!(server.try_write(b"more").unwrap(), 4);
    });
}

#[test]
fn what_waits_unsent_is_bounded_by_the_low_water_mark() {
    in_both(|pair| async move {
        let (server, client) = connected(&pair).await;
        let low_water =
            TcpOptions { not_sent_low_water_bytes: Some(131_072), ..TcpOptions::default() };
        server.set_options(&low_water).unwrap();
        let chunk = vec![3u8; 65_536];
        while server.try_write(&chunk).is_ok() {
            pair.server.sleep(Duration::from_millis(1)).await;
        }
        assert!(server.unacknowledged_bytes().is_none_or(|bytes| bytes > 0));
        drop(client);
        let ended = timeout(&pair.server, Duration::from_secs(5), async {
            let mut buffer = BytesMut::new();
            server.read(&mut buffer).await
        });
        assert!(ended.await.expect("the end is seen").is_err());
    });
}
