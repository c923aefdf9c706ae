//! What should not be sent, and peers that are too slow.

use std::time::Duration;

use super::{MOVIE, Room};
use crate::Settings;
use crate::movie::stub;

#[test]
fn what_is_no_request_is_refused_and_others_are_served_on() {
    let room = Room::new("garbage");
    room.run(|mut client| async move {
        let long_line = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(10_000));
        let huge = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n", "a".repeat(1 << 20));
        let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(10_000));
        let cases: [(&str, u16); 14] = [
            ("\u{16}\u{3}\u{1}\u{2}hello", 400),
            ("hello\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/3.7\r\nHost: h\r\n\r\n", 505),
            ("GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", 400),
            ("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 501),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n", 413),
            (&long_line, 414),
            (&huge, 431),
            (&many, 431),
        ];
        for (data, status) in cases {
            let start: String = data.chars().take(60).collect();
            let mut bad = client.again().await;
            bad.send(data).await;
            let answer = bad.answer(true).await.unwrap_or_else(|| panic!("{start:?}"));
            assert_eq!(answer.status, status, "{start:?}");
            assert_eq!(answer.field("connection"), Some("close"), "{start:?}");
            assert!(bad.close().await < Duration::from_secs(3), "{start:?}");
        }
        assert_eq!(client.get("/healthz", "").await.status, 200);
    });
}

#[test]
fn a_request_that_comes_too_slowly_is_given_up() {
    let room = Room::new("slowloris");
    room.run(|mut client| async move {
        let start = client.host.now();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n").await;
        for _ in 0..9 {
            client.host.sleep(Duration::from_secs(1)).await;
            client.send("X: y\r\n").await;
        }
        assert_eq!(client.answer(true).await.unwrap().status, 408);
        client.close().await;
        let took = client.host.now().since(start).as_secs();
        assert!((10..13).contains(&took), "{took}");
        let mut body = client.again().await;
        body.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{").await;
        assert_eq!(body.answer(true).await.unwrap().status, 408);
    });
}

#[test]
fn an_idle_connection_is_closed_after_a_minute() {
    let room = Room::new("idle");
    room.run(|mut client| async move {
        assert_eq!(client.close().await.as_secs(), 60);
        let mut used = client.again().await;
        used.get("/healthz", "").await;
        assert_eq!(used.close().await.as_secs(), 60);
    });
}

#[test]
fn a_slow_reader_gets_everything_and_one_who_takes_nothing_is_given_up() {
    let link = weir_link::Settings {
        rate: weir_link::Rate::bits_per_second(100_000),
        ..weir_link::Settings::default()
    };
    let room = Room::with("slow", Settings::default(), link, |folder| {
        stub::write(&folder.join("long.mp4"), &[1 << 20; 10]);
    });
    let file = room.file(MOVIE);
    room.run(|mut client| async move {
        assert_eq!(client.get("/movie.mp4", "").await.body, file);
        client.send("GET /long.mp4 HTTP/1.1\r\nHost: h\r\n\r\n").await;
        // Nothing is read: first the windows fill, then nothing goes any more.
        client.host.sleep(Duration::from_secs(1500)).await;
        assert_eq!(client.answer(true).await, None);
        let metrics = client.again().await.get("/metrics", "").await;
        let line = "weir_dropped_total{what=\"http peers that took nothing\"} 1\n";
        assert!(metrics.text().contains(line), "{}", metrics.text());
    });
}

#[test]
fn peers_that_leave_in_the_middle_leave_nothing_behind() {
    let room = Room::new("leave");
    room.run(|mut client| async move {
        for text in ["", "GET", "GET /movie.mp4 HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\n"] {
            let other = client.again().await;
            other.send(text).await;
            drop(other);
        }
        client.host.sleep(Duration::from_secs(30)).await;
        let metrics = client.get("/metrics", "").await;
        assert!(metrics.text().contains("weir_http_connections 1\n"), "{}", metrics.text());
    });
}
