//! Writing the description of a stream that is served.

use core::net::IpAddr;
use core::time::Duration;

use crate::rtsp::headers::{Npt, Range};

/// What a server says of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Who describes what, and which edition of it.
    pub origin: Origin,
    /// The stream's name, for people.
    pub name: String,
    /// How far the stream's time line reaches.
    pub extent: Extent,
    /// The tracks, in their order.
    pub tracks: Vec<OfferedTrack>,
}

/// Who describes what (RFC 8866 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The session's number.
    pub id: u64,
    /// The edition's number: greater when the description has changed.
    pub version: u64,
    /// The server's address.
    pub address: IpAddr,
}

/// How far a stream's time line reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A movie of this length.
    Movie(Duration),
    /// A live stream: there is only now.
    Live,
    /// Nothing is said of it.
    Unknown,
}

/// What a server says of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedTrack {
    /// `video` or `audio`.
    pub kind: String,
    /// The RTP payload type.
    pub payload_type: u8,
    /// What stands behind `a=rtpmap:`, with the payload type: `96 H264/90000`.
    pub rtpmap: String,
    /// What stands behind `a=fmtp:`, with the payload type.
    pub fmtp: Option<String>,
    /// The track's address, relative to the Content-Base: `trackID=0`.
    pub control: String,
    /// The bandwidth in kbit/s, where it is known.
    pub bandwidth_kbps: Option<u32>,
}

impl Offer {
    /// The text, with CR LF at each line's end. Control characters in names and texts are
    /// written as spaces, so that no value can forge a line.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(512);
        let Origin { id, version, address } = self.origin;
        let (family, any) = match address {
            IpAddr::V4(_) => ("IP4", "0.0.0.0"),
            IpAddr::V6(_) => ("IP6", "::"),
        };
        line(&mut text, "v=", "0");
        line(&mut text, "o=", &format!("- {id} {version} IN {family} {address}"));
        line(&mut text, "s=", if self.name.trim().is_empty() { "-" } else { &self.name });
        line(&mut text, "c=", &format!("IN {family} {any}"));
        line(&mut text, "t=", "0 0");
        line(&mut text, "a=control:", "*");
        if let Some(range) = self.range() {
            line(&mut text, "a=range:", &range.to_string());
        }
        for track in &self.tracks {
            track.encode(&mut text);
        }
        text
    }

    fn range(&self) -> Option<Range> {
        match self.extent {
            Extent::Movie(length) => {
                Some(Range::Npt { start: Some(Npt::At(Duration::ZERO)), end: Some(length) })
            }
            Extent::Live => Some(Range::NOW),
            Extent::Unknown => None,
        }
    }
}

impl OfferedTrack {
    fn encode(&self, text: &mut String) {
        let OfferedTrack { kind, payload_type, .. } = self;
        line(text, "m=", &format!("{kind} 0 RTP/AVP {payload_type}"));
        if let Some(kbps) = self.bandwidth_kbps {
            line(text, "b=AS:", &kbps.to_string());
        }
        line(text, "a=rtpmap:", &self.rtpmap);
        if let Some(fmtp) = &self.fmtp {
            line(text, "a=fmtp:", fmtp);
        }
        line(text, "a=control:", &self.control);
    }
}

fn line(text: &mut String, start: &str, value: &str) {
    text.push_str(start);
    for c in value.chars() {
        text.push(if c.is_control() { ' ' } else { c });
    }
    text.push_str("\r\n");
}
