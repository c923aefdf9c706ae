//! How streams and connections end.

use super::*;

fn ended(role: Role, reason: EndReason) -> Event {
    Event::Ended { stream: StreamId(1), role, reason }
}

#[test]
fn deleting_or_closing_a_stream_ends_publishing_at_once() {
    let number = Value::Number(1.0);
    for command in [
        Command::new("deleteStream", 6.0, [number]),
        Command::new("closeStream", 0.0, []),
        Command::new("FCUnpublish", 6.0, ["key".into()]),
        Command::new("publish", 0.0, [false.into()]),
    ] {
        let mut peer = Peer::publishing();
        let seen = peer.command(&command, StreamId(1));
        assert!(commands(&seen).contains(&"onStatus NetStream.Unpublish.Success".to_owned()));
        assert_eq!(events(seen), [ended(Role::Publisher, EndReason::Asked)], "{}", command.name);
        // What still comes belongs to nobody.
        assert_eq!(peer.message(&media(Kind::Audio, 0, 1)), []);
        assert_eq!(peer.connection.stray_messages(), 1);
    }
}

#[test]
fn unpublishing_and_then_deleting_ends_it_once() {
    let mut peer = Peer::publishing();
    let seen = peer.command(&Command::new("FCUnpublish", 6.0, ["key".into()]), StreamId(0));
    assert_eq!(events(seen).len(), 1);
    let seen = peer.command(&Command::new("deleteStream", 7.0, [1.0.into()]), StreamId(0));
    assert_eq!((commands(&seen), events(seen)), (vec!["_result".to_owned()], vec![]));
}

#[test]
fn a_stream_that_was_deleted_can_be_made_again() {
    let mut peer = Peer::publishing();
    peer.command(&Command::new("deleteStream", 6.0, [1.0.into()]), StreamId(0));
    let seen = peer.command(&Command::new("createStream", 7.0, []), StreamId(0));
    let [Seen::Command(result, _)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(result.argument(1).as_number(), Some(1.0));
}

#[test]
fn publishing_again_on_the_same_stream_replaces_what_was() {
    let mut peer = Peer::publishing();
    let seen = peer.command(&Command::new("publish", 8.0, ["other".into()]), StreamId(1));
    let events = events(seen);
    assert_eq!(events[0], ended(Role::Publisher, EndReason::Replaced));
    assert!(matches!(&events[1], Event::Publish { target, .. } if target.name == "other"));
}

#[test]
fn a_connection_that_breaks_ends_its_streams_with_the_reason() {
    let mut peer = Peer::publishing();
    peer.connection.handle(peer.now, Input::Closed);
    let seen = peer.drain();
    assert_eq!(seen[1], Seen::Close);
    assert_eq!(events(seen), [ended(Role::Publisher, EndReason::ConnectionClosed)]);
    assert!(!peer.connection.wants_input());
}

#[test]
fn a_stream_that_cannot_be_read_on_ends_with_where_and_why() {
    let mut peer = Peer::publishing();
    let mut events = events(peer.bytes(&[0xff]));
    assert!(peer.closed);
    let Some(Event::Ended { reason: EndReason::Unreadable(error), .. }) = events.pop() else {
        panic!("{events:?}");
    };
    assert_eq!((error.stream, error.came), (63, 3));
    let Some(Event::Refused { detail, .. }) = events.pop() else { panic!() };
    assert!(detail.starts_with("chunk stream 63, byte "), "{detail}");
}

#[test]
fn a_publisher_that_falls_silent_is_given_up_by_the_timer_silence() {
    let mut peer = Peer::publishing();
    assert_eq!(peer.wait(), (Duration::ZERO, vec![]));
    peer.now += Duration::from_secs(10);
    peer.message(&media(Kind::Audio, 0, 1));
    let (waited, seen) = peer.wait();
    assert_eq!(waited, Duration::from_secs(15));
    let reason = EndReason::Silence(waited);
    assert_eq!(events(seen)[1..], [ended(Role::Publisher, reason)]);
    assert!(peer.closed);
}

#[test]
fn a_client_that_does_nothing_is_given_up_by_its_timers() {
    let mut peer = Peer::new();
    let (waited, seen) = peer.wait();
    assert_eq!((waited, peer.closed), (Duration::from_secs(10), true));
    assert!(
        matches!(&events(seen)[..], [Event::Refused { what, .. }] if what == "timer handshake")
    );
    let mut peer = Peer::connected("live");
    peer.wait();
    let (waited, seen) = peer.wait();
    assert_eq!((waited, peer.closed), (Duration::from_secs(30), true));
    assert!(matches!(&events(seen)[..], [Event::Refused { what, .. }] if what == "timer idle"));
}

#[test]
fn no_timer_runs_while_a_stream_is_played_or_a_question_is_pending() {
    let mut peer = Peer::playing();
    peer.wait();
    assert_eq!(peer.connection.poll(), Output::Timeout(None));
    let mut peer = Peer::connected("live");
    peer.ask_to_play("key");
    assert_eq!(peer.connection.poll(), Output::Timeout(None));
}

#[test]
fn a_player_is_told_that_the_stream_is_over() {
    let mut peer = Peer::playing();
    let why = Refusal::new(Code::PLAY_FAILED, "the publisher has ended the stream");
    peer.connection.finish(StreamId(1), &why).unwrap();
    let seen = peer.drain();
    let expected = ["onStatus NetStream.Play.UnpublishNotify", "onStatus NetStream.Play.Stop"];
    assert_eq!(commands(&seen), expected);
    assert_eq!(events(seen), [ended(Role::Player, EndReason::Told)]);
    assert_eq!(peer.connection.finish(StreamId(1), &why), Err(Error::NoStream(StreamId(1))));
}

#[test]
fn a_publisher_that_is_turned_out_is_told_why_and_has_a_while_to_close() {
    let mut peer = Peer::publishing();
    let why = Refusal::new(Code::PUBLISH_DENIED, "an operator has ended it");
    peer.connection.finish(StreamId(1), &why).unwrap();
    let seen = peer.drain();
    assert_eq!(commands(&seen), ["onStatus NetStream.Publish.Denied"]);
    peer.wait();
    assert_eq!(peer.wait(), (Duration::from_secs(5), vec![Seen::Close]));
}

#[test]
fn a_connection_that_the_server_closes_ends_its_streams() {
    let mut peer = Peer::playing();
    peer.connection.close();
    let seen = peer.drain();
    assert_eq!(events(seen), [ended(Role::Player, EndReason::Told)]);
    assert!(peer.closed);
}

#[test]
fn bytes_pushed_against_the_machines_will_are_bounded() {
    let mut peer = Peer::connected("live");
    peer.ask_to_play("key");
    for _ in 0..20 {
        peer.bytes(&[0; 100_000]);
    }
    assert!(peer.closed);
    assert!(peer.connection.excess_bytes() > 0);
}
