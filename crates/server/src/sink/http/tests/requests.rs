//! Connections and requests that are as they should be.

use std::time::Duration;

use super::{Client, MOVIE, Room};
use crate::Settings;

#[test]
fn a_connection_serves_one_request_after_another() {
    let room = Room::new("keep-alive");
    let file = room.file(MOVIE);
    room.run(|mut client| async move {
        for _ in 0..3 {
            let answer = client.get("/movie.mp4", "").await;
            assert_eq!((answer.status, &answer.body), (200, &file));
            assert_eq!(client.get("/healthz", "").await.text(), "ok\n");
        }
        let last = client.get("/healthz", "Connection: close\r\n").await;
        assert_eq!(last.field("connection"), Some("close"));
        assert!(client.close().await < Duration::from_secs(1));
    });
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let room = Room::new("pipelining");
    let file = room.file(MOVIE);
    room.run(|mut client| async move {
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        let all = [get("/movie.mp4"), get("/healthz"), get("/nothing"), get("/movie.mp4")];
        client.send(all.concat()).await;
        assert_eq!(client.answer(true).await.unwrap().body, file);
        assert_eq!(client.answer(true).await.unwrap().text(), "ok\n");
        assert_eq!(client.answer(true).await.unwrap().status, 404);
        assert_eq!(client.answer(true).await.unwrap().body, file);
    });
}

#[test]
fn http_1_0_closes_behind_the_answer_unless_it_asks_not_to() {
    let room = Room::new("old");
    room.run(|mut client| async move {
        client.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        let answer = client.answer(true).await.unwrap();
        assert_eq!(answer.field("connection"), Some("keep-alive"));
        client.send("GET /healthz HTTP/1.0\r\n\r\n").await;
        assert_eq!(client.answer(true).await.unwrap().text(), "ok\n");
        client.close().await;
    });
}

#[test]
fn the_date_is_that_of_the_servers_own_clock() {
    let room = Room::new("date");
    room.run(|client| async move {
        client.host.sleep(Duration::from_secs(3600)).await;
        let mut client = client.again().await;
        let date = client.get("/healthz", "").await;
        assert_eq!(date.field("date"), Some("Thu, 01 Jan 2026 01:00:00 GMT"));
        let time = client.get("/api/v1/time", "").await.json();
        assert_eq!(time["utc_ms"].as_u64().unwrap() / 1000, 1_767_225_600 + 3600);
    });
}

#[test]
fn a_stream_has_a_page_and_its_name_alone_leads_there() {
    let room = Room::new("page");
    room.run(|mut client| async move {
        let moved = client.get("/movie?a=b", "").await;
        assert_eq!((moved.status, moved.field("location")), (308, Some("/movie/?a=b")));
        for path in ["/movie/", "/movie.mp4/", "/"] {
            let page = client.get(path, "").await;
            assert_eq!(page.status, 200, "{path}");
            assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
            let etag = page.field("etag").unwrap();
            let same = client.get(path, &format!("If-None-Match: {etag}\r\n")).await;
            assert_eq!((same.status, same.body.len()), (304, 0));
        }
    });
}

#[test]
fn methods_that_do_not_apply_are_refused_with_those_that_do() {
    let room = Room::new("methods");
    room.run(|mut client| async move {
        for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
            let answer = client.ask(method, "/movie.mp4", "").await;
            assert_eq!(answer.status, 405, "{method}");
            assert_eq!(answer.field("allow"), Some("GET, HEAD, OPTIONS"), "{method}");
        }
        let answer = client.ask("POST", "/api/v1/streams", "").await;
        assert_eq!((answer.status, answer.field("allow")), (405, Some("GET,HEAD")));
        let answer = client.get("/api/v1/sessions/0123456789abcdef/events", "").await;
        assert_eq!((answer.status, answer.field("allow")), (405, Some("POST")));
        let options = client.ask("OPTIONS", "/movie.mp4", "").await;
        assert_eq!(options.status, 204);
        assert_eq!(options.field("access-control-allow-origin"), Some("*"));
        assert_eq!(options.field("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(client.ask("OPTIONS", "*", "").await.status, 204);
    });
}

#[test]
fn whoever_asks_for_a_page_is_told_of_an_error_by_one() {
    let room = Room::new("error-page");
    room.run(|mut client| async move {
        let page = client.get("/%3Cb%3E", "Accept: text/html,*/*\r\n").await;
        assert_eq!(page.status, 404);
        assert!(page.text().contains("&lt;b&gt;") && !page.text().contains("<b>"), "{page:?}");
        let json = client.get("/nothing", "").await.json();
        assert!(json["error"].as_str().unwrap().contains("nothing"), "{json}");
        assert!(json["hint"].is_string());
    });
}

#[test]
fn connections_beyond_the_bound_are_told_so() {
    let settings = Settings { http_connections_max: 2, ..Settings::default() };
    let room = Room::with("many", settings, weir_link::Settings::default(), |_| {});
    room.run(|mut client| async move {
        let second = client.again().await;
        let mut third = client.again().await;
        let answer = third.answer(true).await.unwrap();
        assert_eq!(answer.status, 503);
        third.close().await;
        drop((second, third));
        client.host.sleep(Duration::from_secs(5)).await;
        assert_eq!(client.get("/healthz", "").await.status, 200);
        assert_eq!(client.again().await.get("/healthz", "").await.status, 200);
        let metrics = client.get("/metrics", "").await;
        assert!(metrics.text().contains("weir_http_connections_refused_total 1\n"));
    });
}

#[test]
fn answers_under_way_are_finished_when_the_server_ends() {
    let link = weir_link::Settings {
        rate: weir_link::Rate::bits_per_second(4_000_000),
        ..weir_link::Settings::default()
    };
    let room = Room::with("drain", Settings::default(), link, |_| {});
    let file = room.file(MOVIE);
    let Room { world, client, server, program, address, folder: _folder, .. } = room;
    let got = world.run(async move {
        let mut client = Client::connect(&client, address).await;
        client.send("GET /movie.mp4 HTTP/1.1\r\nHost: h\r\n\r\n").await;
        client.more().await.unwrap();
        let ending = server.clone();
        server.spawn(async move { program.drain(&ending, Duration::from_secs(5)).await });
        client.answer(true).await.unwrap().body
    });
    assert_eq!(got, Some(file));
}

#[test]
fn a_run_depends_on_nothing_but_its_seed() {
    let run = || {
        let room = Room::new("twice");
        room.run(|mut client| async move {
            let mut seen = Vec::new();
            for path in ["/movie.mp4", "/api/v1/streams", "/metrics", "/nothing"] {
                let answer = client.get(path, "Range: bytes=0-3,9-\r\n").await;
                seen.push((client.host.now(), answer.status, answer.body));
            }
            seen
        })
    };
    assert_eq!(run(), run());
}
