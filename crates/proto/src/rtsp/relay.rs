//! What a relay of RTSP must understand so that media by UDP finds its way.
//!
//! A control connection that is carried elsewhere still names the ports of its two ends. A
//! [`Relay`] reads both directions of one, asks for ports of the relay's own where SETUP names
//! UDP ports, and puts them into the messages. Everything else passes byte for byte: other
//! methods, interleaved media (RFC 2326 section 10.12), bodies, and whatever is no RTSP at all.
//! The classroom dialect ([`crate::classroom`]) is understood in both spellings.
//!
//! No socket and no clock is in here: [`Media`] opens ports, and time comes in.

use std::collections::VecDeque;
use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use weir_time::Instant;

use super::headers::PortPair;
use crate::classroom::{Looks, SILENCE, UNFINISHED_MAX, looks_classroom};

/// Reads and changes both directions of one control connection.
#[derive(Debug)]
pub struct Relay {
    ends: Ends,
    dialect: Dialect,
    requests: Half,
    responses: Half,
    /// When the last request bytes came.
    last: Instant,
    setups: VecDeque<Setup>,
}

/// What the two ends of the control connection are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client's address.
    pub client: IpAddr,
    /// The address at which the client reaches the relay.
    pub relay: IpAddr,
}

/// Whoever opens ports for media.
pub trait Media {
    /// A client wants media by UDP at these ports. `None` where no ports are to be had: then the
    /// request passes as it is.
    fn open(&mut self, client: PortPair) -> Option<Opened>;
    /// The server has consented, and sends from and listens at these ports, if it said so.
    fn answered(&mut self, media: MediaId, server: Option<PortPair>, source: Option<IpAddr>);
    /// The ports are of no use after all.
    fn close(&mut self, media: MediaId);
}

/// The name of one opened pair of ports on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaId(pub u64);

/// Ports of the relay: RTP at each, RTCP at the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Their name.
    pub media: MediaId,
    /// Where the server is to send to.
    pub to_server: u16,
    /// Where the client is to send to.
    pub to_client: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// Nothing has told yet.
    Unknown,
    Rtsp,
    Classroom,
    /// Nothing of ours: bytes pass.
    Other,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    held: BytesMut,
    /// How far `held` was searched for the end of a head.
    searched: usize,
    /// Bytes of a body or of interleaved frames that pass next.
    passing: u64,
    /// No more messages are looked for.
    is_blind: bool,
}

/// A SETUP whose answer has not come.
#[derive(Debug)]
struct Setup {
    cseq: Vec<u8>,
    media: MediaId,
    client: PortPair,
    to_client: u16,
}

impl Relay {
    /// Of a connection on which nothing was said yet.
    pub fn new(now: Instant, ends: Ends) -> Self {
        Relay {
            ends,
            dialect: Dialect::Unknown,
            requests: Half::default(),
            responses: Half::default(),
            last: now,
            setups: VecDeque::new(),
        }
    }

    /// Bytes of the client; returns what the server is to get now.
    pub fn from_client(&mut self, now: Instant, bytes: &[u8], media: &mut impl Media) -> Bytes {
        self.last = self.last.max(now);
        self.requests.held.extend_from_slice(bytes);
        self.read_requests(false, media)
    }

    /// Bytes of the server; returns what the client is to get now.
    pub fn from_server(&mut self, bytes: &[u8], media: &mut impl Media) -> Bytes {
        let mut out = BytesMut::new();
        self.responses.held.extend_from_slice(bytes);
        self.responses.is_blind |= self.dialect != Dialect::Rtsp;
        while let Some(head) = self.responses.next_head(&mut out) {
            let changed = self.change_response(&head, media);
            out.extend_from_slice(&changed);
        }
        out.freeze()
    }

    /// The timers `silence` and `unfinished` of the classroom dialect: returns what the server is
    /// to get now, because nothing follows. Called too early, it does nothing.
    pub fn timer(&mut self, now: Instant, media: &mut impl Media) -> Bytes {
        match self.next_timeout() {
            Some(at) if at <= now => self.read_requests(true, media),
            _ => Bytes::new(),
        }
    }

    /// When to call [`Relay::timer`].
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.requests.held.is_empty() {
            return None;
        }
        match self.dialect {
            Dialect::Classroom => Some(self.last + SILENCE),
            Dialect::Unknown => Some(self.last + UNFINISHED_MAX),
            Dialect::Rtsp | Dialect::Other => None,
        }
    }

    /// The client sends no more: returns what is left for the server.
    pub fn finish_client(&mut self) -> Bytes {
        self.requests.is_blind = true;
        self.requests.held.split().freeze()
    }

    /// The server sends no more: returns what is left for the client.
    pub fn finish_server(&mut self) -> Bytes {
        self.responses.is_blind = true;
        self.responses.held.split().freeze()
    }

    fn read_requests(&mut self, is_silent: bool, media: &mut impl Media) -> Bytes {
        let mut out = BytesMut::new();
        loop {
            if self.dialect == Dialect::Unknown {
                self.dialect = self.look(is_silent);
            }
            match self.dialect {
                Dialect::Unknown => return out.freeze(),
                Dialect::Other => {
                    out.extend_from_slice(&self.requests.held.split());
                    return out.freeze();
                }
                Dialect::Classroom => {
                    self.pass_classroom(is_silent, media, &mut out);
                    return out.freeze();
                }
                Dialect::Rtsp => match self.requests.next_head(&mut out) {
                    Some(head) => {
                        let changed = self.change_request(&head, media);
                        out.extend_from_slice(&changed);
                    }
                    None => return out.freeze(),
                },
            }
        }
    }

    /// Tells the dialect by the first request.
    fn look(&self, is_silent: bool) -> Dialect {
        let held = &self.requests.held[..];
        if held.is_empty() {
            return Dialect::Unknown;
        }
        match looks_classroom(held) {
            Looks::Yes => return Dialect::Classroom,
            Looks::NotYet if !is_silent => return Dialect::Unknown,
            Looks::NotYet => return Dialect::Other,
            Looks::No => {}
        }
        match held.iter().position(|byte| *byte == b'\n') {
            Some(end) if has_version(&held[..end]) => Dialect::Rtsp,
            Some(_) => Dialect::Other,
            None if is_silent || held.len() > HELD_BYTES_MAX => Dialect::Other,
            None if held.iter().all(|byte| (b' '..=b'~').contains(byte) || *byte == b'\r') => {
                Dialect::Unknown
            }
            None => Dialect::Other,
        }
    }

    /// Changes the ports of SETUP.
    fn change_request(&mut self, head: &Bytes, media: &mut impl Media) -> Bytes {
        let cseq = field(head, b"cseq");
        let (true, Some(cseq)) = (head.starts_with(b"SETUP "), cseq) else {
            return head.clone();
        };
        let mut opened: Option<(PortPair, Opened)> = None;
        let changed = change_transport(head, |name, value| {
            let client = (name == "client_port").then(|| ports(value)).flatten()?;
            let known = opened.filter(|(ports, _)| *ports == client).map(|(_, opened)| opened);
            let own = match (known, opened) {
                (Some(own), _) => own,
                // Of alternatives by UDP with other ports the first is as good as any.
                (None, Some((_, own))) => own,
                (None, None) => media.open(client)?,
            };
            opened.get_or_insert((client, own));
            Some(written(own.to_server, client))
        });
        if let Some((client, own)) = opened {
            if self.setups.len() >= SETUPS_MAX
                && let Some(oldest) = self.setups.pop_front()
            {
                media.close(oldest.media);
            }
            let Opened { media, to_client, .. } = own;
            self.setups.push_back(Setup { cseq: cseq.to_vec(), media, client, to_client });
        }
        changed
    }

    /// Changes the ports and addresses of the answer to a SETUP.
    fn change_response(&mut self, head: &Bytes, media: &mut impl Media) -> Bytes {
        let status = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let is_answer = head.starts_with(b"RTSP/") && !status.starts_with(b"1");
        let found = field(head, b"cseq")
            .filter(|_| is_answer)
            .and_then(|cseq| self.setups.iter().position(|setup| setup.cseq == cseq));
        let Some(setup) = found.and_then(|at| self.setups.remove(at)) else {
            return head.clone();
        };
        if !status.starts_with(b"2") {
            media.close(setup.media);
            return head.clone();
        }
        let (mut by_udp, mut server, mut source) = (false, None, None);
        let changed = change_transport(head, |name, value| match name {
            "client_port" => {
                by_udp = true;
                let rtcp = setup.client.rtcp.map_or(String::new(), |rtcp| format!("-{rtcp}"));
                Some(format!("{}{rtcp}", setup.client.rtp))
            }
            "server_port" => {
                by_udp = true;
                server = ports(value);
                server.map(|ports| written(setup.to_client, ports))
            }
            "source" => {
                source = value.parse().ok();
                Some(self.ends.relay.to_canonical().to_string())
            }
            "destination" => Some(self.ends.client.to_canonical().to_string()),
            _ => None,
        });
        if by_udp {
            media.answered(setup.media, server, source);
            changed
        } else {
            // The server has chosen another way.
            media.close(setup.media);
            head.clone()
        }
    }

    /// Requests of the classroom dialect: only SETUP names a port, and all else passes at once.
    fn pass_classroom(&mut self, is_silent: bool, media: &mut impl Media, out: &mut BytesMut) {
        let held = &mut self.requests.held;
        while let Some(at) = find(held, SETUP) {
            out.extend_from_slice(&held.split_to(at));
            let port = classroom_port(held);
            let is_whole = port.is_some_and(|port| !port.may_grow || is_silent);
            if !is_whole && !is_silent && held.len() <= CLASSROOM_BYTES_MAX {
                return;
            }
            let Some(ClassroomPort { from, to, value, .. }) = port else { break };
            let opened = media.open(PortPair { rtp: value, rtcp: None });
            let number = held.split_to(to);
            match opened {
                Some(opened) => {
                    out.extend_from_slice(&number[..from]);
                    out.extend_from_slice(opened.to_server.to_string().as_bytes());
                    media.answered(opened.media, None, None);
                }
                None => out.extend_from_slice(&number),
            }
        }
        out.extend_from_slice(&held.split());
    }
}

impl Half {
    /// The next head, after what passes before it went to `out`; `None` where more must come.
    fn next_head(&mut self, out: &mut BytesMut) -> Option<Bytes> {
        loop {
            if self.is_blind {
                out.extend_from_slice(&self.held.split());
                return None;
            }
            let pass = usize::try_from(self.passing).unwrap_or(usize::MAX).min(self.held.len());
            out.extend_from_slice(&self.held.split_to(pass));
            self.passing -= pass as u64;
            match self.held.first()? {
                b'$' => {
                    let &[_, _, high, low] = self.held.first_chunk::<4>()?;
                    self.passing = 4 + u64::from(u16::from_be_bytes([high, low]));
                }
                b'\r' | b'\n' => self.passing = 1,
                _ => match head_end(&self.held, self.searched) {
                    Some(end) => {
                        self.searched = 0;
                        let head = self.held.split_to(end).freeze();
                        let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
                        if !has_version(first) {
                            self.is_blind = true;
                        }
                        self.passing = content_length(&head).unwrap_or(0);
                        return Some(head);
                    }
                    None => {
                        self.searched = self.held.len().saturating_sub(2);
                        self.is_blind = self.held.len() > HELD_BYTES_MAX;
                        if !self.is_blind {
                            return None;
                        }
                    }
                },
            }
        }
    }
}

/// The port that a SETUP of the classroom dialect names, and where its digits stand.
#[derive(Clone, Copy, Debug)]
struct ClassroomPort {
    from: usize,
    to: usize,
    value: u16,
    /// More digits may come.
    may_grow: bool,
}

/// `Transport: RTP/UDP; client_port= 25000` or ` RTSP/1.0 RTP/UDP 5008`.
fn classroom_port(request: &[u8]) -> Option<ClassroomPort> {
    let transport = find(request, b"RTP/UDP")? + b"RTP/UDP".len();
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let skip = |from: usize| {
        let rest = request.get(from..)?;
        Some(from + rest.iter().take_while(|byte| is_blank(byte)).count())
    };
    let mut from = skip(transport)?;
    if request.get(from) == Some(&b';') {
        let rest = request.get(from..)?;
        let equals = from + find(rest, b"client_port")?;
        let equals = equals + find(request.get(equals..)?, b"=")?;
        from = skip(equals + 1)?;
    }
    let digits = request.get(from..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let to = from + digits;
    let value = std::str::from_utf8(&request[from..to]).ok()?.parse().ok().filter(|v| *v != 0)?;
    // Another digit would make it too large for a port.
    let may_grow = to == request.len() && value <= u16::MAX / 10;
    Some(ClassroomPort { from, to, value, may_grow })
}

/// Where the head ends that `bytes` begin with: behind its empty line.
fn head_end(bytes: &[u8], searched: usize) -> Option<usize> {
    let from = searched.min(bytes.len());
    (from..bytes.len()).filter(|at| bytes[*at] == b'\n').find_map(|at| match bytes.get(at + 1) {
        Some(b'\n') => Some(at + 2),
        Some(b'\r') if bytes.get(at + 2) == Some(&b'\n') => Some(at + 3),
        _ => None,
    })
}

/// Whether a first line is one of RTSP: it begins or ends with the version.
fn has_version(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let last = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    line.starts_with(b"RTSP/") || last.starts_with(b"RTSP/")
}

/// The value of the first field of this lower-case name.
fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let is_it = line[..colon].trim_ascii().eq_ignore_ascii_case(name);
        is_it.then(|| line[colon + 1..].trim_ascii())
    })
}

fn content_length(head: &[u8]) -> Option<u64> {
    std::str::from_utf8(field(head, b"content-length")?).ok()?.parse().ok()
}

/// Changes parameters of the `Transport` fields (RFC 2326 section 12.39); all else stays byte for
/// byte. `change` gets the name in lower case and the value.
fn change_transport(head: &Bytes, mut change: impl FnMut(&str, &str) -> Option<String>) -> Bytes {
    let mut out = BytesMut::with_capacity(head.len() + 32);
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let is_transport = line[..colon].trim_ascii().eq_ignore_ascii_case(b"transport");
        let Some(value) = std::str::from_utf8(&line[colon..]).ok().filter(|_| is_transport) else {
            out.extend_from_slice(line);
            continue;
        };
        out.extend_from_slice(&line[..colon]);
        for part in value.split_inclusive([';', ',']) {
            let text = part.trim_end_matches([';', ',', '\r', '\n', ' ', '\t']);
            let new = text.split_once('=').and_then(|(name, value)| {
                let key = name.trim_start_matches([':', ' ', '\t']).trim_end();
                let new = change(&key.to_ascii_lowercase(), value.trim().trim_matches('"'))?;
                Some(format!("{name}={new}"))
            });
            out.extend_from_slice(new.as_deref().unwrap_or(text).as_bytes());
            out.extend_from_slice(&part.as_bytes()[text.len()..]);
        }
    }
    out.freeze()
}

fn ports(value: &str) -> Option<PortPair> {
    let (rtp, rtcp) = match value.split_once('-') {
        Some((rtp, rtcp)) => (rtp, Some(rtcp.trim().parse().ok()?)),
        None => (value, None),
    };
    let rtp = rtp.trim().parse().ok().filter(|port| *port != 0)?;
    Some(PortPair { rtp, rtcp })
}

/// Our ports in the form in which the others were given.
fn written(rtp: u16, like: PortPair) -> String {
    match like.rtcp {
        Some(_) => format!("{rtp}-{}", rtp.saturating_add(1)),
        None => rtp.to_string(),
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}

const SETUP: &[u8] = b"SETUP ";
/// The longest head that is waited for; what is longer passes unread.
const HELD_BYTES_MAX: usize = 64 * 1024;
const CLASSROOM_BYTES_MAX: usize = 4 * 1024;
/// Unanswered ones of a connection; of more the oldest is given up.
const SETUPS_MAX: usize = 32;

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
