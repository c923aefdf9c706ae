//! RTP (RFC 3550): the header, payload formats in both directions, and what a receiver counts.
//!
//! A frame is packed once ([`pack::Packer`]) into pieces that all viewers share; what differs
//! between viewers is the [`Header`], written for each packet. A receiver puts packets back in
//! order ([`receive::Reorder`]), counts them ([`receive::Statistics`]) and makes access units of
//! them ([`depack::Depacketiser`]).
//!
//! ```
//! use bytes::Bytes;
//! use weir_media::{Codec, Frame, KeyKind, MediaTime, Track, TrackId, aac};
//! use weir_proto::rtp::depack::{Depacketiser, Output};
//! use weir_proto::rtp::pack::{PACKET_BYTES_MAX, Packer};
//! use weir_proto::rtp::receive::{Reorder, ReorderConfig, Statistics};
//! use weir_proto::rtp::{Header, Packet, RtpTime, SequenceNumber, Ssrc};
//! use weir_time::Instant;
//!
//! let config = aac::Config::lc(48_000, 2)?;
//! let track = Track { id: TrackId(0), codec: Codec::Aac(config), clock_rate_hz: 48_000 };
//! let frame = Frame {
//!     track: track.id,
//!     pts: MediaTime::ZERO,
//!     dts: None,
//!     duration: None,
//!     key: KeyKind::Key,
//!     capture: None,
//!     arrival: Instant::ZERO,
//!     discontinuity: false,
//!     payload: Bytes::from(vec![7; 3_000]),
//! };
//!
//! // The sender: once for the frame, then for each packet and viewer.
//! let packed = Packer::new(&track, PACKET_BYTES_MAX)?.pack(&frame)?;
//! let first = SequenceNumber(65_535);
//! let mut datagrams: Vec<Vec<u8>> = Vec::new();
//! for (index, piece) in packed.pieces.iter().enumerate() {
//!     let header = Header {
//!         marker: piece.marker,
//!         payload_type: 97,
//!         sequence: first.plus(index as u16),
//!         time: RtpTime::from_ticks(packed.rtp_ticks, RtpTime(1_000)),
//!         ssrc: Ssrc(5),
//!     };
//!     let mut bytes = [0; Header::BYTES];
//!     header.write(&mut bytes);
//!     datagrams.push([&bytes, packed.payload(*piece)].concat());
//! }
//!
//! // The receiver, whose network has swapped two packets.
//! datagrams.swap(1, 2);
//! let fmtp = "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190";
//! let mut depacketiser = Depacketiser::from_sdp("mpeg4-generic", 48_000, Some(2), fmtp)?;
//! let mut statistics = Statistics::new(48_000);
//! let mut reorder = Reorder::new(ReorderConfig::UDP);
//! let now = Instant::from_millis(20);
//! for datagram in datagrams {
//!     let header = Packet::parse(&datagram)?.header;
//!     let arrival = statistics.receive(now, header.sequence, header.time, datagram.len());
//!     if arrival.kind.is_usable() {
//!         reorder.push(now, arrival.extended, datagram);
//!     }
//!     while let Some((datagram, lost_before)) = reorder.poll(now) {
//!         depacketiser.push(now, &Packet::parse(&datagram)?, lost_before > 0);
//!     }
//! }
//! let Some(Output::AccessUnit(access_unit)) = depacketiser.poll() else { panic!("none came") };
//! assert_eq!(access_unit.payload, frame.payload);
//! assert_eq!(access_unit.rtp_ticks, 1_000);
//! assert_eq!(statistics.counts().reordered, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod depack;
pub mod pack;
pub mod receive;

#[doc(hidden)]
pub mod fuzz;

mod header;
mod number;
mod static_types;

pub use header::{Error, Extension, Header, Packet};
pub use number::{RtpTime, SequenceNumber, Ssrc, TimeUnwrapper};
pub use static_types::{StaticType, static_payload_type};

/// Ticks a second of the RTP clock of every video payload format carried here (RFC 6184
/// section 8.2.1).
pub const VIDEO_CLOCK_HZ: u32 = 90_000;

#[cfg(test)]
mod tests;
