use core::time::Duration;

use weir_time::Instant;

use super::SETUP;
use crate::classroom::server::{Config, Connection, EndReason, Event, Input, Output};
use crate::rtsp::Status;

/// A connection with its clock, and what came out of it.
struct Talk {
    connection: Connection,
    now: Instant,
    movie: Result<(), Status>,
    replies: String,
    events: Vec<Event>,
    closed: bool,
}

impl Talk {
    /// The session of seed 23456 is 123456.
    fn new() -> Self {
        let connection = Connection::new(Config::default(), 23_456, Instant::ZERO);
        let (replies, events) = (String::new(), Vec::new());
        Talk { connection, now: Instant::ZERO, movie: Ok(()), replies, events, closed: false }
    }

    fn run(&mut self) -> Option<Instant> {
        loop {
            match self.connection.poll() {
                Output::Send(reply) => self.replies += core::str::from_utf8(&reply).unwrap(),
                Output::Close => self.closed = true,
                Output::Timeout(at) => return at,
                Output::Event(event) => {
                    if let Event::Setup { .. } = event {
                        self.connection.setup(self.movie);
                    }
                    self.events.push(event);
                }
            }
        }
    }

    /// Says something, and what came back within a tenth of a second.
    fn say(&mut self, text: &str) -> String {
        self.connection.handle(self.now, Input::Bytes(text.as_bytes()));
        self.run();
        self.now += Duration::from_millis(100);
        self.connection.handle(self.now, Input::Timer);
        self.run();
        std::mem::take(&mut self.replies)
    }
}

fn handout(method: &str, cseq: u32, session: u32) -> String {
    format!("{method} movie.Mjpeg RTSP/1.0\nCSeq: {cseq}\nSession: {session}")
}

fn ok(cseq: u32) -> String {
    format!("RTSP/1.0 200 OK\nCSeq: {cseq}\nSession: 123456\n")
}

#[test]
fn the_handouts_dialogue_goes_through_all_states() {
    let mut talk = Talk::new();
    assert_eq!(talk.say(SETUP), ok(1));
    assert_eq!(talk.say(&handout("PLAY", 2, 123_456)), ok(2));
    assert_eq!(talk.say(&handout("PAUSE", 3, 123_456)), ok(3));
    assert_eq!(talk.say(&handout("PLAY", 4, 123_456)), ok(4));
    assert_eq!(talk.say(&handout("TEARDOWN", 5, 123_456)), ok(5));
    let setup = Event::Setup { name: "movie.Mjpeg".to_owned(), port: 25_000 };
    let ended = Event::Ended { reason: EndReason::Teardown };
    assert_eq!(talk.events, [setup, Event::Play, Event::Pause, Event::Play, ended]);
    assert!(!talk.closed, "the client closes");
}

#[test]
fn the_students_dialogue_names_no_session_and_gets_the_same_replies() {
    let mut talk = Talk::new();
    assert_eq!(talk.say("SETUP movie.mjpeg\n1\n RTSP/1.0 RTP/UDP 5008"), ok(1));
    assert_eq!(talk.say("PLAY \n2"), ok(2));
    assert_eq!(talk.say("PAUSE \n3"), ok(3));
    assert_eq!(talk.say("TEARDOWN \n4"), ok(4));
    assert_eq!(talk.events[0], Event::Setup { name: "movie.mjpeg".to_owned(), port: 5_008 });
}

#[test]
fn requests_whose_last_number_is_the_one_that_must_come_are_answered_without_waiting() {
    let mut talk = Talk::new();
    talk.say(SETUP);
    talk.connection.handle(talk.now, Input::Bytes(handout("PLAY", 2, 123_456).as_bytes()));
    talk.run();
    assert_eq!(std::mem::take(&mut talk.replies), ok(2));
    talk.connection.handle(talk.now, Input::Bytes(b"PAUSE \n3"));
    talk.run();
    assert_eq!(talk.replies, ok(3));
}

#[test]
fn a_movie_that_is_not_there_is_404_and_another_one_may_be_asked_for() {
    let mut talk = Talk::new();
    talk.movie = Err(Status::NOT_FOUND);
    assert_eq!(talk.say(SETUP), "RTSP/1.0 404 Not Found\nCSeq: 1\nSession: 123456\n");
    let early = talk.say(&handout("PLAY", 2, 123_456));
    assert!(early.starts_with("RTSP/1.0 455 "), "{early}");
    talk.movie = Ok(());
    assert_eq!(talk.say(&SETUP.replace("CSeq: 1", "CSeq: 3")), ok(3));
}

#[test]
fn another_session_is_refused_with_454_and_another_state_with_455() {
    let mut talk = Talk::new();
    let unknown = talk.say(&handout("PLAY", 1, 7));
    assert_eq!(unknown, "RTSP/1.0 454 Session Not Found\nCSeq: 1\nSession: 123456\n");
    talk.say(SETUP);
    assert!(talk.say(&handout("PAUSE", 2, 123_456)).starts_with("RTSP/1.0 455 "));
    assert!(talk.say(&handout("PLAY", 3, 123_457)).starts_with("RTSP/1.0 454 "));
    assert!(talk.say(&SETUP.replace("CSeq: 1", "CSeq: 4")).starts_with("RTSP/1.0 455 "));
    assert_eq!(talk.say(&handout("PLAY", 5, 123_456)), ok(5));
    assert!(talk.say(&handout("PLAY", 6, 123_456)).starts_with("RTSP/1.0 455 "));
    assert!(!talk.closed);
}

#[test]
fn what_is_asked_at_the_wrong_time_is_told_in_words_that_say_what_is_wrong() {
    let mut talk = Talk::new();
    talk.say(&handout("PLAY", 1, 123_456));
    talk.say(SETUP);
    talk.say(&handout("PAUSE", 2, 123_456));
    talk.say(&SETUP.replace("CSeq: 1", "CSeq: 3"));
    talk.say(&handout("PLAY", 4, 123_456));
    talk.say(&handout("PLAY", 5, 123_456));
    let told: Vec<&str> = talk
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Refused { detail, .. } => Some(&**detail),
            _ => None,
        })
        .collect();
    let expected = [
        "PLAY before SETUP",
        "PAUSE while nothing plays",
        "SETUP, but a movie is set up already; TEARDOWN first",
        "PLAY while it plays already",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_cannot_be_read_is_400_with_its_number_and_the_connection_goes_on() {
    let mut talk = Talk::new();
    let answer = talk.say("SETUP m RTSP/1.0\nCSeq: 8\nTransport: RTP/UDP; client_port= 0\n");
    assert_eq!(answer, "RTSP/1.0 400 Bad Request\nCSeq: 8\nSession: 123456\n");
    assert_eq!(talk.say(SETUP), ok(1));
    assert!(matches!(talk.events[0], Event::Refused { status: Status::BAD_REQUEST, .. }));
}

#[test]
fn nothing_is_read_while_a_movie_is_looked_for() {
    let mut talk = Talk::new();
    let both = format!("{SETUP}\n{}", handout("PLAY", 2, 123_456));
    talk.connection.handle(talk.now, Input::Bytes(both.as_bytes()));
    assert!(matches!(talk.connection.poll(), Output::Event(Event::Setup { .. })));
    assert!(!talk.connection.wants_input());
    assert_eq!(talk.connection.poll(), Output::Timeout(None));
    talk.connection.setup(Ok(()));
    talk.run();
    assert_eq!(talk.replies, ok(1) + &ok(2));
}

#[test]
fn the_session_ends_with_its_connection() {
    let mut talk = Talk::new();
    talk.say(SETUP);
    talk.connection.handle(talk.now, Input::Closed);
    talk.run();
    assert_eq!(talk.events[1], Event::Ended { reason: EndReason::ConnectionClosed });
    assert!(talk.closed);
    assert_eq!(talk.connection.poll(), Output::Timeout(None));
}

#[test]
fn who_is_silent_is_given_up_after_a_minute_without_and_an_hour_with_a_session() {
    let mut talk = Talk::new();
    assert_eq!(talk.run(), Some(Instant::from_millis(60_000)));
    talk.say(SETUP);
    assert_eq!(talk.run(), Some(Instant::from_millis(3_600_000)));
    talk.connection.sign_of_life(Instant::from_millis(3_600_000));
    talk.connection.handle(Instant::from_millis(3_600_000), Input::Timer);
    assert_eq!(talk.run(), Some(Instant::from_millis(7_200_000)));
    talk.connection.handle(Instant::from_millis(7_200_000), Input::Timer);
    talk.run();
    assert!(talk.closed);
    assert_eq!(talk.events[1], Event::Ended { reason: EndReason::TimedOut });
}

#[test]
fn a_flood_without_a_request_ends_the_connection() {
    let mut talk = Talk::new();
    let answer = talk.say(&"x".repeat(70_000));
    assert!(answer.starts_with("RTSP/1.0 400 "), "{answer}");
    assert!(talk.closed);
}
