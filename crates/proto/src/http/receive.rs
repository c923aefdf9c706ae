//! The answer to a request, as it comes (RFC 9112).

use bytes::{Buf, Bytes, BytesMut};

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The fields in their order: names in lower case, values without blanks around them.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The first value of a field; `name` in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// First and last byte, and the length of the whole, of a `Content-Range` (RFC 9110 section
    /// 14.4).
    pub fn content_range(&self) -> Option<(u64, u64, Option<u64>)> {
        let (range, whole) =
            self.field("content-range")?.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first <= last).then(|| (first, last, whole.trim().parse().ok()))
    }

    /// Whether the connection can carry another request (RFC 9112 section 9.3).
    fn keeps_alive(&self, minor: u8) -> bool {
        let says = |what: &str| {
            let fields = self.fields.iter().filter(|(name, _)| name == "connection");
            fields
                .flat_map(|(_, value)| value.split(','))
                .any(|v| v.trim().eq_ignore_ascii_case(what))
        };
        if minor == 0 { says("keep-alive") } else { !says("close") }
    }
}

/// What came of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The head; interim responses (1xx) are passed over.
    Head(Head),
    /// The next bytes of the content.
    Content(Bytes),
    /// The end of the content.
    End {
        /// Whether the connection can carry another request.
        keeps_alive: bool,
    },
}

/// Why a response cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not HTTP/1.x.
    #[error("no HTTP/1.1 response: {reason}, it starts with {start:?}")]
    Head {
        /// What is wrong.
        reason: String,
        /// How it starts.
        start: String,
    },
    /// Its head does not end.
    #[error("the head of the response does not end within {HEAD_BYTES_MAX} bytes")]
    HeadLong,
    /// Its framing cannot be told (RFC 9112 section 6.3).
    #[error("the response's {field} is {value:?}")]
    Framing {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A chunk does not follow RFC 9112 section 7.1.
    #[error("the response's chunk of {at} content bytes on is malformed")]
    Chunk {
        /// Content bytes before it.
        at: u64,
    },
    /// The connection ended in the middle.
    #[error("the connection ended after {bytes} bytes of content, {missing} are missing")]
    CutOff {
        /// Content bytes that came.
        bytes: u64,
        /// What is missing.
        missing: String,
    },
}

/// Reads one response.
#[derive(Debug)]
pub struct Reader {
    state: State,
    /// The request was HEAD: there is no content, whatever the head says.
    is_head: bool,
    buffer: BytesMut,
    keeps_alive: bool,
    content_bytes: u64,
    is_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Length { left: u64 },
    ChunkHead,
    Chunk { left: u64 },
    ChunkEnd,
    Trailers,
    UntilClosed,
    Over,
}

/// A head may be so long.
const HEAD_BYTES_MAX: usize = 64 << 10;
const FIELDS_MAX: usize = 128;
const LINE_BYTES_MAX: usize = 1 << 10;

impl Reader {
    /// A reader of the answer to a request, which `is_head` says to be one of HEAD.
    pub fn new(is_head: bool) -> Self {
        Reader {
            state: State::Head,
            is_head,
            buffer: BytesMut::new(),
            keeps_alive: false,
            content_bytes: 0,
            is_ended: false,
        }
    }

    /// Where to put what comes, behind what is there.
    pub fn room(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The connection has ended.
    pub fn closed(&mut self) {
        self.is_ended = true;
    }

    /// What comes next of the response; `None` if more bytes are needed, and after the end.
    ///
    /// # Errors
    /// When the response cannot be read on; the connection is of no more use.
    pub fn poll(&mut self) -> Result<Option<Event>, Error> {
        loop {
            match self.state {
                State::Head => return self.head(),
                State::Length { left: 0 } => return Ok(Some(self.end())),
                State::Length { left } => {
                    let content = self.content(left);
                    self.state = State::Length { left: left - content.len() as u64 };
                    return self.some(content, || format!("{left} bytes"));
                }
                State::UntilClosed => {
                    let content = self.content(u64::MAX);
                    if content.is_empty() && self.is_ended {
                        return Ok(Some(self.end()));
                    }
                    return Ok((!content.is_empty()).then_some(Event::Content(content)));
                }
                State::ChunkHead => match self.line()? {
                    None => return self.some(Bytes::new(), || "chunks".into()),
                    Some(line) => self.state = chunk(&line, self.content_bytes)?,
                },
                State::Chunk { left: 0 } => self.state = State::ChunkEnd,
                State::Chunk { left } => {
                    let content = self.content(left);
                    self.state = State::Chunk { left: left - content.len() as u64 };
                    return self.some(content, || "the rest of a chunk".into());
                }
                State::ChunkEnd => match self.line()? {
                    None => return self.some(Bytes::new(), || "chunks".into()),
                    Some(line) if line.is_empty() => self.state = State::ChunkHead,
                    Some(_) => return Err(Error::Chunk { at: self.content_bytes }),
                },
                State::Trailers => match self.line()? {
                    None => return self.some(Bytes::new(), || "the end of the chunks".into()),
                    Some(line) if line.is_empty() => return Ok(Some(self.end())),
                    Some(_) => {}
                },
                State::Over => return Ok(None),
            }
        }
    }

    fn head(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
            let mut response = httparse::Response::new(&mut fields);
            let parsed = response.parse(&self.buffer).map_err(|error| Error::Head {
                reason: error.to_string(),
                start: start(&self.buffer),
            })?;
            let httparse::Status::Complete(head_bytes) = parsed else {
                if self.buffer.len() > HEAD_BYTES_MAX {
                    return Err(Error::HeadLong);
                }
                return self.some(Bytes::new(), || "the response".into());
            };
            let status = response.code.unwrap_or(0);
            let minor = response.version.unwrap_or(1);
            let text = |value: &[u8]| String::from_utf8_lossy(value).trim().to_owned();
            let fields = response.headers.iter();
            let fields =
                fields.map(|field| (field.name.to_ascii_lowercase(), text(field.value))).collect();
            self.buffer.advance(head_bytes);
            if (100..200).contains(&status) {
                continue;
            }
            let head = Head { status, fields };
            self.keeps_alive = head.keeps_alive(minor);
            self.state = self.framing(&head)?;
            return Ok(Some(Event::Head(head)));
        }
    }

    /// RFC 9112 section 6.3.
    fn framing(&mut self, head: &Head) -> Result<State, Error> {
        if self.is_head || head.status == 204 || head.status == 304 {
            return Ok(State::Length { left: 0 });
        }
        if let Some(coding) = head.field("transfer-encoding") {
            if coding.eq_ignore_ascii_case("chunked") {
                return Ok(State::ChunkHead);
            }
            return Err(Error::Framing { field: "Transfer-Encoding", value: coding.to_owned() });
        }
        let Some(length) = head.field("content-length") else {
            self.keeps_alive = false;
            return Ok(State::UntilClosed);
        };
        match length.parse() {
            Ok(left) => Ok(State::Length { left }),
            Err(_) => Err(Error::Framing { field: "Content-Length", value: length.to_owned() }),
        }
    }

    /// What is there of the content, at most `left` bytes.
    fn content(&mut self, left: u64) -> Bytes {
        let take = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.content_bytes += take as u64;
        self.buffer.split_to(take).freeze()
    }

    /// A line without its end, once it is there.
    fn line(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') else {
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(Error::Chunk { at: self.content_bytes });
            }
            return Ok(None);
        };
        let line = self.buffer.split_to(end + 1).freeze();
        let line = line.slice(..end);
        Ok(Some(line.strip_suffix(b"\r").map_or(line.clone(), |cut| line.slice_ref(cut))))
    }

    fn some(&self, content: Bytes, missing: impl Fn() -> String) -> Result<Option<Event>, Error> {
        if content.is_empty() && self.is_ended {
            return Err(Error::CutOff { bytes: self.content_bytes, missing: missing() });
        }
        Ok((!content.is_empty()).then_some(Event::Content(content)))
    }

    fn end(&mut self) -> Event {
        self.state = State::Over;
        Event::End { keeps_alive: self.keeps_alive && self.buffer.is_empty() && !self.is_ended }
    }
}

/// The size of a chunk; its extensions are passed over.
fn chunk(line: &[u8], at: u64) -> Result<State, Error> {
    let size = line.split(|&byte| byte == b';').next().unwrap_or(line);
    let size = std::str::from_utf8(size).ok().map(str::trim).filter(|size| !size.is_empty());
    let size = size.filter(|size| size.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match size.and_then(|size| u64::from_str_radix(size, 16).ok()) {
        Some(0) => Ok(State::Trailers),
        Some(left) => Ok(State::Chunk { left }),
        None => Err(Error::Chunk { at }),
    }
}

fn start(bytes: &[u8]) -> String {
    bytes.get(..32).unwrap_or(bytes).escape_ascii().to_string()
}

/// `data` as a response, in two pieces.
#[doc(hidden)]
pub fn fuzz_http_response(data: &[u8]) {
    let (&cut, data) = data.split_first().unwrap_or((&0, data));
    let mut reader = Reader::new(cut & 0x80 != 0);
    let (first, second) = data.split_at(usize::from(cut & 0x7f).min(data.len()));
    for part in [first, second, &[]] {
        reader.room().extend_from_slice(part);
        if part.is_empty() {
            reader.closed();
        }
        while let Ok(Some(event)) = reader.poll() {
            if let Event::Head(head) = event {
                let _ = (head.content_range(), head.field("etag").map(str::len));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `pieces` and gives status, content and whether the connection lives on.
    fn read(pieces: &[&str]) -> Result<(u16, String, Option<bool>), Error> {
        let mut reader = Reader::new(false);
        let (mut status, mut content, mut over) = (0, Vec::new(), None);
        for (index, piece) in pieces.iter().enumerate() {
            reader.room().extend_from_slice(piece.as_bytes());
            if index + 1 == pieces.len() && piece.is_empty() {
                reader.closed();
            }
            while let Some(event) = reader.poll()? {
                match event {
                    Event::Head(head) => status = head.status,
                    Event::Content(bytes) => content.extend_from_slice(&bytes),
                    Event::End { keeps_alive } => over = Some(keeps_alive),
                }
            }
        }
        Ok((status, String::from_utf8(content).unwrap(), over))
    }

    #[test]
    fn content_of_a_known_length_ends_with_it() {
        let found = read(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "lo"]);
        assert_eq!(found, Ok((200, "hello".into(), Some(true))));
    }

    #[test]
    fn chunks_are_joined_and_extensions_and_trailers_passed_over() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let found = read(&[head, "3;x=y\r\nhel\r", "\n2\r\nlo\r\n0\r\nA: b\r\n", "\r\n"]);
        assert_eq!(found, Ok((200, "hello".into(), Some(true))));
    }

    #[test]
    fn content_without_a_length_ends_with_the_connection() {
        let found = read(&["HTTP/1.0 200 OK\r\n\r\nhello", ""]);
        assert_eq!(found, Ok((200, "hello".into(), Some(false))));
    }

    #[test]
    fn an_interim_response_is_passed_over() {
        let found =
            read(&["HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 Gone\r\nConnection: close\r\n\r\n"]);
        assert_eq!(found, Ok((204, String::new(), Some(false))));
    }

    #[test]
    fn what_is_cut_off_or_malformed_is_said_to_be() {
        let message = |pieces: &[&str]| read(pieces).unwrap_err().to_string();
        assert_eq!(
            message(&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", ""]),
            "the connection ended after 3 bytes of content, 6 bytes are missing"
        );
        assert!(message(&["SSH-2.0-x\r\n\r\n"]).contains("no HTTP/1.1 response"));
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(message(&[head, "xyz\r\n"]).contains("malformed"));
        assert!(message(&["HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]).contains("\"x\""));
    }

    #[test]
    fn a_content_range_tells_place_and_whole() {
        let head = |value: &str| Head {
            status: 206,
            fields: vec![("content-range".into(), value.into())],
        };
        assert_eq!(head("bytes 2-5/9").content_range(), Some((2, 5, Some(9))));
        assert_eq!(head("bytes 2-5/*").content_range(), Some((2, 5, None)));
        assert_eq!(head("bytes 5-2/9").content_range(), None);
    }
}
