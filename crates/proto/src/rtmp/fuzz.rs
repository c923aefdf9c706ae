//! Entries for fuzzing: none may panic, whatever the bytes are.

use core::time::Duration;

use bytes::{Bytes, BytesMut};
use weir_media::MediaTime;
use weir_time::Instant;

use super::chunk::{Limits, Reader};
use super::handshake::Form;
use super::pack::Packer;
use super::receive::{Received, Receiver, Settings};
use super::server::{Code, Refusal, Role};
use super::url::{Target, Url};
use super::{client, server};

/// Puts messages together, in two ways of cutting the stream, with limits that are met.
pub fn fuzz_rtmp_chunks(data: &[u8]) {
    let limits = Limits {
        media_bytes_max: 4096,
        command_bytes_max: 1024,
        total_bytes_max: 8192,
        streams_max: 8,
    };
    let mut seen = Vec::new();
    for piece_bytes in [data.len().max(1), 7] {
        let mut reader = Reader::new(limits);
        let mut messages = Vec::new();
        'stream: for piece in data.chunks(piece_bytes) {
            reader.push(piece);
            loop {
                match reader.next() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
            assert!(reader.held_bytes() <= limits.total_bytes_max + data.len());
        }
        assert!(reader.offset() <= data.len() as u64);
        seen.push(messages);
    }
    assert_eq!(seen.first(), seen.last(), "the cut does not matter");
}

/// Plays a stream to a server whose driver consents to almost everything, and receives what is
/// published. The handshake is done; its bytes are not in `data`.
pub fn fuzz_rtmp_server(data: &[u8]) {
    let mut now = Instant::ZERO;
    let mut connection = server::Connection::new(server::Config::default(), 0, now);
    let mut receiver = Receiver::new(Settings::default());
    let hello = [&[3][..], &[0; 3072]].concat();
    for piece in core::iter::once(&hello[..]).chain(data.chunks(61)) {
        now += Duration::from_millis(piece.len() as u64 * 8);
        connection.handle(now, server::Input::Bytes(piece));
        drain_server(&mut connection, &mut receiver, now);
        connection.handle(now, server::Input::Timer);
        drain_server(&mut connection, &mut receiver, now);
    }
    connection.handle(now, server::Input::Closed);
    drain_server(&mut connection, &mut receiver, now);
}

/// Plays a stream to a client: one that publishes, and one that plays.
pub fn fuzz_rtmp_client(data: &[u8]) {
    let Ok(url) = Url::parse("rtmp://192.0.2.1/live/key") else {
        return;
    };
    for mode in [client::Mode::Publish, client::Mode::Play] {
        let config = client::Config { handshake: Form::Plain, ..client::Config::default() };
        let mut now = Instant::ZERO;
        let mut connection = client::Connection::new(&url, mode, config, 0, now);
        let mut receiver = Receiver::new(Settings::default());
        let hello = [&[3][..], &[0; 3072]].concat();
        for piece in core::iter::once(&hello[..]).chain(data.chunks(61)) {
            now += Duration::from_millis(piece.len() as u64 * 8);
            connection.handle(now, client::Input::Bytes(piece));
            drain_client(&mut connection, &mut receiver, now);
            connection.handle(now, client::Input::Timer);
            drain_client(&mut connection, &mut receiver, now);
        }
        connection.finish(now);
        drain_client(&mut connection, &mut receiver, now);
        connection.handle(now, client::Input::Closed);
        drain_client(&mut connection, &mut receiver, now);
    }
}

/// Reads addresses and what clients send in their place.
pub fn fuzz_rtmp_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(url) = Url::parse(&text) {
        let again = Url::parse(&format!("{}/{}", url.tc_url().trim_end_matches('/'), url.name));
        assert_eq!(again.map(|again| again.host), Ok(url.host));
    }
    let mut parts = text.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let target = Target::new(part(), part(), part());
    let _ = (target.path(), target.query_values().count());
}

fn drain_server(connection: &mut server::Connection, receiver: &mut Receiver, now: Instant) {
    loop {
        let event = match connection.poll() {
            server::Output::Timeout(_) => return,
            server::Output::Event(event) => event,
            server::Output::Media { message, .. } => {
                receiver.push(now, &message);
                drain_receiver(receiver, now);
                continue;
            }
            server::Output::Send(_) | server::Output::Close => continue,
        };
        let answered = match event {
            server::Event::Connect { token, client } if client.app == "no" => {
                connection.connect(token, Err(Refusal::new(Code::INVALID_APP, "no")))
            }
            server::Event::Connect { token, .. } => connection.connect(token, Ok(())),
            server::Event::Publish { token, target, .. } if target.name == "no" => {
                connection.publish(token, Err(Refusal::new(Code::PUBLISH_BAD_NAME, "no")))
            }
            server::Event::Publish { token, .. } => connection.publish(token, Ok(())),
            server::Event::Play { token, .. } => {
                connection.play(token, Ok(Bytes::from_static(b"opening")))
            }
            server::Event::Metadata { values, .. } => {
                receiver.metadata(&values);
                Ok(())
            }
            server::Event::Pause { stream, .. } => {
                connection.finish(stream, &Refusal::new(Code::PLAY_FAILED, "over"))
            }
            server::Event::Ended { role: Role::Publisher, .. } => {
                *receiver = Receiver::new(Settings::default());
                Ok(())
            }
            _ => Ok(()),
        };
        answered.expect("a question is answered once");
    }
}

fn drain_client(connection: &mut client::Connection, receiver: &mut Receiver, now: Instant) {
    loop {
        match connection.poll() {
            client::Output::Timeout(_) => return,
            client::Output::Media(message) => {
                receiver.push(now, &message);
                drain_receiver(receiver, now);
            }
            client::Output::Event(client::Event::Metadata(values)) => receiver.metadata(&values),
            _ => {}
        }
    }
}

/// Frames that are received can be packed.
fn drain_receiver(receiver: &mut Receiver, now: Instant) {
    receiver.expire(now);
    let mut packer = None;
    let mut room = BytesMut::new();
    while let Some(received) = receiver.poll() {
        match received {
            Received::Tracks(tracks) => {
                packer = Packer::new(&tracks, MediaTime::ZERO).ok();
                assert!(packer.is_some(), "what is received can be sent");
            }
            Received::Frame(frame) => {
                if let Some(packer) = &mut packer {
                    packer.pack_into(&frame, &mut room).expect("a frame of a track that was told");
                }
            }
            Received::Refused { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn no_entry_panics(data in prop::collection::vec(any::<u8>(), 0..400), kind in 0u8..23) {
            for entry in [fuzz_rtmp_chunks, fuzz_rtmp_server, fuzz_rtmp_client, fuzz_rtmp_url] {
                entry(&data);
                // As the body of a message, behind a client that is connected.
                let mut message = connected();
                message.extend([6, 0, 0, 0, 0, 0, data.len().min(128) as u8, kind, 1, 0, 0, 0]);
                message.extend(&data[..data.len().min(128)]);
                entry(&message);
            }
        }
    }

    /// connect, and publish on stream 1.
    fn connected() -> Vec<u8> {
        let connect = b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x03\0\x03app\x02\0\x04live\0\0\x09";
        let publish = b"\x02\0\x07publish\0\x40\x14\0\0\0\0\0\0\x05\x02\0\x03key";
        let mut out = Vec::new();
        for command in [&connect[..], publish] {
            out.extend([3, 0, 0, 0, 0, 0, command.len() as u8, 20, 1, 0, 0, 0]);
            out.extend(command);
        }
        out
    }
}
