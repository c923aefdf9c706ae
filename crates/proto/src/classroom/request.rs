//! Requests, in both spellings.

use core::time::Duration;

use weir_time::Instant;

use super::text::{begins_request, excerpt, header, is_glued, line, number, without_version};
use super::{Method, SILENCE, Spelling, UNFINISHED_MAX};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// The request's number.
    pub cseq: u32,
    /// How it was spelt.
    pub spelling: Spelling,
    /// The movie as the client names it; empty where it names none.
    pub name: String,
    /// The session, where the client names one.
    pub session: Option<u64>,
    /// Where frames are to go: with SETUP alone, and then always. Never 0.
    pub port: Option<u16>,
}

impl Request {
    /// The request as it goes over the wire. The name must hold no line end.
    pub fn encode(&self) -> Vec<u8> {
        let Request { method, cseq, name, .. } = self;
        let text = match (self.spelling, self.port) {
            (Spelling::Handout, Some(port)) => format!(
                "{method} {name} RTSP/1.0\nCSeq: {cseq}\nTransport: RTP/UDP; client_port= {port}"
            ),
            (Spelling::Handout, None) => {
                let session = self.session.unwrap_or(0);
                format!("{method} {name} RTSP/1.0\nCSeq: {cseq}\nSession: {session}")
            }
            (Spelling::Student, Some(port)) => {
                format!("{method} {name}\n{cseq}\n RTSP/1.0 RTP/UDP {port}")
            }
            (Spelling::Student, None) => format!("{method} {name}\n{cseq}"),
        };
        text.into_bytes()
    }
}

/// Why something is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {got:?}")]
pub struct Malformed {
    /// The number of what should have been a request, where it could be read.
    pub cseq: Option<u32>,
    /// What should stand there.
    pub expected: &'static str,
    /// What stands there, cut to 80 characters.
    pub got: String,
}

/// Cuts a byte stream into requests, of both spellings and with either line end.
///
/// Nothing ends a request on the wire. It is complete once its last line has ended, or holds a
/// number that cannot go on (a port of five digits, the session, the next request's number), or
/// the next request begins; and at the latest after [`SILENCE`], if it has all that it must have.
/// One that lacks something by [`UNFINISHED_MAX`], or after [`REQUEST_BYTES_MAX`], is malformed.
///
/// At most [`BYTES_MAX`] bytes are held.
#[derive(Clone, Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// When the last bytes came.
    last: Instant,
    expected: Expected,
    lines_ignored: u64,
    overflown: bool,
}

/// Numbers that end a request without a line end, as no longer one would be right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The number that the next request should have.
    pub cseq: Option<u32>,
    /// The session that it should name.
    pub session: Option<u32>,
}

/// Bytes that may wait, of any number of requests.
pub const BYTES_MAX: usize = 64 * 1024;
/// Bytes of one request.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;
const LINE_BYTES_MAX: usize = 2 * 1024;

impl Decoder {
    /// Holds nothing yet.
    pub fn new(now: Instant) -> Self {
        Decoder {
            buffer: Vec::new(),
            last: now,
            expected: Expected::default(),
            lines_ignored: 0,
            overflown: false,
        }
    }

    /// Takes in bytes that came at `now`. Take all requests out before.
    ///
    /// # Errors
    /// When more would wait than may: nobody can say where the next request begins.
    pub fn push(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Malformed> {
        self.overflown |= self.buffer.len() + bytes.len() > BYTES_MAX;
        if self.overflown {
            self.buffer.clear();
            return Err(Malformed { cseq: None, expected: "short requests", got: excerpt(bytes) });
        }
        self.buffer.extend_from_slice(bytes);
        self.last = self.last.max(now);
        Ok(())
    }

    /// Says which numbers the next request should have.
    pub fn expect(&mut self, expected: Expected) {
        self.expected = expected;
    }

    /// The next request that is complete at `now`.
    pub fn next(&mut self, now: Instant) -> Option<Result<Request, Malformed>> {
        loop {
            let silent = now.since(self.last);
            let view =
                View { bytes: &self.buffer, quiet: silent >= SILENCE, expected: self.expected };
            match view.parse() {
                Parsed::Nothing => {
                    self.buffer.clear();
                    return None;
                }
                Parsed::Unfinished
                    if silent < UNFINISHED_MAX && self.buffer.len() <= REQUEST_BYTES_MAX =>
                {
                    return None;
                }
                Parsed::Unfinished => {
                    let got = excerpt(&self.buffer);
                    self.buffer.clear();
                    return Some(Err(Malformed { cseq: None, expected: "a whole request", got }));
                }
                Parsed::Ignored { used } => {
                    self.lines_ignored += 1;
                    self.buffer.drain(..used);
                }
                Parsed::Done { used, request } => {
                    self.buffer.drain(..used);
                    return Some(request);
                }
            }
        }
    }

    /// The timers `silence` and `unfinished`: when to ask for the next request although nothing
    /// comes.
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        if self.buffer.is_empty() {
            return None;
        }
        let of = |wait: Duration| Some(self.last + wait).filter(|at| *at > now);
        of(SILENCE).or_else(|| of(UNFINISHED_MAX)).or(Some(now))
    }

    /// Lines between requests that belong to none: passed over.
    pub fn lines_ignored(&self) -> u64 {
        self.lines_ignored
    }
}

/// What the bytes at hand are.
enum Parsed {
    /// Nothing but line ends.
    Nothing,
    /// The start of something.
    Unfinished,
    /// A line that belongs to no request.
    Ignored {
        used: usize,
    },
    Done {
        used: usize,
        request: Result<Request, Malformed>,
    },
}

/// The bytes at hand, and what is known besides.
struct View<'a> {
    bytes: &'a [u8],
    /// Nothing has come for a while: lines do not grow any more.
    quiet: bool,
    expected: Expected,
}

/// What a request has said so far.
struct Draft {
    method: Method,
    spelling: Spelling,
    name: String,
    cseq: Option<u32>,
    session: Option<u64>,
    port: Option<u16>,
}

impl Draft {
    /// Whether the line that closes a request of its kind has come too.
    fn is_closed(&self) -> bool {
        let closing = match (self.method, self.spelling) {
            (Method::Setup, _) => self.port.is_some(),
            (_, Spelling::Handout) => self.session.is_some(),
            (_, Spelling::Student) => true,
        };
        closing && self.cseq.is_some()
    }

    /// Whether it can be answered.
    fn is_enough(&self) -> bool {
        self.cseq.is_some() && (self.method != Method::Setup || self.port.is_some())
    }

    fn done(self, used: usize) -> Parsed {
        let missing = match self.cseq {
            None => Some("CSeq: NUMBER"),
            Some(_) if !self.is_enough() => Some("Transport: RTP/UDP; client_port= PORT"),
            Some(_) => None,
        };
        let Some(cseq) = self.cseq.filter(|_| missing.is_none()) else {
            return self.malformed(used, missing.unwrap_or("a request"), b"");
        };
        let request = Request {
            method: self.method,
            cseq,
            spelling: self.spelling,
            name: self.name,
            session: self.session,
            port: self.port,
        };
        Parsed::Done { used, request: Ok(request) }
    }

    fn malformed(self, used: usize, expected: &'static str, got: &[u8]) -> Parsed {
        let malformed = Malformed { cseq: self.cseq, expected, got: excerpt(got) };
        Parsed::Done { used, request: Err(malformed) }
    }
}

impl View<'_> {
    fn parse(&self) -> Parsed {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let Some(start) = self.bytes.iter().position(|byte| !is_blank(byte)) else {
            return Parsed::Nothing;
        };
        let Some(first) = line(self.bytes, start) else { return Parsed::Nothing };
        if first.text.len() > LINE_BYTES_MAX {
            let malformed = Malformed { cseq: None, expected: LINE, got: excerpt(first.text) };
            return Parsed::Done { used: first.next, request: Err(malformed) };
        }
        if !first.is_whole {
            return Parsed::Unfinished;
        }
        let mut words = first.text.splitn(2, |byte| *byte == b' ');
        let Some(method) = words.next().and_then(Method::from_word) else {
            return Parsed::Ignored { used: first.next };
        };
        let rest = words.next().unwrap_or_default();
        let spaced = [b" ", rest].concat();
        let (spelling, name) = match without_version(&spaced) {
            Some(name) => (Spelling::Handout, name.to_vec()),
            None => (Spelling::Student, spaced),
        };
        let name = String::from_utf8_lossy(name.trim_ascii()).into_owned();
        let draft = Draft { method, spelling, name, cseq: None, session: None, port: None };
        match spelling {
            Spelling::Handout => self.handout(draft, first.next),
            Spelling::Student => self.student(draft, first.next),
        }
    }

    /// Reads header lines from `at` on.
    fn handout(&self, mut draft: Draft, mut at: usize) -> Parsed {
        loop {
            let Some(line) = line(self.bytes, at) else {
                return self.at_end(draft, at);
            };
            if line.is_whole && line.text.is_empty() || begins_request(line.text) {
                let used = if line.text.is_empty() { line.next } else { line.at };
                return draft.done(used);
            }
            if line.text.len() > LINE_BYTES_MAX {
                return draft.malformed(line.next, LINE, line.text);
            }
            let Some((name, value)) = header(line.text) else {
                return match line.is_whole {
                    true => draft.malformed(line.next, "NAME: VALUE", line.text),
                    false => Parsed::Unfinished,
                };
            };
            let value_at = line.at + (line.text.len() - value.len());
            let field = match &*name {
                "cseq" => Field::Cseq,
                "session" => Field::Session,
                "transport" => Field::Port,
                _ if line.is_whole => {
                    at = line.next;
                    continue;
                }
                _ => return Parsed::Unfinished,
            };
            let Some(number) = field.read(value) else {
                return match line.is_whole {
                    true => draft.malformed(line.next, field.form(), line.text),
                    false => Parsed::Unfinished,
                };
            };
            if !draft.put(field, number.value) {
                return draft.malformed(line.next, field.form(), line.text);
            }
            let grows = number.is_open && !line.is_whole && !self.quiet;
            if grows && !(draft.is_closed() && self.is_final(field, &number)) {
                return Parsed::Unfinished;
            }
            let behind = value.get(number.bytes..).unwrap_or_default();
            if is_glued(behind, !line.is_whole) {
                return draft.done(value_at + number.bytes);
            }
            at = line.next;
            if draft.is_closed() {
                return draft.done(at);
            }
        }
    }

    /// Reads a number, and with SETUP the line with the port behind it.
    fn student(&self, mut draft: Draft, at: usize) -> Parsed {
        let Some(second) = line(self.bytes, at) else {
            return Parsed::Unfinished;
        };
        let Some(cseq) = number(second.text) else {
            return draft.malformed(second.next, "the request's number", second.text);
        };
        if !draft.put(Field::Cseq, cseq.value) {
            return draft.malformed(second.next, "the request's number", second.text);
        }
        let grows = cseq.is_open && !second.is_whole && !self.quiet;
        if draft.method != Method::Setup {
            if grows && !self.is_final(Field::Cseq, &cseq) {
                return Parsed::Unfinished;
            }
            let behind = second.text.get(cseq.bytes..).unwrap_or_default();
            let glued = is_glued(behind, !second.is_whole);
            return draft.done(if glued { second.at + cseq.bytes } else { second.next });
        }
        let Some(third) = line(self.bytes, second.next) else {
            return Parsed::Unfinished;
        };
        let transport = third.text.windows(TRANSPORT.len()).position(|part| part == TRANSPORT);
        let port_at = transport.map_or(third.text.len(), |found| found + TRANSPORT.len());
        let value = third.text.get(port_at..).unwrap_or_default();
        let port = number(value);
        let Some(port) = port.filter(|port| draft.put(Field::Port, port.value)) else {
            return match third.is_whole {
                true => draft.malformed(third.next, " RTSP/1.0 RTP/UDP PORT", third.text),
                false => Parsed::Unfinished,
            };
        };
        let grows = port.is_open && !third.is_whole && !self.quiet;
        if grows && !self.is_final(Field::Port, &port) {
            return Parsed::Unfinished;
        }
        let glued = is_glued(value.get(port.bytes..).unwrap_or_default(), !third.is_whole);
        draft.done(if glued { third.at + port_at + port.bytes } else { third.next })
    }

    /// All that came are whole lines.
    fn at_end(&self, draft: Draft, at: usize) -> Parsed {
        match self.quiet && draft.is_enough() {
            true => draft.done(at),
            false => Parsed::Unfinished,
        }
    }

    /// Whether a number at the very end of the bytes cannot go on.
    fn is_final(&self, field: Field, number: &super::text::Number) -> bool {
        match field {
            Field::Cseq => self.expected.cseq.is_some_and(|cseq| u64::from(cseq) == number.value),
            Field::Session => {
                self.expected.session.is_some_and(|session| u64::from(session) == number.value)
            }
            Field::Port => number.value > u64::from(u16::MAX) / 10,
        }
    }
}

/// The numbers of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Cseq,
    Session,
    Port,
}

/// The transport of the student's spelling.
const TRANSPORT: &[u8] = b"RTP/UDP";
const LINE: &str = "a line of at most 2,048 bytes";

impl Field {
    fn form(self) -> &'static str {
        match self {
            Field::Cseq => "CSeq: NUMBER",
            Field::Session => "Session: NUMBER",
            Field::Port => "Transport: RTP/UDP; client_port= PORT",
        }
    }

    /// The number in the header line's value, with where it ends.
    fn read(self, value: &[u8]) -> Option<super::text::Number> {
        if self != Field::Port {
            return number(value);
        }
        let word = b"client_port";
        let found = value.windows(word.len()).position(|part| part.eq_ignore_ascii_case(word))?;
        let behind = value.get(found + word.len()..)?;
        let equals = behind.iter().position(|byte| *byte == b'=')?;
        let before = found + word.len() + equals + 1;
        let number = number(value.get(before..)?)?;
        Some(super::text::Number { bytes: before + number.bytes, ..number })
    }
}

impl Draft {
    /// Keeps a number; whether it can be one of this field.
    fn put(&mut self, field: Field, value: u64) -> bool {
        match field {
            Field::Cseq => {
                self.cseq = u32::try_from(value).ok();
                self.cseq.is_some()
            }
            Field::Session => {
                self.session = Some(value);
                true
            }
            Field::Port if self.method != Method::Setup => true,
            Field::Port => {
                self.port = u16::try_from(value).ok().filter(|port| *port != 0);
                self.port.is_some()
            }
        }
    }
}
