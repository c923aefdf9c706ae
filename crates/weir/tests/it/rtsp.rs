//! RTSP by hand, over a plain socket: for requests that no good client makes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A connection on which anything can be sent.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    cseq: u32,
    session: Option<String>,
    /// Bytes that came and are not looked at yet.
    waiting: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// What stands next on the connection.
#[derive(Debug)]
pub(crate) enum Message {
    Response(Response),
    /// A packet on an interleaved channel.
    Packet {
        channel: u8,
        bytes: Vec<u8>,
    },
    /// The server closed the connection.
    End,
}

const LIMIT: Duration = Duration::from_secs(10);

impl Client {
    pub(crate) fn connect(address: &str) -> Client {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        socket.set_write_timeout(Some(LIMIT)).unwrap();
        Client { socket, cseq: 0, session: None, waiting: Vec::new() }
    }

    /// Sends bytes as they are; what the server no longer takes is no failure.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// Sends a request with the next CSeq and the session, and waits for its response.
    /// `fields` are further header lines, each with its line end.
    pub(crate) fn request(&mut self, method: &str, url: &str, fields: &str) -> Response {
        self.cseq += 1;
        let session =
            self.session.as_ref().map(|id| format!("Session: {id}\r\n")).unwrap_or_default();
        let text =
            format!("{method} {url} RTSP/1.0\r\nCSeq: {}\r\n{session}{fields}\r\n", self.cseq);
        self.send(text.as_bytes());
        self.response().unwrap_or_else(|| panic!("{method} {url}: closed without a response"))
    }

    /// The next response, packets before it left out; `None` where the connection is closed.
    pub(crate) fn response(&mut self) -> Option<Response> {
        loop {
            match self.next() {
                Message::Response(response) => return Some(response),
                Message::Packet { .. } => {}
                Message::End => return None,
            }
        }
    }

    /// SETUP of the first track over this connection.
    pub(crate) fn set_up(&mut self, url: &str, track: u8) -> Response {
        let channel = track * 2;
        let transport =
            format!("Transport: RTP/AVP/TCP;unicast;interleaved={channel}-{}\r\n", channel + 1);
        self.set_up_by(url, track, &transport)
    }

    /// SETUP of a track by what the Transport line says.
    pub(crate) fn set_up_by(&mut self, url: &str, track: u8, transport: &str) -> Response {
        let control = format!("{}/trackID={track}", url.trim_end_matches('/'));
        let response = self.request("SETUP", &control, transport);
        if let Some(id) = response.field("Session") {
            self.session = Some(id.split(';').next().unwrap_or(id).to_owned());
        }
        response
    }

    /// SETUP and PLAY of the first track.
    pub(crate) fn set_up_and_play(&mut self, url: &str) -> Response {
        let response = self.set_up(url, 0);
        if response.status != 200 {
            return response;
        }
        self.request("PLAY", url, "")
    }

    /// The identifier of the session that was set up.
    pub(crate) fn session(&self) -> &str {
        self.session.as_deref().unwrap_or_default()
    }

    /// The next response, and the packets that come before it.
    pub(crate) fn response_behind(&mut self) -> (Vec<(u8, Vec<u8>)>, Response) {
        let mut packets = Vec::new();
        loop {
            match self.next() {
                Message::Packet { channel, bytes } => packets.push((channel, bytes)),
                Message::Response(response) => return (packets, response),
                Message::End => panic!("closed without a response"),
            }
        }
    }

    /// The packets that come until enough of them have; the test fails where that is not in time.
    pub(crate) fn packets_until(
        &mut self,
        enough: impl Fn(&[(u8, Vec<u8>)]) -> bool,
    ) -> Vec<(u8, Vec<u8>)> {
        let deadline = Instant::now() + LIMIT;
        let mut packets = Vec::new();
        while !enough(&packets) {
            assert!(Instant::now() < deadline, "not enough packets within {LIMIT:?}");
            packets.extend(self.packets(Duration::from_millis(50)));
        }
        packets
    }

    /// The packets that come until none has come for so long.
    pub(crate) fn packets_until_silence(&mut self, span: Duration) -> Vec<(u8, Vec<u8>)> {
        let deadline = Instant::now() + LIMIT;
        let mut all = Vec::new();
        loop {
            assert!(Instant::now() < deadline, "no silence within {LIMIT:?}");
            match self.packets(span) {
                more if more.is_empty() => return all,
                more => all.extend(more),
            }
        }
    }

    /// The packets that come within so long, with their channels.
    pub(crate) fn packets(&mut self, span: Duration) -> Vec<(u8, Vec<u8>)> {
        let until = Instant::now() + span;
        let mut packets = Vec::new();
        while Instant::now() < until {
            match self.take() {
                Some(Message::Packet { channel, bytes }) => packets.push((channel, bytes)),
                Some(other) => panic!("{other:?}"),
                None => {
                    assert_ne!(self.receive(), Some(0), "the server closed");
                }
            }
        }
        packets
    }

    /// The next message; the test fails where none comes in time.
    pub(crate) fn next(&mut self) -> Message {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(message) = self.take() {
                return message;
            }
            assert!(Instant::now() < deadline, "no message within {LIMIT:?}");
            if self.receive() == Some(0) {
                return Message::End;
            }
        }
    }

    /// Reads and forgets what is there.
    pub(crate) fn drain_what_is_there(&mut self) {
        self.socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 65_536];
        while self.socket.read(&mut bytes).is_ok_and(|count| count > 0) {}
        self.socket.set_nonblocking(false).unwrap();
    }

    /// Reads once; `None` where nothing came, zero at the end.
    fn receive(&mut self) -> Option<usize> {
        let mut bytes = [0; 65_536];
        match self.socket.read(&mut bytes) {
            Ok(count) => {
                self.waiting.extend_from_slice(&bytes[..count]);
                Some(count)
            }
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                None
            }
            Err(_) => Some(0),
        }
    }

    /// Takes a whole message from what has come.
    fn take(&mut self) -> Option<Message> {
        let waiting = &self.waiting;
        if waiting.first() == Some(&b'$') {
            let length = usize::from(u16::from_be_bytes([*waiting.get(2)?, *waiting.get(3)?]));
            let bytes = waiting.get(4..4 + length)?.to_vec();
            let channel = waiting[1];
            self.waiting.drain(..4 + length);
            return Some(Message::Packet { channel, bytes });
        }
        let end = waiting.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&waiting[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no response: {head}"));
        let mut response = Response { status, head, body: String::new() };
        let body: usize =
            response.field("Content-Length").map_or(0, |length| length.parse().unwrap());
        response.body = String::from_utf8_lossy(waiting.get(end..end + body)?).into_owned();
        self.waiting.drain(..end + body);
        Some(Message::Response(response))
    }
}

impl Response {
    /// The value of a header field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}
