//! Entries for fuzzing: none may panic, whatever the bytes are.

use core::time::Duration;

use weir_time::Instant;

use super::{Looks, Method, client, looks_classroom, reply, request, server};
use crate::rtsp::Status;

/// Looks at ever more of a connection's first bytes: what was said once stays.
pub fn fuzz_looks_classroom(data: &[u8]) {
    let mut said = Looks::NotYet;
    for end in 0..=data.len() {
        let looks = looks_classroom(&data[..end]);
        assert!(said == Looks::NotYet || said == looks, "{said:?}, then {looks:?}");
        said = looks;
    }
}

/// Decodes a stream as requests and as replies, in pieces.
pub fn fuzz_classroom_message(data: &[u8]) {
    let mut now = Instant::ZERO;
    let mut requests = request::Decoder::new(now);
    let mut replies = reply::Decoder::new(now);
    for piece in pieces(data) {
        now += gap(piece);
        while let Some(request) = requests.next(now) {
            let _ = request.map(|request| request.encode());
        }
        while replies.next(now).is_some() {}
        let _ = requests.push(now, piece);
        replies.push(now, piece);
        let _ = requests.next_timeout(now);
        let _ = replies.next_timeout(now);
    }
}

/// Plays a stream to a server that has every second movie.
pub fn fuzz_classroom_server(data: &[u8]) {
    let mut now = Instant::ZERO;
    let mut connection = server::Connection::new(server::Config::default(), 0, now);
    let mut movies = 0;
    for piece in pieces(data) {
        now += gap(piece);
        for input in [server::Input::Bytes(piece), server::Input::Timer] {
            connection.handle(now, input);
            while let Some(event) = next_event(&mut connection) {
                if let server::Event::Setup { .. } = event {
                    movies += 1;
                    let answer = if movies % 2 == 1 { Ok(()) } else { Err(Status::NOT_FOUND) };
                    connection.setup(answer);
                }
            }
        }
    }
    connection.handle(now, server::Input::Closed);
    while next_event(&mut connection).is_some() {}
}

/// Plays a stream to a client that asks for everything.
pub fn fuzz_classroom_client(data: &[u8]) {
    let mut now = Instant::ZERO;
    let config = client::Config::default();
    let Ok(mut connection) = client::Connection::new("movie.Mjpeg", 25_000, config, now) else {
        return;
    };
    for piece in pieces(data) {
        let _ = connection.ask(now, Method::ALL[piece.len() % Method::ALL.len()]);
        now += gap(piece);
        for input in [client::Input::Bytes(piece), client::Input::Timer] {
            connection.handle(now, input);
            while !matches!(connection.poll(), client::Output::Timeout(_)) {}
        }
    }
    connection.handle(now, client::Input::Closed);
    while !matches!(connection.poll(), client::Output::Timeout(_)) {}
}

fn next_event(connection: &mut server::Connection) -> Option<server::Event> {
    loop {
        match connection.poll() {
            server::Output::Event(event) => return Some(event),
            server::Output::Timeout(_) => return None,
            server::Output::Send(_) | server::Output::Close => {}
        }
    }
}

/// The pieces of a stream: each is as long as its first byte says.
fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    core::iter::from_fn(move || {
        let length = usize::from(*rest.first()?) + 1;
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        rest = behind;
        Some(piece)
    })
}

fn gap(piece: &[u8]) -> Duration {
    Duration::from_millis([0, 10, 50, 1_000][piece.len() % 4])
}
