//! A byte stream to messages, a piece at a time.

use bytes::{Buf as _, Bytes, BytesMut};

use super::{Fields, Item, MAX_FIELDS, Method, Request, Response, Version};
use crate::rtsp::Status;

/// Cuts a byte stream into messages and interleaved frames.
///
/// Lines may end in CR LF or in LF alone; empty lines before a message are passed over. What
/// cannot be framed is an [`Error`], and the stream ends there: a server answers with
/// [`Error::status`] and closes, for nobody can say where the next request begins.
/// [`Tolerance::Wide`], for clients, passes over bytes that begin no message instead, up to the
/// next that may, and over header lines without a colon, and counts both.
///
/// It holds what was pushed and not yet taken; a caller that pushes only while
/// [`Decoder::buffered_bytes`] is under a bound of its own holds at most that bound, one push
/// and one message.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    tolerance: Tolerance,
    scan: usize,
    line_start: usize,
    lines: usize,
    body: Option<(Item, usize)>,
    failed: bool,
    junk_bytes: usize,
    skipped_bytes: u64,
    skipped_fields: u64,
    offset: u64,
}

/// How much a decoder forgives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// For requests: an unreadable line is an error.
    Strict,
    /// For what servers send: unreadable lines are passed over and counted.
    Wide,
}

/// Why a byte stream cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first line is neither a request line nor a status line.
    #[error("offset {offset}: expected METHOD URL RTSP/1.0, got {line:?}")]
    StartLine {
        /// Where the message began, in bytes from the connection's start.
        offset: u64,
        /// The line, cut to 80 bytes.
        line: String,
    },
    /// The first line is longer than [`LINE_BYTES_MAX`].
    #[error("offset {offset}: the request line is longer than {LINE_BYTES_MAX} bytes")]
    StartLineTooLong {
        /// Where the message began.
        offset: u64,
    },
    /// A header line is longer than [`LINE_BYTES_MAX`].
    #[error("offset {offset}: a header line is longer than {LINE_BYTES_MAX} bytes")]
    FieldTooLong {
        /// Where the message began.
        offset: u64,
    },
    /// The header is longer than [`HEAD_BYTES_MAX`] or has more than [`MAX_FIELDS`] lines.
    #[error(
        "offset {offset}: the header has more than {HEAD_BYTES_MAX} bytes or {MAX_FIELDS} lines"
    )]
    HeadTooLarge {
        /// Where the message began.
        offset: u64,
    },
    /// A header line has no colon.
    #[error("offset {offset}: expected NAME: VALUE, got {line:?}")]
    Field {
        /// Where the message began.
        offset: u64,
        /// The line, cut to 80 bytes.
        line: String,
    },
    /// Content-Length is not one number.
    #[error("offset {offset}: expected one decimal Content-Length, got {value:?}")]
    ContentLength {
        /// Where the message began.
        offset: u64,
        /// What stands there.
        value: String,
    },
    /// The body is longer than [`BODY_BYTES_MAX`].
    #[error("offset {offset}: the body has {bytes} bytes, {BODY_BYTES_MAX} are allowed")]
    BodyTooLarge {
        /// Where the message began.
        offset: u64,
        /// The length that the message states.
        bytes: u64,
    },
    /// More than [`SKIPPED_BYTES_MAX`] bytes in a row begin no message.
    #[error("offset {offset}: no message within {SKIPPED_BYTES_MAX} bytes")]
    NoMessage {
        /// Where reading stopped.
        offset: u64,
    },
}

impl Error {
    /// The status that a server answers with.
    pub fn status(&self) -> Status {
        match self {
            Error::StartLineTooLong { .. } => Status::REQUEST_URI_TOO_LARGE,
            Error::BodyTooLarge { .. } | Error::HeadTooLarge { .. } => {
                Status::REQUEST_ENTITY_TOO_LARGE
            }
            _ => Status::BAD_REQUEST,
        }
    }
}

/// The longest line, with its end.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// The longest first line and header together.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The longest body.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// How much a wide decoder passes over before it gives up.
pub const SKIPPED_BYTES_MAX: usize = 64 * 1024;

impl Decoder {
    /// A decoder of an empty stream.
    pub fn new(tolerance: Tolerance) -> Self {
        Decoder {
            buffer: BytesMut::new(),
            tolerance,
            scan: 0,
            line_start: 0,
            lines: 0,
            body: None,
            failed: false,
            junk_bytes: 0,
            skipped_bytes: 0,
            skipped_fields: 0,
            offset: 0,
        }
    }

    /// Takes in bytes. After an error they are dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next message or frame; `None` until more bytes come. After an error, always `None`.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Result<Item, Error>> {
        if self.failed {
            return None;
        }
        let result = self.step().transpose();
        if matches!(result, Some(Err(_))) {
            self.failed = true;
            self.buffer = BytesMut::new();
        }
        result
    }

    /// The bytes that no message has used yet; within a message that waits for its body, those
    /// of the body.
    pub fn undecoded(&self) -> &[u8] {
        &self.buffer
    }

    /// How many bytes are held that no message has used yet.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// How many bytes of the stream are used up.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes that begin no message were passed over ([`Tolerance::Wide`]).
    pub fn skipped_bytes(&self) -> u64 {
        self.skipped_bytes
    }

    /// How many header lines without a colon were passed over ([`Tolerance::Wide`]).
    pub fn skipped_fields(&self) -> u64 {
        self.skipped_fields
    }

    fn step(&mut self) -> Result<Option<Item>, Error> {
        loop {
            if let Some((_, length)) = self.body {
                return Ok(self.take_body(length));
            }
            if self.line_start == 0 && self.scan == 0 {
                let blank = self.buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n'));
                let blank = blank.count();
                self.consume(blank);
            }
            match self.buffer.first() {
                None => return Ok(None),
                Some(b'$') => return Ok(self.take_interleaved()),
                Some(_) => {}
            }
            let judged = self.tolerance == Tolerance::Wide && self.line_start == 0;
            if let Some(bytes) = judged.then(|| junk(&self.buffer)).flatten() {
                self.skip(bytes)?;
                continue;
            }
            match self.find_head_end()? {
                Found::Nothing => return Ok(None),
                Found::Junk(bytes) => self.skip(bytes)?,
                Found::Head(bytes) => self.take_head(bytes)?,
            }
        }
    }

    fn take_interleaved(&mut self) -> Option<Item> {
        let &[_, channel, high, low] = self.buffer.first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if self.buffer.len() < 4 + length {
            return None;
        }
        self.consume(4);
        self.junk_bytes = 0;
        let data = self.split(length);
        Some(Item::Interleaved { channel, data })
    }

    /// Finds the end of the header, each byte looked at once however the stream is cut.
    fn find_head_end(&mut self) -> Result<Found, Error> {
        loop {
            let rest = self.buffer.get(self.scan..).unwrap_or_default();
            let found = rest.iter().position(|&b| b == b'\n');
            let line_end = found.map_or(self.buffer.len(), |at| self.scan + at + 1);
            self.check_bounds(line_end)?;
            self.scan = line_end;
            if found.is_none() {
                return Ok(Found::Nothing);
            }
            let line = &self.buffer[self.line_start..line_end];
            let blank = line == b"\n" || line == b"\r\n";
            if self.tolerance == Tolerance::Wide && self.line_start == 0 && !starts_message(line) {
                return Ok(Found::Junk(line_end));
            }
            self.line_start = line_end;
            self.lines += 1;
            if blank {
                return Ok(Found::Head(line_end));
            }
        }
    }

    fn check_bounds(&self, line_end: usize) -> Result<(), Error> {
        let offset = self.offset;
        if line_end - self.line_start > LINE_BYTES_MAX {
            return Err(match self.line_start {
                0 => Error::StartLineTooLong { offset },
                _ => Error::FieldTooLong { offset },
            });
        }
        // The first line and the blank one are no fields.
        if line_end > HEAD_BYTES_MAX || self.lines > MAX_FIELDS + 1 {
            return Err(Error::HeadTooLarge { offset });
        }
        Ok(())
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Error> {
        self.consume(bytes);
        self.scan = 0;
        self.skipped_bytes += bytes as u64;
        self.junk_bytes += bytes;
        if self.junk_bytes > SKIPPED_BYTES_MAX {
            return Err(Error::NoMessage { offset: self.offset });
        }
        Ok(())
    }

    fn take_head(&mut self, end: usize) -> Result<(), Error> {
        let offset = self.offset;
        let head = self.split(end);
        (self.scan, self.line_start, self.lines) = (0, 0, 0);
        self.junk_bytes = 0;
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.lines();
        let start = lines.next().unwrap_or_default();
        let fields = self.parse_fields(lines, offset)?;
        let length = content_length(&fields, offset)?;
        self.body = Some((parse_start(start, fields, offset)?, length));
        Ok(())
    }

    fn parse_fields<'a>(
        &mut self,
        lines: impl Iterator<Item = &'a str>,
        offset: u64,
    ) -> Result<Fields, Error> {
        let mut fields = Fields::default();
        for line in lines.filter(|line| !line.is_empty()) {
            if line.starts_with([' ', '\t']) && fields.fold(line.trim()) {
                continue;
            }
            match line.split_once(':') {
                Some((name, value)) if !name.trim().is_empty() => {
                    fields.push(name.trim(), value.trim());
                }
                _ if self.tolerance == Tolerance::Wide => self.skipped_fields += 1,
                _ => {
                    let line = excerpt(line);
                    return Err(Error::Field { offset, line });
                }
            }
        }
        Ok(fields)
    }

    fn take_body(&mut self, length: usize) -> Option<Item> {
        if self.buffer.len() < length {
            return None;
        }
        let bytes = self.split(length);
        let (mut item, _) = self.body.take()?;
        match &mut item {
            Item::Request(request) => request.body = bytes,
            Item::Response(response) => response.body = bytes,
            Item::Interleaved { .. } => {}
        }
        Some(item)
    }

    fn consume(&mut self, bytes: usize) {
        self.buffer.advance(bytes);
        self.offset += bytes as u64;
    }

    fn split(&mut self, bytes: usize) -> Bytes {
        self.offset += bytes as u64;
        self.buffer.split_to(bytes).freeze()
    }
}

/// What the bytes at hand begin with, counted in bytes.
enum Found {
    Nothing,
    Junk(usize),
    Head(usize),
}

/// Judges the first bytes of what is to be a message: a method and a blank, or `RTSP/`. Junk
/// reaches to the next `$`, the next `RTSP/` or the next line; this many bytes are junk.
fn junk(bytes: &[u8]) -> Option<usize> {
    let starts = |b: &&u8| is_token_byte(**b) && **b != b'$';
    let token = bytes.iter().take(START_BYTES_MAX).take_while(starts).count();
    let fits = match bytes.get(token) {
        None => true,
        Some(b' ' | b'\t') => (1..START_BYTES_MAX).contains(&token),
        Some(b'/') => bytes.starts_with(START),
        Some(_) => false,
    };
    if fits {
        return None;
    }
    // The last bytes may be the beginning of a start that is not complete yet.
    let start = |at: usize| {
        let rest = &bytes[at..];
        rest.starts_with(START) || START.starts_with(rest)
    };
    let next =
        (1..bytes.len()).find(|&at| bytes[at] == b'$' || bytes[at - 1] == b'\n' || start(at));
    Some(next.unwrap_or(bytes.len()))
}

/// What a response begins with.
const START: &[u8] = b"RTSP/";
/// The longest token that may begin a message.
const START_BYTES_MAX: usize = 64;

fn content_length(fields: &Fields, offset: u64) -> Result<usize, Error> {
    let mut length: Option<u64> = None;
    for value in fields.all("Content-Length") {
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        // A number too long for 64 bits is a body too large.
        let number = digits.then(|| value.parse().unwrap_or(u64::MAX));
        match (number, length) {
            (Some(number), None) => length = Some(number),
            (Some(number), Some(earlier)) if number == earlier => {}
            _ => {
                let value = excerpt(value);
                return Err(Error::ContentLength { offset, value });
            }
        }
    }
    let bytes = length.unwrap_or(0);
    match usize::try_from(bytes) {
        Ok(length) if length <= BODY_BYTES_MAX => Ok(length),
        _ => Err(Error::BodyTooLarge { offset, bytes }),
    }
}

fn parse_start(line: &str, fields: Fields, offset: u64) -> Result<Item, Error> {
    let item = match parse_version(line) {
        Some((version, rest)) => parse_status_line(version, rest, fields),
        None => parse_request_line(line, fields),
    };
    item.ok_or_else(|| Error::StartLine { offset, line: excerpt(line) })
}

/// `RTSP/1.0 200 OK`, behind the version.
fn parse_status_line(version: Version, rest: &str, fields: Fields) -> Option<Item> {
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let (code, reason) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(Item::Response(Response {
        version,
        status: Status(code.parse().ok()?),
        reason: reason.trim().to_owned(),
        fields,
        body: Bytes::new(),
    }))
}

/// `PLAY rtsp://host/name RTSP/1.0`. Blanks inside the address are kept: some clients do not
/// encode them.
fn parse_request_line(line: &str, fields: Fields) -> Option<Item> {
    let (method, rest) = line.trim_end().split_once([' ', '\t'])?;
    let (uri, version) = rest.rsplit_once([' ', '\t'])?;
    let uri = uri.trim();
    let (version, behind) = parse_version(version)?;
    if !is_token(method) || uri.is_empty() || !behind.is_empty() {
        return None;
    }
    Some(Item::Request(Request {
        method: Method::from_token(method),
        uri: uri.to_owned(),
        version,
        fields,
        body: Bytes::new(),
    }))
}

/// The version that a text begins with, and the rest.
fn parse_version(text: &str) -> Option<(Version, &str)> {
    let rest = text.strip_prefix("RTSP/")?;
    let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, behind) = rest.split_at(end);
    let (major, minor) = number.split_once('.')?;
    let version = Version { major: major.parse().ok()?, minor: minor.parse().ok()? };
    Some((version, behind))
}

fn starts_message(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end_matches(['\r', '\n']);
    parse_start(line, Fields::default(), 0).is_ok()
}

/// A token of RFC 2068 section 2.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte)
}

fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}
