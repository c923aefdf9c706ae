use core::time::Duration;

use weir_time::Instant;

use crate::classroom::client::{Cause, Config, Connection, Error, Event, Input, Output};
use crate::classroom::{Method, server};
use crate::rtsp::Status;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn connection() -> Connection {
    Connection::new("movie.Mjpeg", 25_000, Config::default(), at(0)).unwrap()
}

/// Everything that comes until it waits.
fn drain(connection: &mut Connection) -> (Vec<String>, Vec<Event>, Option<Instant>) {
    let (mut sent, mut events) = (Vec::new(), Vec::new());
    loop {
        match connection.poll() {
            Output::Send(bytes) => sent.push(String::from_utf8(bytes.to_vec()).unwrap()),
            Output::Event(event) => events.push(event),
            Output::Timeout(at) => return (sent, events, at),
            Output::Close => {}
        }
    }
}

fn answer(connection: &mut Connection, now: Instant, text: &str) -> Vec<Event> {
    connection.handle(now, Input::Bytes(text.as_bytes()));
    drain(connection).1
}

#[test]
fn requests_are_spelt_as_the_handout_spells_them() {
    let mut client = connection();
    for method in Method::ALL {
        client.ask(at(0), method).unwrap();
    }
    assert_eq!(
        drain(&mut client).0,
        ["SETUP movie.Mjpeg RTSP/1.0\nCSeq: 1\nTransport: RTP/UDP; client_port= 25000"]
    );
    client.handle(at(1), Input::Bytes(b"RTSP/1.0 200 OK\nCSeq: 1\nSession: 123456\n"));
    assert_eq!(
        drain(&mut client).0,
        ["PLAY movie.Mjpeg RTSP/1.0\nCSeq: 2\nSession: 123456"],
        "one at a time"
    );
}

#[test]
fn a_reply_without_an_end_is_taken_after_a_silence_that_does_not_count() {
    let mut client = connection();
    client.ask(at(0), Method::Setup).unwrap();
    drain(&mut client);
    client.handle(at(20), Input::Bytes(b"RTSP/1.0 200 OK\nCSeq: 1\nSession: 99"));
    let (_, events, timeout) = drain(&mut client);
    assert_eq!((events.len(), timeout), (0, Some(at(70))));
    client.handle(at(70), Input::Timer);
    let round_trip = Duration::from_millis(20);
    let done = Event::Done { method: Method::Setup, status: Status::OK, round_trip };
    assert_eq!(drain(&mut client).1, [done]);
    assert_eq!(client.session(), Some(99));
    // From here on the session ends a reply by itself.
    client.ask(at(100), Method::Play).unwrap();
    drain(&mut client);
    let events = answer(&mut client, at(101), "RTSP/1.0 200 OK\nCSeq: 2\nSession: 99");
    assert!(matches!(events[..], [Event::Done { method: Method::Play, .. }]), "{events:?}");
}

#[test]
fn an_error_that_is_not_answered_is_a_failure_after_the_time_limit() {
    let mut client = connection();
    client.ask(at(0), Method::Setup).unwrap();
    assert_eq!(drain(&mut client).2, Some(at(5_000)));
    client.handle(at(5_000), Input::Timer);
    let (_, events, _) = drain(&mut client);
    let [Event::Failed(failure)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(failure.cause, Cause::TimedOut { after: Duration::from_secs(5) });
    assert!(failure.to_string().starts_with("SETUP movie.Mjpeg: no reply within 5 s"));
}

#[test]
fn a_refusal_names_the_servers_own_words() {
    let mut client = connection();
    client.ask(at(0), Method::Setup).unwrap();
    drain(&mut client);
    let events = answer(&mut client, at(3), "RTSP/1.0 404 NOT FOUND\n\n");
    let [Event::Failed(failure)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(failure.to_string(), "SETUP movie.Mjpeg: the server answered 404 NOT FOUND");
}

#[test]
fn replies_to_other_requests_are_counted_and_passed_over() {
    let mut client = connection();
    client.ask(at(0), Method::Setup).unwrap();
    drain(&mut client);
    assert!(answer(&mut client, at(1), "RTSP/1.0 200 OK\nCSeq: 9\nSession: 1\n").is_empty());
    assert_eq!(client.stray_replies(), 1);
    assert_eq!(answer(&mut client, at(2), "RTSP/1.0 200 OK\nCSeq: 1\nSession: 1\n").len(), 1);
}

#[test]
fn a_connection_that_ends_fails_what_was_asked() {
    let mut client = connection();
    client.ask(at(0), Method::Setup).unwrap();
    client.handle(at(1), Input::Closed);
    let (_, events, timeout) = drain(&mut client);
    let [Event::Failed(failure)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&failure.cause, timeout), (&Cause::ConnectionLost, None));
    assert_eq!(client.ask(at(2), Method::Play), Err(Error::Closed));
}

#[test]
fn a_name_that_a_line_cannot_carry_is_refused() {
    for name in ["", "my movie", "a\nTEARDOWN", "\0"] {
        let made = Connection::new(name, 1, Config::default(), at(0));
        assert_eq!(made.unwrap_err(), Error::Name(name.to_owned()));
    }
}

#[test]
fn both_ends_talk_to_each_other() {
    let mut client = connection();
    let mut peer = server::Connection::new(server::Config::default(), 5, at(0));
    for method in [Method::Setup, Method::Play, Method::Pause, Method::Teardown] {
        client.ask(at(0), method).unwrap();
    }
    let mut done = Vec::new();
    for ms in 0..20 {
        let (sent, events, _) = drain(&mut client);
        done.extend(events);
        for request in sent {
            peer.handle(at(ms), server::Input::Bytes(request.as_bytes()));
        }
        loop {
            match peer.poll() {
                server::Output::Send(reply) => client.handle(at(ms), Input::Bytes(&reply)),
                server::Output::Event(server::Event::Setup { .. }) => peer.setup(Ok(())),
                server::Output::Timeout(_) => break,
                _ => {}
            }
        }
    }
    let is_done = |event: &Event| matches!(event, Event::Done { .. });
    assert_eq!(done.iter().filter(|event| is_done(event)).count(), 4);
}
