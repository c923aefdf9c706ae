//! The machines on sockets, as simply as can be: one connection, one thread.
// Programs can be reached by the system's sockets and clock only.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use weir_media::{Frame, MediaTime, Track};
use weir_proto::rtmp::metadata::For;
use weir_proto::rtmp::pack::Packer;
use weir_proto::rtmp::receive::{Received, Receiver, Settings};
use weir_proto::rtmp::url::Url;
use weir_proto::rtmp::{client, server};
use weir_time::Instant;

use super::Program;

/// What a stream was, at whichever end.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) tracks: Vec<Track>,
    pub(super) frames: Vec<Frame>,
    /// How often tracks were told.
    pub(super) told: usize,
    pub(super) refused: Vec<String>,
}

impl Stream {
    pub(super) fn count(&self, name: &str) -> usize {
        let of = |frame: &&Frame| self.tracks[usize::from(frame.track.0)].codec.name() == name;
        self.frames.iter().filter(of).count()
    }

    fn take(&mut self, receiver: &mut Receiver) {
        while let Some(received) = receiver.poll() {
            match received {
                Received::Tracks(tracks) => {
                    self.tracks = tracks;
                    self.told += 1;
                }
                Received::Frame(frame) => self.frames.push(frame),
                Received::Refused { error, .. } => self.refused.push(error.to_string()),
            }
        }
    }
}

/// What a server's machine has seen of one connection.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) events: Vec<server::Event>,
    pub(super) stream: Stream,
}

impl Served {
    pub(super) fn end(&self) -> Option<&server::EndReason> {
        self.events.iter().find_map(|event| match event {
            server::Event::Ended { reason, .. } => Some(reason),
            _ => None,
        })
    }
}

pub(super) fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Serves the first connection that `program` makes, to its end. A player is sent `movie` at once.
pub(super) fn serve(
    listener: &TcpListener,
    program: &mut Program,
    movie: Option<(&[Track], &[Frame])>,
    record: &str,
) -> Served {
    let mut socket = accept(listener, program);
    let clock = Clock::new();
    let mut connection = server::Connection::new(server::Config::default(), 1, clock.now());
    let mut receiver = Receiver::new(Settings::default());
    let mut served = Served::default();
    let mut tape = Vec::new();
    let mut room = vec![0; 64 * 1024];
    loop {
        let timer = loop {
            match connection.poll() {
                server::Output::Timeout(at) => break at,
                server::Output::Send(bytes) => drop(socket.write_all(&bytes)),
                server::Output::Media { message, .. } => {
                    receiver.push(clock.now(), &message);
                    served.stream.take(&mut receiver);
                }
                server::Output::Close => {
                    keep(record, &tape);
                    return served;
                }
                server::Output::Event(event) => {
                    answer(&mut connection, &event, &mut receiver, movie, &mut socket);
                    served.events.push(event);
                }
            }
        };
        match socket.read(&mut room) {
            Ok(0) => connection.handle(clock.now(), server::Input::Closed),
            Ok(bytes) => {
                if tape.len() < TAPE_BYTES_MAX {
                    tape.extend_from_slice(&room[..bytes]);
                }
                connection.handle(clock.now(), server::Input::Bytes(&room[..bytes]));
            }
            Err(error) if is_wait(&error) => {
                if timer.is_some_and(|at| at <= clock.now()) {
                    connection.handle(clock.now(), server::Input::Timer);
                }
            }
            Err(_) => connection.handle(clock.now(), server::Input::Closed),
        }
        receiver.expire(clock.now());
        served.stream.take(&mut receiver);
        assert!(clock.now().as_secs_f64() < 60.0, "it takes too long: {:?}", served.events);
    }
}

fn answer(
    connection: &mut server::Connection,
    event: &server::Event,
    receiver: &mut Receiver,
    movie: Option<(&[Track], &[Frame])>,
    socket: &mut TcpStream,
) {
    match event {
        server::Event::Connect { token, .. } => connection.connect(*token, Ok(())).unwrap(),
        server::Event::Publish { token, .. } => connection.publish(*token, Ok(())).unwrap(),
        server::Event::Metadata { values, .. } => receiver.metadata(values),
        server::Event::Play { token, stream, .. } => {
            let (tracks, frames) = movie.unwrap();
            let (opening, packed) = packed(tracks, frames, For::Player);
            connection.play(*token, Ok(opening)).unwrap();
            while let server::Output::Send(bytes) = connection.poll() {
                drop(socket.write_all(&bytes));
            }
            packed.iter().for_each(|bytes| drop(socket.write_all(bytes)));
            let over = server::Refusal::new(server::Code::PLAY_FAILED, "over");
            connection.finish(*stream, &over).unwrap();
        }
        _ => {}
    }
}

/// What a client's machine has seen of its connection.
#[derive(Debug, Default)]
pub(super) struct Dialled {
    pub(super) events: Vec<client::Event>,
    pub(super) stream: Stream,
}

/// Publishes `movie` to, or plays from, the server at `address`. What is played ends with the
/// stream, or after so many frames.
pub(super) fn dial(
    address: &str,
    movie: Option<(&[Track], &[Frame])>,
    frames_max: usize,
) -> Dialled {
    let url = Url::parse(address).unwrap();
    let mut socket = connected(&url);
    let mode = if movie.is_some() { client::Mode::Publish } else { client::Mode::Play };
    let clock = Clock::new();
    let config = client::Config::default();
    let mut connection = client::Connection::new(&url, mode, config, 1, clock.now());
    let mut receiver = Receiver::new(Settings::default());
    let mut dialled = Dialled::default();
    let mut room = vec![0; 64 * 1024];
    loop {
        let timer = loop {
            match connection.poll() {
                client::Output::Timeout(at) => break at,
                client::Output::Send(bytes) => drop(socket.write_all(&bytes)),
                client::Output::Media(message) => {
                    receiver.push(clock.now(), &message);
                    dialled.stream.take(&mut receiver);
                }
                client::Output::Close => return dialled,
                client::Output::Event(event) => {
                    match &event {
                        client::Event::Metadata(values) => receiver.metadata(values),
                        client::Event::Publishing { .. } => {
                            let (tracks, frames) = movie.unwrap();
                            let (opening, packed) = packed(tracks, frames, For::Server);
                            socket.write_all(&opening).unwrap();
                            packed.iter().for_each(|bytes| socket.write_all(bytes).unwrap());
                            connection.finish(clock.now());
                        }
                        _ => {}
                    }
                    dialled.events.push(event);
                }
            }
        };
        if dialled.stream.frames.len() >= frames_max {
            connection.finish(clock.now());
            continue;
        }
        match socket.read(&mut room) {
            Ok(0) => connection.handle(clock.now(), client::Input::Closed),
            Ok(bytes) => connection.handle(clock.now(), client::Input::Bytes(&room[..bytes])),
            Err(error) if is_wait(&error) => {
                if timer.is_some_and(|at| at <= clock.now()) {
                    connection.handle(clock.now(), client::Input::Timer);
                }
            }
            Err(_) => connection.handle(clock.now(), client::Input::Closed),
        }
        receiver.expire(clock.now());
        dialled.stream.take(&mut receiver);
        assert!(clock.now().as_secs_f64() < 60.0, "it takes too long: {:?}", dialled.events);
    }
}

fn packed(tracks: &[Track], frames: &[Frame], whom: For) -> (Bytes, Vec<Bytes>) {
    let mut packer = Packer::new(tracks, MediaTime::ZERO).unwrap();
    let packed = frames.iter().map(|frame| packer.pack(frame).unwrap().bytes).collect();
    (packer.opening(0, "weir", whom), packed)
}

fn accept(listener: &TcpListener, program: &mut Program) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let clock = Clock::new();
    loop {
        match listener.accept() {
            Ok((socket, _)) => return ready(socket),
            Err(error) if is_wait(&error) => {
                let has_time = clock.now().as_secs_f64() < 30.0;
                if !has_time || !program.is_running() {
                    let said = if has_time { program.output().1 } else { String::new() };
                    panic!("the program did not connect: {said}");
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn connected(url: &Url) -> TcpStream {
    let clock = Clock::new();
    loop {
        match TcpStream::connect((url.host.as_str(), url.port_or_default())) {
            Ok(socket) => return ready(socket),
            Err(error) => assert!(clock.now().as_secs_f64() < 30.0, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ready(socket: TcpStream) -> TcpStream {
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    socket
}

fn is_wait(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn keep(name: &str, tape: &[u8]) {
    if let Some(dir) = std::env::var_os("WEIR_RTMP_RECORD") {
        let path = std::path::Path::new(&dir).join(name);
        std::fs::write(path, &tape[..tape.len().min(TAPE_BYTES_MAX)]).unwrap();
    }
}

struct Clock {
    start: std::time::Instant,
}

impl Clock {
    fn new() -> Self {
        Clock { start: std::time::Instant::now() }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }
}

/// The commands, and the first of the media.
const TAPE_BYTES_MAX: usize = 6 * 1024;
