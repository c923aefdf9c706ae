//! What peers do otherwise.

use super::*;
use crate::amf::amf0;

#[test]
fn http_on_the_port_is_told_by_name() {
    let now = Instant::ZERO;
    let mut connection = Connection::new(Config::default(), 1, now);
    connection.handle(now, Input::Bytes(b"GET / HTTP/1.1\r\n"));
    let Output::Event(Event::Refused { what, detail }) = connection.poll() else { panic!() };
    assert_eq!(what, "handshake");
    assert!(detail.contains("HTTP came"), "{detail}");
    assert_eq!(connection.poll(), Output::Close);
}

#[test]
fn a_publisher_without_create_stream_publishes_on_stream_1() {
    let mut peer = Peer::connected("live");
    let seen = peer.command(&Command::new("publish", 0.0, ["key".into()]), StreamId(0));
    let [Seen::Event(Event::Publish { token, stream, .. })] = seen[..] else { panic!("{seen:?}") };
    assert_eq!(stream, StreamId(1));
    peer.connection.publish(token, Ok(())).unwrap();
    let seen = peer.drain();
    assert!(matches!(seen[1], Seen::Command(_, StreamId(1))), "{seen:?}");
}

#[test]
fn media_on_another_stream_belongs_to_the_one_that_is_published() {
    // nginx-rtmp and SRS do not look at the number, so some encoders do not set it.
    let mut peer = Peer::publishing();
    for stream in [0, 1, 5] {
        let seen = peer.message(&media(Kind::Video, 0, stream));
        assert!(matches!(seen[..], [Seen::Media(StreamId(1), _)]), "{seen:?}");
    }
}

#[test]
fn messages_about_the_connection_may_come_on_any_chunk_stream() {
    // A camera that sends Set Chunk Size on chunk stream 3, which MediaMTX refused.
    let mut peer = Peer::connected("live");
    peer.message(&Control::SetChunkSize(4096).message());
    let mut out = BytesMut::new();
    let mut writer = Writer::new();
    writer.set_chunk_bytes(4096, &mut BytesMut::new());
    let text = "k".repeat(1000);
    let create = Command::new("createStream", 2.0, [text.as_str().into()]);
    writer.write(ChunkStreamId::COMMAND, &create.message(StreamId(0)), &mut out);
    assert_eq!(commands(&peer.bytes(&out)), ["_result"]);
}

#[test]
fn an_application_in_the_address_alone_is_found() {
    let mut peer = Peer::new();
    let object = Value::object([("tcUrl", "rtmp://192.0.2.1:1935/live".into())]);
    let command = Command { name: "connect".into(), transaction: 1.0, arguments: vec![object] };
    let seen = peer.command(&command, StreamId(0));
    let [Seen::Event(Event::Connect { token, .. })] = seen[..] else { panic!("{seen:?}") };
    peer.connection.connect(token, Ok(())).unwrap();
    peer.drain();
    let events = events(peer.command(&Command::new("publish", 0.0, ["key".into()]), StreamId(1)));
    assert!(matches!(&events[..], [Event::Publish { target, .. }] if target.path() == "live/key"));
}

#[test]
fn commands_of_amf_3_are_answered_in_amf_0() {
    let mut peer = Peer::connected("live");
    let body =
        [&[0][..], &Command::new("createStream", 2.0, []).message(StreamId(0)).body].concat();
    let message =
        Message { kind: Kind::CommandAmf3, time_ms: 0, stream: StreamId(0), body: body.into() };
    assert_eq!(commands(&peer.message(&message)), ["_result"]);
}

#[test]
fn metadata_of_amf_3_is_read() {
    // From ActionScript 3, which nginx-rtmp could not read.
    let mut peer = Peer::publishing();
    let width = crate::amf::amf3::Value::Integer(320);
    let values = Value::object([("width", Value::Amf3(Box::new(width)))]);
    let values = ["@setDataFrame".into(), "onMetaData".into(), values];
    let body = [&[0][..], &amf0::write_all(&values)].concat().into();
    let data = Message { kind: Kind::DataAmf3, time_ms: 0, stream: StreamId(1), body };
    let events = events(peer.message(&data));
    let [Event::Metadata { values, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(values.get("width").unwrap().as_number(), Some(320.0));
}

#[test]
fn metadata_that_cannot_be_read_is_said_once_and_the_stream_goes_on() {
    let mut peer = Peer::publishing();
    let body = Bytes::from_static(&[0x63; 20]);
    let data = Message { kind: Kind::DataAmf0, time_ms: 0, stream: StreamId(1), body };
    let first = events(peer.message(&data));
    assert!(matches!(&first[..], [Event::Refused { what, .. }] if what == "data"));
    assert_eq!(peer.message(&data), []);
    assert_eq!(peer.connection.unreadable_messages(), 2);
    assert!(matches!(peer.message(&media(Kind::Video, 0, 1))[..], [Seen::Media(..)]));
}

#[test]
fn an_aggregate_is_taken_apart() {
    let mut peer = Peer::publishing();
    let tag = |kind: u8, time: u8| [kind, 0, 0, 2, 0, 0, time, 0, 0, 0, 0, 0xaf, 1, 0, 0, 0, 13];
    let body = [tag(8, 10), tag(9, 20)].concat().into();
    let aggregate = Message { kind: Kind::Aggregate, time_ms: 500, stream: StreamId(1), body };
    let times: Vec<_> = peer
        .message(&aggregate)
        .iter()
        .map(|seen| match seen {
            Seen::Media(_, message) => (message.kind, message.time_ms),
            seen => panic!("{seen:?}"),
        })
        .collect();
    assert_eq!(times, [(Kind::Audio, 500), (Kind::Video, 510)]);
}

#[test]
fn commands_that_come_behind_a_question_wait_for_its_answer() {
    // Players that send play without waiting for the result of createStream.
    let mut peer = Peer::new();
    let mut out = BytesMut::new();
    for (command, on) in [
        (connect("live"), 0),
        (Command::new("createStream", 2.0, []), 0),
        (Command::new("play", 3.0, ["key".into()]), 1),
    ] {
        Writer::new().write(ChunkStreamId::COMMAND, &command.message(StreamId(on)), &mut out);
    }
    let seen = peer.bytes(&out);
    let [Seen::Event(Event::Connect { token, .. })] = seen[..] else { panic!("{seen:?}") };
    peer.connection.connect(token, Ok(())).unwrap();
    let seen = peer.drain();
    assert_eq!(commands(&seen).len(), 2);
    assert!(matches!(&events(seen)[..], [Event::Play { .. }]));
}

#[test]
fn messages_that_nobody_knows_are_counted_and_passed_over() {
    let mut peer = Peer::publishing();
    assert_eq!(peer.message(&media(Kind::Other(19), 0, 1)), []);
    assert_eq!(peer.connection.stray_messages(), 1);
}

#[test]
fn a_megabyte_of_metadata_is_refused_before_it_comes() {
    let mut peer = Peer::publishing();
    let events = events(peer.bytes(&[4, 0, 0, 0, 0x10, 0, 0, 18, 1, 0, 0, 0]));
    let Event::Refused { detail, .. } = &events[0] else { panic!("{events:?}") };
    assert!(detail.ends_with("a command or data of at most 262144 bytes expected, 1048576 came"));
    assert!(peer.closed);
}
