//! What is sent, and what comes of the answers.

use super::*;
use crate::rtmp::command::data_body;
use crate::rtmp::message::User;

#[test]
fn connect_names_application_address_and_software() {
    let (_, seen) = Peer::new(Mode::Publish);
    let [Seen::Command(connect, StreamId(0))] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((connect.name.as_str(), connect.transaction), ("connect", 1.0));
    let text = |name| connect.object().get(name).and_then(Value::as_str);
    assert_eq!((text("app"), text("tcUrl")), (Some("live"), Some("rtmp://192.0.2.1/live")));
    assert!(text("flashVer").unwrap().starts_with("FMLE/3.0"));
}

#[test]
fn a_stream_is_published_in_the_order_of_obs_and_ffmpeg() {
    let (mut peer, _) = Peer::new(Mode::Publish);
    let seen = peer.success();
    assert_eq!(seen[0], Seen::Control(Control::WindowAckSize(2_500_000)));
    assert_eq!(commands(&seen), ["releaseStream", "FCPublish", "createStream"]);
    let result = Command::new("_result", 4.0, [Value::Number(7.0)]);
    let seen = peer.command(&result, StreamId(0));
    let [Seen::Command(publish, StreamId(7))] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(publish.argument(1).as_str(), Some("key?user=a"));
    assert_eq!(publish.argument(2).as_str(), Some("live"));
    let seen = peer.status("NetStream.Publish.Start");
    let event = Event::Publishing { stream: StreamId(7), chunk_bytes: 60_000, codecs: Vec::new() };
    assert_eq!(seen, [Seen::Event(event)]);
    assert_eq!(peer.connection.poll(), Output::Timeout(None));
}

#[test]
fn a_stream_is_played_without_asking_for_its_length() {
    // getStreamLength before play makes cameras close the connection.
    let (mut peer, _) = Peer::new(Mode::Play);
    assert_eq!(commands(&peer.success()), ["createStream"]);
    let result = Command::new("_result", 4.0, [Value::Number(1.0)]);
    let seen = peer.command(&result, StreamId(0));
    let Seen::Command(play, StreamId(1)) = &seen[0] else { panic!("{seen:?}") };
    assert_eq!(play.argument(1).as_str(), Some("key?user=a"));
    assert_eq!(play.argument(2).as_number(), Some(-2000.0));
    let buffer = User::SetBufferLength { stream: StreamId(1), length_ms: 3000 };
    assert_eq!(seen[1], Seen::Control(Control::User(buffer)));
    assert!(matches!(peer.status("NetStream.Play.Reset")[..], [Seen::Event(Event::Status(_))]));
    assert_eq!(peer.status("NetStream.Play.Start"), [Seen::Event(Event::Playing)]);
    let media = media(Kind::Video);
    assert_eq!(peer.message(&media), [Seen::Media(media)]);
}

#[test]
fn media_without_a_word_that_it_plays_is_taken() {
    let (mut peer, _) = Peer::new(Mode::Play);
    peer.success();
    peer.command(&Command::new("_result", 4.0, [Value::Number(1.0)]), StreamId(0));
    let media = media(Kind::Audio);
    assert_eq!(peer.message(&media), [Seen::Event(Event::Playing), Seen::Media(media)]);
}

#[test]
fn metadata_before_the_word_that_it_plays_is_taken() {
    let (mut peer, _) = Peer::new(Mode::Play);
    peer.success();
    let values = Value::ecma_array([("width", 320.0.into())]);
    let body = data_body(&["onMetaData".into(), values.clone()]);
    let data = Message { kind: Kind::DataAmf0, body, ..media(Kind::Audio) };
    assert_eq!(peer.message(&data), [Seen::Event(Event::Metadata(values))]);
}

#[test]
fn refusals_are_told_with_what_was_asked_and_the_servers_words() {
    let (mut peer, _) = Peer::new(Mode::Publish);
    let info = Status::error("NetConnection.Connect.InvalidApp", "no such application").value();
    let seen = peer.command(&Command::new("_error", 1.0, [info]), StreamId(0));
    assert_eq!(
        failure(&seen),
        "RTMP connect: the server answered NetConnection.Connect.InvalidApp: no such application"
    );
    let (mut peer, _) = Peer::new(Mode::Publish);
    peer.success();
    peer.command(&Command::new("_result", 4.0, [Value::Number(1.0)]), StreamId(0));
    let status = Status::error("NetStream.Publish.BadName", "").command();
    let seen = peer.command(&status, StreamId(1));
    assert_eq!(failure(&seen), "RTMP publish: the server answered NetStream.Publish.BadName");
    let mut peer = Peer::running(Mode::Publish);
    let status = Status::error("NetStream.Publish.Denied", "kicked").command();
    let seen = peer.command(&status, StreamId(1));
    assert_eq!(failure(&seen), "RTMP stream: the server answered NetStream.Publish.Denied: kicked");
}

#[test]
fn a_server_that_sends_clients_elsewhere_says_where() {
    let (mut peer, _) = Peer::new(Mode::Play);
    let more = Value::object([("code", 302.0.into()), ("redirect", "rtmp://other/live".into())]);
    let mut info = Status::error("NetConnection.Connect.Rejected", "").value();
    if let Value::Object(properties) = &mut info {
        properties.push(("ex".into(), more));
    }
    let seen = peer.command(&Command::new("_error", 1.0, [info]), StreamId(0));
    assert_eq!(failure(&seen), "RTMP connect: the server sends clients to rtmp://other/live");
}

#[test]
fn a_server_that_wants_credentials_of_its_own_kind_says_so() {
    let (mut peer, _) = Peer::new(Mode::Publish);
    let words = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    let info = Status::error("NetConnection.Connect.Rejected", words).value();
    let seen = peer.command(&Command::new("_error", 1.0, [info]), StreamId(0));
    assert!(failure(&seen).starts_with("RTMP connect: the server wants credentials: [ Access"));
}

#[test]
fn what_only_old_servers_know_may_fail() {
    let (mut peer, _) = Peer::new(Mode::Publish);
    peer.success();
    let info = Status::error("NetConnection.Call.Failed", "").value();
    for transaction in [2.0, 3.0] {
        let error = Command::new("_error", transaction, [info.clone()]);
        assert_eq!(peer.command(&error, StreamId(0)), []);
    }
}

#[test]
fn a_question_for_the_bandwidth_is_answered() {
    let mut peer = Peer::running(Mode::Play);
    let seen = peer.command(&Command::new("onBWDone", 0.0, []), StreamId(0));
    assert_eq!(commands(&seen), ["_checkbw"]);
}

#[test]
fn a_server_that_asks_for_a_new_connection_is_heard() {
    let mut peer = Peer::running(Mode::Publish);
    let mut info = Status::new("NetConnection.Connect.ReconnectRequest", "").value();
    if let Value::Object(properties) = &mut info {
        properties.push(("tcUrl".into(), "rtmp://other/live".into()));
    }
    let seen = peer.command(&Command::new("onStatus", 0.0, [info]), StreamId(0));
    let address = Some("rtmp://other/live".to_owned());
    assert_eq!(seen, [Seen::Event(Event::Reconnect { address })]);
}

#[test]
fn the_end_of_what_is_played_is_an_end_and_no_failure() {
    for code in ["NetStream.Play.Stop", "NetStream.Play.UnpublishNotify", "NetStream.Play.Complete"]
    {
        let mut peer = Peer::running(Mode::Play);
        assert_eq!(peer.status(code), [Seen::Event(Event::Ended), Seen::Close], "{code}");
    }
}

#[test]
fn a_publisher_that_finishes_says_so_and_waits_for_the_word() {
    let mut peer = Peer::running(Mode::Publish);
    peer.connection.finish(peer.now);
    assert_eq!(commands(&peer.drain()), ["FCUnpublish", "deleteStream"]);
    let seen = peer.status("NetStream.Unpublish.Success");
    assert_eq!(seen, [Seen::Event(Event::Ended), Seen::Close]);
    // Not for ever, and a server that just closes has understood.
    let mut peer = Peer::running(Mode::Publish);
    peer.connection.finish(peer.now);
    peer.drain();
    let (waited, seen) = peer.wait();
    assert_eq!(waited, Duration::from_secs(1));
    assert_eq!(seen, [Seen::Event(Event::Ended), Seen::Close]);
    let mut peer = Peer::running(Mode::Publish);
    peer.connection.finish(peer.now);
    peer.drain();
    peer.connection.handle(peer.now, Input::Closed);
    assert_eq!(peer.drain(), [Seen::Event(Event::Ended), Seen::Close]);
}

#[test]
fn each_step_has_its_time() {
    let url = Url::parse("rtmp://192.0.2.1/live/key").unwrap();
    let mut connection = Connection::new(&url, Mode::Play, Config::default(), 1, Instant::ZERO);
    connection.poll();
    let Output::Timeout(Some(at)) = connection.poll() else { panic!() };
    connection.handle(at, Input::Timer);
    let Output::Event(Event::Failed(failure)) = connection.poll() else { panic!() };
    assert_eq!(failure.to_string(), "RTMP handshake: nothing came within 10 s");
    let (mut peer, _) = Peer::new(Mode::Play);
    let (waited, seen) = peer.wait();
    assert_eq!(waited, Duration::from_secs(10));
    assert_eq!(super::failure(&seen), "RTMP connect: nothing came within 10 s");
    let mut peer = Peer::running(Mode::Play);
    let (waited, seen) = peer.wait();
    assert_eq!(waited, Duration::from_secs(20));
    assert_eq!(super::failure(&seen), "RTMP stream: nothing came within 20 s");
}

#[test]
fn a_connection_that_breaks_and_bytes_that_cannot_be_read_are_failures() {
    let mut peer = Peer::running(Mode::Publish);
    peer.connection.handle(peer.now, Input::Closed);
    assert_eq!(failure(&peer.drain()), "RTMP stream: the server closed the connection");
    let mut peer = Peer::running(Mode::Play);
    peer.connection.handle(peer.now, Input::Bytes(&[0xff]));
    let said = failure(&peer.drain());
    assert!(said.starts_with("RTMP stream: chunk stream 63, byte "), "{said}");
    let url = Url::parse("rtmp://192.0.2.1/live/key").unwrap();
    let mut connection = Connection::new(&url, Mode::Play, Config::default(), 1, Instant::ZERO);
    connection.poll();
    connection.handle(Instant::ZERO, Input::Bytes(b"HTTP/1.1 400 Bad Request\r\n"));
    let Output::Event(Event::Failed(failure)) = connection.poll() else { panic!() };
    assert!(failure.to_string().starts_with("RTMP handshake: RTMP expected, HTTP came"));
}

#[test]
fn what_a_server_wants_to_know_stands_behind_the_application() {
    let url = Url::parse("rtmp://192.0.2.1/live/key").unwrap();
    let authorization = Some("authmod=adobe&user=me".to_owned());
    let config = Config { authorization, handshake: Form::Plain, ..Config::default() };
    let mut connection = Connection::new(&url, Mode::Publish, config, 1, Instant::ZERO);
    connection.poll();
    connection.handle(Instant::ZERO, Input::Bytes(&[&[3][..], &[0; 3072]].concat()));
    connection.poll();
    let Output::Send(bytes) = connection.poll() else { panic!() };
    let mut reader = Reader::new(chunk::Limits::default());
    reader.push(&bytes);
    let connect = Command::read(&reader.next().unwrap().unwrap()).unwrap();
    let text = |name| connect.object().get(name).and_then(Value::as_str);
    assert_eq!(text("app"), Some("live?authmod=adobe&user=me"));
    assert_eq!(text("tcUrl"), Some("rtmp://192.0.2.1/live?authmod=adobe&user=me"));
}
