//! Who watches, as the API and the records tell it.

use std::time::Duration;

use weir_record::Event;

use super::Room;

#[test]
fn streams_are_listed_with_what_is_known_of_them() {
    let room = Room::new("streams");
    room.run(|mut client| async move {
        let all = client.get("/api/v1/streams", "Host: weir.example:8080\r\n").await;
        // Two Host fields are one too many.
        assert_eq!(all.status, 400);
        let mut client = client.again().await;
        let all = client.get("/api/v1/streams", "").await.json();
        let [movie] = &all["streams"].as_array().unwrap()[..] else { panic!("{all}") };
        assert_eq!(movie["name"], "movie");
        assert_eq!(movie["kind"], "movie");
        assert!(movie.get("duration_s").is_none() && movie.get("tracks").is_none(), "{movie}");
        assert_eq!(movie["urls"]["page"], "/movie/");
        assert_eq!(movie["urls"]["mp4"], "/movie.mp4");
        assert_eq!(movie["urls"]["rtsp"], "rtsp://server:8554/movie");
        let one = client.get("/api/v1/streams/movie", "").await.json();
        assert_eq!(one["duration_s"], 0.5);
        assert_eq!(one["tracks"][0]["codec"], "H264");
        assert_eq!(one["tracks"][0]["kind"], "video");
        assert!(one["tracks"][0]["codecs"].as_str().unwrap().starts_with("avc1."));
        assert!(one.get("pattern").is_none());
        let none = client.get("/api/v1/streams/nothing", "").await;
        assert_eq!(none.status, 404);
        assert!(none.json()["error"].is_string());
    });
}

#[test]
fn a_viewing_is_told_by_its_token_or_by_address_and_agent() {
    let mut room = Room::new("sessions");
    room.run(|mut client| async move {
        let one = "/movie.mp4?session=00112233445566778899";
        client.get(one, "User-Agent: page\r\nRange: bytes=0-99\r\n").await;
        client.again().await.get(one, "User-Agent: page\r\nRange: bytes=100-199\r\n").await;
        client.get("/movie.mp4", "User-Agent: player\r\n").await;
        client.again().await.get("/movie.mp4", "User-Agent: player\r\n").await;
        client.get("/movie.mp4", "User-Agent: other\r\n").await;
        client.ask("HEAD", "/movie.mp4", "User-Agent: looks only\r\n").await;
    });
    let clock = room.client.clone();
    room.world.run(async move { clock.sleep(Duration::from_secs(20)).await }).unwrap();
    let events = room.records();
    let began = events.iter().filter_map(|event| match event {
        Event::SessionBegan(began) => Some(began),
        _ => None,
    });
    let told = |text: &Option<_>| text.as_deref().map(str::to_owned);
    let by: Vec<_> = began.map(|b| (b.identified_by.to_string(), told(&b.user_agent))).collect();
    let expected =
        [("token", "page"), ("address and agent", "player"), ("address and agent", "other")];
    assert_eq!(by, expected.map(|(by, agent)| (by.to_owned(), Some(agent.to_owned()))));
    let ended: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::SessionEnded(ended) => Some(ended),
            _ => None,
        })
        .collect();
    assert_eq!(ended.iter().map(|ended| ended.requests).collect::<Vec<_>>(), [2, 2, 1]);
    assert!(ended.iter().all(|ended| &*ended.reason == "timeout"));
    assert_eq!(&*ended[0].session, "00112233445566778899");
    assert!((200..2000).contains(&ended[0].bytes), "{}", ended[0].bytes);
    assert!(ended[1].bytes > 400_000, "{}", ended[1].bytes);
}

#[test]
fn what_is_not_for_viewers_is_for_programs_of_the_same_machine() {
    let mut room = Room::new("administer");
    room.run(|mut client| async move {
        let answer = client.get("/api/v1/sessions", "").await;
        assert_eq!(answer.status, 403);
        assert!(answer.json()["error"].as_str().unwrap().contains("own machine"));
    });
    assert!(room.records().iter().any(|event| matches!(event, Event::Refused(_))));
}

#[test]
fn sessions_are_bounded_and_the_oldest_goes() {
    use super::super::sessions::{Asking, Sessions};
    use weir_time::Instant;

    let mut sessions = Sessions::default();
    let records = weir_record::Sink::none();
    let asking = |number: u64| Asking {
        stream: "movie".into(),
        token: Some(format!("{number:016x}")),
        protocol: None,
        peer: "10.0.0.1:5".parse().unwrap(),
        agent: None,
    };
    for number in 0..10_005 {
        sessions.ask(asking(number), Instant::from_millis(number), &records);
    }
    assert_eq!((sessions.iter().count(), sessions.dropped()), (10_000, 5));
    assert_eq!(sessions.iter().next().unwrap().1.began, Instant::from_millis(5));
}
