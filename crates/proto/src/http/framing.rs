//! What follows a head: a body, and the next request (RFC 9112 sections 6, 7 and 9).

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, TRANSFER_ENCODING};
use http::{StatusCode, Version};

use super::{Refusal, RequestHead};

/// How the length of a request's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// It has so many bytes; none without a field that says otherwise.
    Length(u64),
    /// It comes in chunks that say their lengths.
    Chunked,
}

impl Framing {
    /// Of the request with this head.
    ///
    /// # Errors
    /// Where two readers could find different ends (RFC 9112 section 6.3).
    pub fn of(head: &RequestHead) -> Result<Framing, Refusal> {
        let length = content_length(&head.headers)?;
        if !head.headers.contains_key(TRANSFER_ENCODING) {
            return Ok(Framing::Length(length.unwrap_or(0)));
        }
        if length.is_some() {
            return Err(Refusal::bad_request("it has both Content-Length and Transfer-Encoding"));
        }
        if head.version == Version::HTTP_10 {
            return Err(Refusal::bad_request("HTTP/1.0 has no Transfer-Encoding"));
        }
        let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
        match (codings.next().map(|value| value.as_bytes()), codings.next()) {
            (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            _ => {
                let why = "the only transfer coding that is understood is chunked";
                Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, why))
            }
        }
    }
}

/// All lines, and all members of a list in one line, must say the same.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let wrong = Refusal::bad_request("Content-Length is no number, or there are several");
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for member in value.as_bytes().split(|byte| *byte == b',') {
            let member = member.trim_ascii();
            if member.is_empty() || !member.iter().all(u8::is_ascii_digit) {
                return Err(wrong);
            }
            let number = str::from_utf8(member).ok().and_then(|text| text.parse().ok());
            let number: u64 = number.ok_or(wrong)?;
            if length.is_some_and(|other| other != number) {
                return Err(wrong);
            }
            length = Some(number);
        }
    }
    Ok(length)
}

/// Whether the connection may stay open behind the answer (RFC 9112 section 9.3).
pub fn is_persistent(head: &RequestHead) -> bool {
    let says = |word| has_option(&head.headers, word);
    match head.version {
        Version::HTTP_10 => says("keep-alive") && !says("close"),
        _ => !says("close"),
    }
}

fn has_option(headers: &HeaderMap, word: &str) -> bool {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|option| option.trim().eq_ignore_ascii_case(word))
}

/// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
///
/// # Errors
/// When it expects something else.
pub fn expects_continue(head: &RequestHead) -> Result<bool, Refusal> {
    match head.headers.get(EXPECT).map(|value| value.as_bytes()) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => {
            Ok(head.version == Version::HTTP_11)
        }
        Some(_) => {
            let why = "the only expectation that is understood is 100-continue";
            Err(Refusal::new(StatusCode::EXPECTATION_FAILED, why))
        }
    }
}

/// Takes a chunked body apart (RFC 9112 section 7.1). Trailers are passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkedReader {
    state: State,
    /// Bytes of lines between chunks so far: extensions and trailers.
    line_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a chunk's size.
    Size {
        bytes: u64,
        digits: u8,
    },
    /// Behind the digits, up to the line feed.
    Extension {
        bytes: u64,
    },
    Data {
        left: u64,
    },
    /// At the line end behind a chunk's bytes.
    DataEnd,
    /// In the lines behind the last chunk; whether this one is empty so far.
    Trailer {
        empty: bool,
    },
    Done,
}

/// What extensions and trailers may have in all.
const LINE_BYTES_MAX: usize = 16 * 1024;

impl Default for ChunkedReader {
    fn default() -> Self {
        ChunkedReader { state: State::Size { bytes: 0, digits: 0 }, line_bytes: 0 }
    }
}

impl ChunkedReader {
    /// Takes of `data` what belongs to the body, appends what it carries to `out`, and says how
    /// many bytes it took: all of them until the body is whole.
    ///
    /// # Errors
    /// When it is not chunked as it should be.
    pub fn read(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<usize, Refusal> {
        let mut taken = 0;
        while let Some(rest) = data.get(taken..).filter(|rest| !rest.is_empty()) {
            match &mut self.state {
                State::Done => break,
                State::Data { left } => {
                    let bytes = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    out.extend_from_slice(rest.get(..bytes).unwrap_or_default());
                    taken += bytes;
                    *left -= bytes as u64;
                    if *left == 0 {
                        self.state = State::DataEnd;
                    }
                }
                _ => {
                    self.step(rest[0])?;
                    taken += 1;
                }
            }
        }
        Ok(taken)
    }

    /// Whether the body is whole.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn step(&mut self, byte: u8) -> Result<(), Refusal> {
        let wrong = Refusal::bad_request("the chunks of the body are not as they should be");
        self.line_bytes += usize::from(!matches!(byte, b'\r' | b'\n'));
        if self.line_bytes > LINE_BYTES_MAX {
            return Err(wrong);
        }
        self.state = match (self.state, byte) {
            (State::Size { bytes, digits }, _) if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                State::Size { bytes: bytes << 4 | u64::from(digit), digits: digits + 1 }
            }
            (State::Size { digits: 0, .. }, _) => return Err(wrong),
            (State::Size { bytes, .. } | State::Extension { bytes }, b'\n') => self.begin(bytes),
            (State::Size { bytes, .. }, b';' | b' ' | b'\t' | b'\r') => State::Extension { bytes },
            (State::Size { .. }, _) => return Err(wrong),
            (State::Extension { bytes }, _) => State::Extension { bytes },
            (State::DataEnd, b'\r') => State::DataEnd,
            (State::DataEnd, b'\n') => State::Size { bytes: 0, digits: 0 },
            (State::DataEnd, _) => return Err(wrong),
            (State::Trailer { empty: true }, b'\n') => State::Done,
            (State::Trailer { .. }, b'\n') => State::Trailer { empty: true },
            (State::Trailer { empty }, b'\r') => State::Trailer { empty },
            (State::Trailer { .. }, _) => State::Trailer { empty: false },
            (State::Data { .. } | State::Done, _) => self.state,
        };
        Ok(())
    }

    fn begin(&mut self, bytes: u64) -> State {
        // Digits count against the bound too: without this a long body would reach it.
        self.line_bytes = self.line_bytes.saturating_sub(SIZE_DIGITS_FREE);
        match bytes {
            0 => State::Trailer { empty: true },
            left => State::Data { left },
        }
    }
}

/// Digits of a chunk's size that are no extension.
const SIZE_DIGITS_FREE: usize = 16;
