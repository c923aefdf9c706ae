//! Replies: three lines.

use weir_time::Instant;

use super::text::{header, line, number};
use super::{SILENCE, UNFINISHED_MAX};
use crate::rtsp::Status;

/// A reply as this server writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it went.
    pub status: Status,
    /// The request's number; 0 where it could not be read.
    pub cseq: u32,
    /// The connection's session. Clients read it from error replies too.
    pub session: u32,
}

impl Reply {
    /// Three lines that end in LF, and nothing behind them: some clients read exactly three
    /// lines, and others split what comes at each LF and at each space.
    pub fn encode(&self) -> Vec<u8> {
        let Reply { status, cseq, session } = self;
        format!("RTSP/1.0 {status}\nCSeq: {cseq}\nSession: {session}\n").into_bytes()
    }
}

/// A reply as any server may write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The status code.
    pub status: Status,
    /// The server's own words behind the code.
    pub reason: String,
    /// The request's number, where the server says it.
    pub cseq: Option<u32>,
    /// The session, where the server says it.
    pub session: Option<u64>,
    /// When its last bytes came.
    pub at: Instant,
}

/// Cuts a byte stream into replies.
///
/// A reply is complete with a blank line, with the line that is the last of number and session
/// to come, when the next reply begins, or after [`SILENCE`]. Lines that belong to none are
/// passed over and counted. At most [`BYTES_MAX`] bytes are held.
#[derive(Clone, Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    last: Instant,
    session: Option<u64>,
    lines_ignored: u64,
    bytes_dropped: u64,
}

/// Bytes that may wait; replies are far shorter.
pub const BYTES_MAX: usize = 8 * 1024;

impl Decoder {
    /// Holds nothing yet.
    pub fn new(now: Instant) -> Self {
        Decoder { buffer: Vec::new(), last: now, session: None, lines_ignored: 0, bytes_dropped: 0 }
    }

    /// Takes in bytes that came at `now`; what is too much is dropped and counted. Take all
    /// replies out before.
    pub fn push(&mut self, now: Instant, bytes: &[u8]) {
        let (kept, dropped) = bytes.split_at(bytes.len().min(BYTES_MAX - self.buffer.len()));
        self.buffer.extend_from_slice(kept);
        self.bytes_dropped += dropped.len() as u64;
        self.last = self.last.max(now);
    }

    /// Says which session replies should name: no digit more is waited for then.
    pub fn expect_session(&mut self, session: u64) {
        self.session = Some(session);
    }

    /// The next reply that is complete at `now`.
    pub fn next(&mut self, now: Instant) -> Option<Received> {
        loop {
            let silent = now.since(self.last);
            let (received, used) = self.parse(silent >= SILENCE);
            let stuck = self.buffer.len() >= BYTES_MAX || silent >= UNFINISHED_MAX;
            if used == 0 {
                if stuck {
                    self.bytes_dropped += self.buffer.len() as u64;
                    self.buffer.clear();
                }
                return None;
            }
            self.buffer.drain(..used);
            if received.is_some() {
                return received;
            }
        }
    }

    /// The timers `silence` and `unfinished`.
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        if self.buffer.is_empty() {
            return None;
        }
        let ats = [self.last + SILENCE, self.last + UNFINISHED_MAX];
        ats.into_iter().find(|at| *at > now).or(Some(now))
    }

    /// Lines that belong to no reply.
    pub fn lines_ignored(&self) -> u64 {
        self.lines_ignored
    }

    /// Bytes that came faster than they could be read as replies.
    pub fn bytes_dropped(&self) -> u64 {
        self.bytes_dropped
    }

    /// The reply at the front, and how many bytes it, or a line that is none, takes: 0 if more
    /// must come.
    fn parse(&mut self, quiet: bool) -> (Option<Received>, usize) {
        let Some(first) = line(&self.buffer, 0) else {
            return (None, 0);
        };
        if !first.is_whole && !quiet {
            return (None, 0);
        }
        let Some((status, reason)) = status_line(first.text) else {
            self.lines_ignored += u64::from(!first.text.is_empty());
            return (None, first.next);
        };
        let mut received = Received { status, reason, cseq: None, session: None, at: self.last };
        let mut at = first.next;
        while let Some(line) = line(&self.buffer, at) {
            if line.is_whole && line.text.is_empty() {
                return (Some(received), line.next);
            }
            if line.text.starts_with(b"RTSP/") {
                return (Some(received), line.at);
            }
            let field = header(line.text).and_then(|(name, value)| Some((name, number(value)?)));
            let mut is_final = line.is_whole || quiet;
            match field {
                Some((name, number)) if name == "cseq" => {
                    received.cseq = u32::try_from(number.value).ok();
                }
                Some((name, number)) if name == "session" => {
                    received.session = Some(number.value);
                    is_final |= !number.is_open || self.session == Some(number.value);
                }
                _ => {}
            }
            if !is_final {
                return (None, 0);
            }
            at = line.next;
            if received.cseq.is_some() && received.session.is_some() {
                return (Some(received), at);
            }
        }
        if quiet { (Some(received), at) } else { (None, 0) }
    }
}

/// The code and the words of a status line.
fn status_line(text: &[u8]) -> Option<(Status, String)> {
    let text = core::str::from_utf8(text).ok()?;
    let (_, rest) = text.strip_prefix("RTSP/")?.split_once(' ')?;
    let rest = rest.trim();
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = code.parse().ok().filter(|code| (100..1000).contains(code))?;
    Some((Status(code), reason.trim().chars().take(80).collect()))
}
