//! Messages to bytes.

use core::fmt::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{Fields, Request, Response};

impl Request {
    /// The bytes on the wire. A `Content-Length` is added where there is a body and the fields
    /// have none. Control characters in the fields and the line are sent as spaces, so that no
    /// value can forge a line.
    pub fn encode(&self) -> Bytes {
        let start = format!(
            "{} {} RTSP/{}.{}",
            self.method, self.uri, self.version.major, self.version.minor
        );
        encode(&start, &self.fields, &self.body)
    }
}

impl Response {
    /// The bytes on the wire; as [`Request::encode`].
    pub fn encode(&self) -> Bytes {
        let start = format!(
            "RTSP/{}.{} {:03} {}",
            self.version.major, self.version.minor, self.status.0, self.reason
        );
        encode(&start, &self.fields, &self.body)
    }
}

/// The four bytes before a packet on an interleaved channel (RFC 2326 section 10.12), or `None`
/// when the packet is longer than the sixteen-bit length can say.
pub fn interleave(channel: u8, packet_bytes: usize) -> Option<[u8; 4]> {
    let [high, low] = u16::try_from(packet_bytes).ok()?.to_be_bytes();
    Some([b'$', channel, high, low])
}

fn encode(start: &str, fields: &Fields, body: &Bytes) -> Bytes {
    let mut head = String::with_capacity(256);
    push_clean(&mut head, start);
    head.push_str("\r\n");
    for (name, value) in fields.iter() {
        push_clean(&mut head, name);
        head.push_str(": ");
        push_clean(&mut head, value);
        head.push_str("\r\n");
    }
    if !body.is_empty() && fields.get("Content-Length").is_none() {
        write!(head, "Content-Length: {}\r\n", body.len()).expect("writing to a String succeeds");
    }
    head.push_str("\r\n");
    let mut out = BytesMut::with_capacity(head.len() + body.len());
    out.put_slice(head.as_bytes());
    out.put_slice(body);
    out.freeze()
}

fn push_clean(head: &mut String, text: &str) {
    head.extend(text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }));
}
