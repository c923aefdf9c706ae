//! Bodies of requests, and what pages measure.

use weir_record::Event;

use super::Room;

const EVENTS: &str = "/api/v1/sessions/0123456789abcdef/events";
const MEASURED: &str = "{\"stream\":\"movie\",\"at_utc_ms\":5.5,\"startup_ms\":120.25,\"stalls\":0,\
                        \"latency_ms\":{\"p50\":-1.5,\"count\":9},\"unknown\":1}";

#[test]
fn what_a_page_measures_becomes_a_record() {
    let mut room = Room::new("events");
    room.run(|mut client| async move {
        assert_eq!(client.post(EVENTS, MEASURED).await.status, 204);
    });
    let events = room.records();
    let report = events.iter().find_map(|event| match event {
        Event::PageReport(report) => Some(report),
        _ => None,
    });
    let report = report.unwrap();
    assert_eq!((&*report.session, &*report.stream), ("0123456789abcdef", "movie"));
    assert_eq!((report.utc_ns, report.startup_ns), (5_500_000, Some(120_250_000)));
    assert_eq!((report.stalls, report.stalled_ns), (Some(0), None));
    assert_eq!((report.latency_frames, report.latency_p50_ns), (Some(9), Some(-1_500_000)));
    assert_eq!(report.latency_p95_ns, None);
}

#[test]
fn what_is_no_measurement_is_refused_with_the_reason() {
    let room = Room::new("bad-events");
    room.run(|mut client| async move {
        let long = format!("{{\"stream\":\"{}\"}}", "a".repeat(60_000));
        for (path, body, status) in [
            ("/api/v1/sessions/short/events", MEASURED, 400),
            ("/api/v1/sessions/0123456789abcdeg/events", MEASURED, 400),
            (EVENTS, "", 400),
            (EVENTS, "{", 400),
            (EVENTS, "[]", 400),
            (EVENTS, "{\"stream\":5}", 400),
            (EVENTS, &long, 400),
            (EVENTS, "{\"stream\":\"nothing\",\"at_utc_ms\":1}", 404),
        ] {
            let answer = client.post(path, body).await;
            assert_eq!(answer.status, status, "{path} {}", &body[..body.len().min(50)]);
            assert!(answer.json()["error"].is_string());
        }
        let too_long = client.post(EVENTS, &"a".repeat(70_000)).await;
        assert_eq!(too_long.status, 413);
    });
}

#[test]
fn bodies_come_in_chunks_and_on_demand_too() {
    let room = Room::new("chunked");
    room.run(|mut client| async move {
        let (one, two) = MEASURED.split_at(30);
        let head = format!("POST {EVENTS} HTTP/1.1\r\nHost: h\r\n");
        let chunked = format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x};a=b\r\n{two}\r\n0\r\n\r\n",
            one.len(),
            two.len()
        );
        client.send(&chunked).await;
        assert_eq!(client.answer(true).await.unwrap().status, 204);
        let length = MEASURED.len();
        client.send(format!("{head}Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n")).await;
        assert_eq!(client.answer(true).await.unwrap().status, 100);
        client.send(MEASURED).await;
        assert_eq!(client.answer(true).await.unwrap().status, 204);
        // A body that nobody wants is read all the same, and the next request found behind it.
        client.send("GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").await;
        assert_eq!(client.answer(true).await.unwrap().status, 200);
        assert_eq!(client.get("/healthz", "").await.status, 200);
        let endless = format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", "8000\r\n".to_owned());
        client.send(endless).await;
        for _ in 0..3 {
            client.send(format!("{}\r\n8000\r\n", "x".repeat(0x8000))).await;
        }
        assert_eq!(client.answer(true).await.unwrap().status, 413);
    });
}
