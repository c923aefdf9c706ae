//! Real clients, as they were recorded: what each sent to this machine (`tests/rtmp_peers.rs` with
//! `WEIR_RTMP_RECORD`), up to the first of its media.

use super::*;
use crate::rtmp::handshake::{self, Form};
use crate::rtmp::receive::{Received, Receiver, Settings};

/// What came of a transcript, sent in pieces of so many bytes to a driver that consents.
fn replay(tape: &[u8], piece_bytes: usize) -> (Vec<Event>, Vec<Received>) {
    let now = Instant::ZERO;
    let mut connection = Connection::new(Config::default(), 1, now);
    let mut receiver = Receiver::new(Settings::default());
    let mut events = Vec::new();
    for piece in tape.chunks(piece_bytes) {
        connection.handle(now, Input::Bytes(piece));
        loop {
            match connection.poll() {
                Output::Timeout(_) => break,
                Output::Event(event) => {
                    match &event {
                        Event::Connect { token, .. } => connection.connect(*token, Ok(())).unwrap(),
                        Event::Publish { token, .. } => connection.publish(*token, Ok(())).unwrap(),
                        Event::Play { token, .. } => {
                            connection.play(*token, Ok(Bytes::new())).unwrap();
                        }
                        Event::Metadata { values, .. } => receiver.metadata(values),
                        _ => {}
                    }
                    events.push(event);
                }
                Output::Media { message, .. } => receiver.push(now, &message),
                Output::Send(_) | Output::Close => {}
            }
        }
    }
    (events, core::iter::from_fn(|| receiver.poll()).collect())
}

/// The target and the software of a transcript whose tracks are these.
fn published(tape: &[u8], expected: &[&str]) -> (String, String) {
    let (events, received) = replay(tape, tape.len());
    for piece_bytes in [1, 97, 1460] {
        assert_eq!(replay(tape, piece_bytes), (events.clone(), received.clone()));
    }
    let Some(Received::Tracks(tracks)) = received.first() else { panic!("{received:?}") };
    let names: Vec<_> = tracks.iter().map(|track| track.codec.name()).collect();
    assert_eq!(names, expected);
    said(&events)
}

fn said(events: &[Event]) -> (String, String) {
    assert!(!events.iter().any(|event| matches!(event, Event::Refused { .. })), "{events:?}");
    let software = events.iter().find_map(|event| match event {
        Event::Connect { client, .. } => Some(client.software.clone()),
        _ => None,
    });
    let target = events.iter().find_map(|event| match event {
        Event::Publish { target, .. } | Event::Play { target, .. } => {
            Some(format!("{}?{}", target.path(), target.query))
        }
        _ => None,
    });
    (target.unwrap(), software.unwrap())
}

#[test]
fn ffmpeg_publishes_with_a_digest() {
    let tape = include_bytes!("transcripts/ffmpeg-publish.bin");
    let (target, software) = published(tape, &["H.264", "AAC"]);
    assert_eq!(target, "live/key?user=a&pass=b");
    assert!(software.starts_with("FMLE/3.0 (compatible; Lavf"), "{software}");
    let mut handshake = handshake::Server::new(1);
    handshake.handle(tape, &mut BytesMut::new()).unwrap();
    assert_eq!(handshake.form(), Some(Form::Digest));
}

#[test]
fn gstreamers_rtmp2sink_publishes() {
    let tape = include_bytes!("transcripts/gst-rtmp2sink.bin");
    assert_eq!(published(tape, &["H.264", "AAC"]).0, "live/key?user=a&pass=b");
}

#[test]
fn librtmp_publishes() {
    let tape = include_bytes!("transcripts/gst-rtmpsink.bin");
    assert_eq!(published(tape, &["H.264", "AAC"]).0, "live/key?user=a&pass=b");
}

#[test]
fn nginx_rtmp_publishes() {
    // Its recording ends before the configuration of the sound.
    let tape = include_bytes!("transcripts/nginx-push.bin");
    let (events, _) = replay(tape, tape.len());
    let (target, software) = said(&events);
    assert_eq!((target.as_str(), software.as_str()), ("live/key?", "LNX.11,1,102,55"));
    let metadata = events.iter().find_map(|event| match event {
        Event::Metadata { values, .. } => Some(values),
        _ => None,
    });
    assert_eq!(metadata.unwrap().get("width").unwrap().as_number(), Some(640.0));
}

#[test]
fn players_play() {
    for tape in [
        &include_bytes!("transcripts/ffmpeg-play.bin")[..],
        include_bytes!("transcripts/gst-rtmp2src.bin"),
        include_bytes!("transcripts/gst-rtmpsrc.bin"),
    ] {
        let (events, _) = replay(tape, tape.len());
        assert_eq!(said(&events).0, "live/key?");
        let start = events.iter().find_map(|event| match event {
            Event::Play { start, .. } => Some(*start),
            _ => None,
        });
        assert_eq!(start, Some(Start::Any));
    }
}
