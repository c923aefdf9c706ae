//! RTCP (RFC 3550 section 6): what senders and receivers of RTP tell each other.
//!
//! ```
//! use bytes::BytesMut;
//! use weir_proto::rtcp::{self, Goodbye, NtpTime, Packet, SenderReport, SourceDescription};
//! use weir_proto::rtp::{RtpTime, Ssrc};
//! use weir_time::Utc;
//!
//! let report = SenderReport {
//!     ssrc: Ssrc(7),
//!     ntp: NtpTime::from(Utc::from_nanos(1_700_000_000_000_000_000)),
//!     rtp_time: RtpTime(90_000),
//!     packet_count: 10,
//!     octet_count: 1_000,
//!     reports: Vec::new(),
//! };
//! let packets = [
//!     Packet::SenderReport(report),
//!     Packet::SourceDescription(SourceDescription::cname(Ssrc(7), "weir")),
//!     Packet::Goodbye(Goodbye { sources: vec![Ssrc(7)], reason: None }),
//! ];
//! let mut datagram = BytesMut::new();
//! rtcp::compound(&packets, &mut datagram)?;
//! assert!(rtcp::is_rtcp(&datagram));
//! assert_eq!(rtcp::decode(&datagram)?, packets);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
mod ntp;

#[doc(hidden)]
pub mod fuzz;

use core::time::Duration;

use crate::rtp::{RtpTime, Ssrc};

pub use decode::{Error, decode};
pub use encode::{EncodeError, compound};
pub use ntp::NtpTime;

/// One packet of a compound packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet {
    /// SR.
    SenderReport(SenderReport),
    /// RR.
    ReceiverReport(ReceiverReport),
    /// SDES.
    SourceDescription(SourceDescription),
    /// BYE.
    Goodbye(Goodbye),
    /// A packet of a type that is not read here (APP, feedback, extended reports). It cannot be
    /// encoded.
    Other {
        /// Its type, such as 204 for APP.
        packet_type: u8,
        /// The five bits behind its padding bit.
        count: u8,
    },
}

/// A sender report (section 6.4.1). Profile-specific extensions are passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// The sender.
    pub ssrc: Ssrc,
    /// The time of day when it was sent, by the sender's clock.
    pub ntp: NtpTime,
    /// The same moment on the RTP clock, with the offset of the packets' time stamps.
    pub rtp_time: RtpTime,
    /// RTP packets sent since the beginning, modulo 2^32.
    pub packet_count: u32,
    /// Bytes of payload in them, without headers and padding, modulo 2^32.
    pub octet_count: u32,
    /// What the sender received from others: 31 at most.
    pub reports: Vec<ReportBlock>,
}

/// A receiver report (section 6.4.2). Profile-specific extensions are passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverReport {
    /// The receiver.
    pub ssrc: Ssrc,
    /// What it received: 31 at most.
    pub reports: Vec<ReportBlock>,
}

/// What a receiver received from one source (section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: Ssrc,
    /// The part lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the beginning, 24 bits with sign: negative where duplicates were
    /// counted as received.
    pub cumulative_lost: i32,
    /// The highest number received, behind the count of its cycles.
    pub extended_highest: u32,
    /// The interarrival jitter in ticks of the RTP clock.
    pub jitter_ticks: u32,
    /// The middle 32 bits of the time in the last sender report received; 0 for none.
    pub last_sr: u32,
    /// How long ago that was, in units of 1/65,536 second.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    /// The greatest [`ReportBlock::cumulative_lost`].
    pub const LOST_MAX: i32 = 0x7f_ffff;
    /// The least.
    pub const LOST_LEAST: i32 = -0x80_0000;

    /// The round trip from the sender of the last sender report to the reporter and back, seen
    /// at `arrival` by that sender's clock: arrival - LSR - DLSR (section 6.4.1, figure 2).
    ///
    /// `None` if the reporter has had no sender report, or if the report came before it can have
    /// been sent. The resolution is 15 microseconds: what is below zero by one unit, as
    /// truncation makes it, is zero.
    pub fn round_trip(&self, arrival: NtpTime) -> Option<Duration> {
        if self.last_sr == 0 {
            return None;
        }
        let since_report = arrival.middle().wrapping_sub(self.last_sr);
        if since_report > i32::MAX as u32 {
            return None;
        }
        match i64::from(since_report) - i64::from(self.delay_since_last_sr) {
            ..=-2 => None,
            units => {
                let nanos = units.max(0) as u64 * 1_000_000_000 / 65_536;
                Some(Duration::from_nanos(nanos))
            }
        }
    }

    /// How long ago the last sender report came to the reporter; `None` if it has had none.
    pub fn delay(&self) -> Option<Duration> {
        let nanos = u64::from(self.delay_since_last_sr) * 1_000_000_000 / 65_536;
        (self.last_sr != 0).then(|| Duration::from_nanos(nanos))
    }
}

/// Source descriptions (section 6.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDescription {
    /// One for each source: 31 at most.
    pub chunks: Vec<Chunk>,
}

/// The description of one source. Items other than CNAME are passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The source.
    pub ssrc: Ssrc,
    /// Its canonical name, the same for all tracks of a sender: 255 bytes at most.
    pub cname: Option<String>,
}

impl SourceDescription {
    /// The description that each compound packet must have: one source's canonical name.
    pub fn cname(ssrc: Ssrc, cname: impl Into<String>) -> Self {
        SourceDescription { chunks: vec![Chunk { ssrc, cname: Some(cname.into()) }] }
    }
}

/// Sources that leave (section 6.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// The sources: 31 at most.
    pub sources: Vec<Ssrc>,
    /// Why, for people: 255 bytes at most.
    pub reason: Option<String>,
}

/// Whether a datagram on a port that RTP and RTCP share is RTCP: version 2, and a second byte
/// from 192 to 223, which no RTP packet has whose payload type is outside 64 to 95 (RFC 5761
/// section 4).
#[inline]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, ..] if first >> 6 == VERSION)
}

const VERSION: u8 = 2;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
/// SDES item types: the end of a chunk, and the canonical name (section 6.5.1).
const END: u8 = 0;
const CNAME: u8 = 1;

#[cfg(test)]
mod tests;
