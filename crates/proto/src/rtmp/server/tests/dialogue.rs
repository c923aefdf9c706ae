//! What is answered to whom.

use super::*;
use crate::rtmp::command;
use crate::rtmp::message::User;
use crate::rtmp::pack::FAN_OUT_CHUNK_BYTES;

#[test]
fn connect_is_asked_and_answered_with_window_bandwidth_chunk_size_and_result() {
    let mut peer = Peer::new();
    let mut command = connect("live?token=7");
    if let Value::Object(object) = &mut command.arguments[0] {
        object.push(("objectEncoding".into(), 3.0.into()));
        object.push(("fourCcList".into(), Value::StrictArray(vec!["hvc1".into(), "*".into()])));
        let map = Value::object([("hvc1", 4.0.into()), ("av01", 4.0.into())]);
        object.push(("videoFourCcInfoMap".into(), map));
    }
    let seen = peer.command(&command, StreamId(0));
    let [Seen::Event(Event::Connect { token, client })] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(
        (client.app.as_str(), client.codecs.join(" ").as_str()),
        ("live?token=7", "hvc1 * av01")
    );
    assert!(!peer.connection.wants_input());
    peer.connection.connect(*token, Ok(())).unwrap();
    assert_eq!(peer.connection.connect(*token, Ok(())), Err(Error::NotPending(*token)));
    let seen = peer.drain();
    assert_eq!(seen[0], Seen::Control(Control::WindowAckSize(2_500_000)));
    let bandwidth = Control::SetPeerBandwidth { window_bytes: 2_500_000, limit: 2 };
    assert_eq!(seen[1], Seen::Control(bandwidth));
    let Seen::Command(result, StreamId(0)) = &seen[2] else { panic!("{seen:?}") };
    assert_eq!((result.name.as_str(), result.transaction), ("_result", 1.0));
    let info = result.argument(1);
    assert_eq!(info.get("code").unwrap().as_str(), Some("NetConnection.Connect.Success"));
    assert_eq!(info.get("objectEncoding").unwrap().as_number(), Some(3.0));
    assert!(matches!(info.get("fourCcList"), Some(Value::StrictArray(list)) if list.len() == 7));
    assert_eq!(peer.connection.client().unwrap().app, "live?token=7");
}

#[test]
fn a_publisher_as_obs_does_it() {
    let mut peer = Peer::connected("live");
    let mut seen = Vec::new();
    for (name, transaction) in [("releaseStream", 2.0), ("FCPublish", 3.0)] {
        seen.extend(peer.command(&Command::new(name, transaction, ["key".into()]), StreamId(0)));
    }
    assert_eq!(commands(&seen), ["_result", "_result", "onFCPublish NetStream.Publish.Start"]);
    let seen = peer.command(&Command::new("createStream", 4.0, []), StreamId(0));
    let [Seen::Command(result, _)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((result.transaction, result.argument(1).as_number()), (4.0, Some(1.0)));
    let publish = Command::new("publish", 5.0, ["key?user=a".into(), "live".into()]);
    let mut events = events(peer.command(&publish, StreamId(1)));
    let Some(Event::Publish { token, stream, target, kind }) = events.pop() else { panic!() };
    assert_eq!((stream, target.path().as_str(), kind.as_str()), (StreamId(1), "live/key", "live"));
    assert_eq!(target.query, "user=a");
    peer.connection.publish(token, Ok(())).unwrap();
    let seen = peer.drain();
    assert_eq!(seen[0], Seen::Control(Control::User(User::StreamBegin(StreamId(1)))));
    assert_eq!(commands(&seen), ["onStatus NetStream.Publish.Start"]);
    assert!(matches!(seen[1], Seen::Command(_, StreamId(1))), "on the stream itself");
}

#[test]
fn media_and_metadata_of_a_publisher_are_handed_on() {
    let mut peer = Peer::publishing();
    let values = Value::ecma_array([("width", 320.0.into())]);
    let body = command::data_body(&["@setDataFrame".into(), "onMetaData".into(), values.clone()]);
    let data = Message { kind: Kind::DataAmf0, time_ms: 0, stream: StreamId(1), body };
    let event = Event::Metadata { stream: StreamId(1), values };
    assert_eq!(peer.message(&data), [Seen::Event(event)]);
    let message = media(Kind::Audio, 23, 1);
    assert_eq!(peer.message(&message), [Seen::Media(StreamId(1), message)]);
    let body = command::data_body(&["onCuePoint".into(), 7.0.into()]);
    let cue = Message { time_ms: 9, body, ..data };
    let (name, values) = ("onCuePoint".to_owned(), vec![7.0.into()]);
    let event = Event::Data { stream: StreamId(1), time_ms: 9, name, values };
    assert_eq!(peer.message(&cue), [Seen::Event(event)]);
}

#[test]
fn what_opens_a_stream_comes_before_anything_that_is_sent_behind_the_answer() {
    let mut peer = Peer::connected("live");
    peer.command(&Command::new("createStream", 2.0, []), StreamId(0));
    let token = peer.ask_to_play("key");
    let mut opening = BytesMut::new();
    let mut writer = Writer::new();
    writer.set_chunk_bytes(FAN_OUT_CHUNK_BYTES, &mut BytesMut::new());
    let config = media(Kind::Video, 0, 1);
    writer.write(ChunkStreamId::VIDEO, &config, &mut opening);
    peer.connection.play(token, Ok(opening.freeze())).unwrap();
    let seen = peer.drain();
    assert_eq!(seen[0], Seen::Control(Control::User(User::StreamBegin(StreamId(1)))));
    let statuses = ["onStatus NetStream.Play.Reset", "onStatus NetStream.Play.Start"];
    assert_eq!(commands(&seen), statuses);
    assert_eq!(seen[3], Seen::Message(config));
    assert_eq!(seen.len(), 4);
}

#[test]
fn where_to_start_is_read_in_the_forms_that_players_send() {
    for (start, expected) in [
        (Some(-2000.0), Start::Any),
        (Some(-2.0), Start::Any),
        (Some(0.0), Start::Any),
        (Some(-1000.0), Start::Live),
        (Some(5000.0), Start::Recorded { from_ms: 5000 }),
        (None, Start::Any),
    ] {
        let mut peer = Peer::connected("live");
        let mut play = Command::new("play", 0.0, ["key".into()]);
        play.arguments.extend(start.map(Value::Number));
        let events = events(peer.command(&play, StreamId(1)));
        assert!(matches!(&events[..], [Event::Play { start, .. }] if *start == expected));
    }
}

#[test]
fn a_player_that_halts_is_told_so_and_so_is_the_driver() {
    let mut peer = Peer::playing();
    let seen = peer.command(&Command::new("pause", 0.0, [true.into(), 700.0.into()]), StreamId(1));
    assert_eq!(commands(&seen), ["onStatus NetStream.Pause.Notify"]);
    let event = Event::Pause { stream: StreamId(1), paused: true, at_ms: 700 };
    assert_eq!(events(seen), [event]);
    let seen = peer.command(&Command::new("pause", 0.0, [false.into()]), StreamId(1));
    assert_eq!(commands(&seen), ["onStatus NetStream.Unpause.Notify"]);
    let seen = peer.command(&Command::new("seek", 0.0, [5000.0.into()]), StreamId(1));
    assert_eq!(commands(&seen), ["onStatus NetStream.Seek.Failed"]);
    let seen = peer.command(&Command::new("receiveVideo", 0.0, [false.into()]), StreamId(1));
    let kind = weir_media::Kind::Video;
    let event = Event::Receive { stream: StreamId(1), kind, wanted: false };
    assert_eq!(events(seen), [event]);
}

#[test]
fn questions_that_nothing_depends_on_are_answered() {
    let mut peer = Peer::connected("live");
    for (name, answers) in [
        ("getStreamLength", vec!["_result"]),
        ("_checkbw", vec!["_result"]),
        ("FCSubscribe", vec!["_result", "onFCSubscribe NetStream.Play.Start"]),
        ("play2", vec!["_error NetConnection.Call.Failed"]),
        ("getMovLen", vec!["_error NetConnection.Call.Failed"]),
        ("onBWDone", vec![]),
    ] {
        let seen = peer.command(&Command::new(name, 9.0, ["key".into()]), StreamId(0));
        assert_eq!(commands(&seen), answers, "{name}");
    }
    let seen = peer.command(&Command::new("whatever", 0.0, []), StreamId(0));
    assert_eq!(seen, [], "no number, no answer");
}

#[test]
fn a_client_that_is_refused_is_told_why_and_has_a_while_to_close() {
    let mut peer = Peer::new();
    let seen = peer.command(&connect("nothing"), StreamId(0));
    let [Seen::Event(Event::Connect { token, .. })] = seen[..] else { panic!("{seen:?}") };
    let refusal = Refusal::new(Code::INVALID_APP, "publish to rtmp://HOST/live/NAME");
    peer.connection.connect(token, Err(refusal)).unwrap();
    let seen = peer.drain();
    assert_eq!(commands(&seen), ["_error NetConnection.Connect.InvalidApp"]);
    // A timer is due at once, which tells the time; then the named one.
    assert_eq!(peer.wait(), (Duration::ZERO, vec![]));
    assert_eq!(peer.command(&Command::new("createStream", 4.0, []), StreamId(0)), []);
    assert_eq!(peer.wait(), (Duration::from_secs(5), vec![Seen::Close]));
}

#[test]
fn a_publisher_and_a_player_that_are_refused_are_told_why() {
    let mut peer = Peer::connected("live");
    let publish = Command::new("publish", 5.0, ["key".into()]);
    let seen = peer.command(&publish, StreamId(1));
    let [Seen::Event(Event::Publish { token, .. })] = seen[..] else { panic!("{seen:?}") };
    let refusal = Refusal::new(Code::PUBLISH_BAD_NAME, "somebody else publishes live/key");
    peer.connection.publish(token, Err(refusal)).unwrap();
    let seen = peer.drain();
    assert_eq!(commands(&seen), ["onStatus NetStream.Publish.BadName"]);
    let Seen::Command(status, _) = &seen[0] else { panic!() };
    assert_eq!(status.argument(1).get("level").unwrap().as_str(), Some("error"));
    let mut peer = Peer::connected("live");
    let token = peer.ask_to_play("key");
    let refusal = Refusal::new(Code::STREAM_NOT_FOUND, "no stream is called live/key");
    peer.connection.play(token, Err(refusal)).unwrap();
    assert_eq!(commands(&peer.drain()), ["onStatus NetStream.Play.StreamNotFound"]);
}

#[test]
fn commands_before_connect_are_refused() {
    let mut peer = Peer::new();
    let seen = peer.command(&Command::new("publish", 5.0, ["key".into()]), StreamId(1));
    assert_eq!(commands(&seen), ["_error NetConnection.Call.Failed"]);
    assert!(matches!(&events(seen)[..], [Event::Refused { what, .. }] if what == "publish"));
}

#[test]
fn a_second_stream_is_not_played_for_its_number() {
    let mut peer = Peer::playing();
    peer.command(&Command::new("createStream", 6.0, []), StreamId(0));
    let seen = peer.command(&Command::new("play", 7.0, ["key".into()]), StreamId(2));
    assert_eq!(commands(&seen), ["onStatus NetStream.Play.Failed"]);
}

#[test]
fn a_ping_is_answered_while_a_stream_is_played() {
    let mut peer = Peer::playing();
    let ping = Control::User(User::PingRequest(5)).message();
    let answer = Control::User(User::PingResponse(5));
    assert_eq!(peer.message(&ping), [Seen::Control(answer)]);
}
