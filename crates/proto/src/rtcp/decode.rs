//! Compound packets out of bytes.

use super::{
    CNAME, Chunk, END, GOODBYE, Goodbye, NtpTime, Packet, RECEIVER_REPORT, ReceiverReport,
    ReportBlock, SENDER_REPORT, SOURCE_DESCRIPTION, SenderReport, SourceDescription, VERSION,
};
use crate::rtp::{RtpTime, Ssrc};

/// Reads a compound packet, with the checks of RFC 3550 section A.2: each packet is of version 2,
/// the first is a report without padding, only the last has padding, and their lengths add up to
/// the length of the whole.
///
/// # Errors
/// When one of these is not so, or a packet ends inside one of its parts. Nothing of the compound
/// packet should then be believed.
pub fn decode(bytes: &[u8]) -> Result<Vec<Packet>, Error> {
    let mut packets = Vec::new();
    let mut at = 0;
    while at < bytes.len() || packets.is_empty() {
        let (packet, packet_bytes) = decode_one(bytes, at)?;
        packets.push(packet);
        at += packet_bytes;
    }
    Ok(packets)
}

/// Why bytes are not an RTCP compound packet. Offsets are bytes from the start of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The whole ends inside a packet.
    #[error(
        "RTCP packet at byte {at} needs {needed} bytes: the compound packet has {left} from there"
    )]
    Short {
        /// Where the packet starts.
        at: usize,
        /// Its length as it says, or the 4 bytes of its header.
        needed: usize,
        /// Bytes from there to the end of the whole.
        left: usize,
    },
    /// Another version of RTP, or no RTCP at all.
    #[error("RTCP packet at byte {at} is of version {version}: expected version 2")]
    Version {
        /// Where the packet starts.
        at: usize,
        /// The version in its first two bits.
        version: u8,
    },
    /// The first packet is no report.
    #[error("RTCP compound packet begins with type {packet_type}: expected 200 or 201")]
    FirstPacket {
        /// Its type.
        packet_type: u8,
    },
    /// Padding where there may be none, or of a length that cannot be.
    #[error("RTCP packet at byte {at} has padding that is not at the end, or of a wrong length")]
    Padding {
        /// Where the packet starts.
        at: usize,
    },
    /// A packet ends inside one of the parts that it says it has.
    #[error("RTCP packet of type {packet_type} at byte {at} ends inside its {part}")]
    Part {
        /// Its type.
        packet_type: u8,
        /// Where the packet starts.
        at: usize,
        /// Which part.
        part: &'static str,
    },
}

/// The packet that starts at `at`, and its length.
fn decode_one(bytes: &[u8], at: usize) -> Result<(Packet, usize), Error> {
    let rest = bytes.get(at..).unwrap_or(&[]);
    let Some((&[first, packet_type, l0, l1], body)) = rest.split_first_chunk::<4>() else {
        return Err(Error::Short { at, needed: 4, left: rest.len() });
    };
    if first >> 6 != VERSION {
        return Err(Error::Version { at, version: first >> 6 });
    }
    if at == 0 && !matches!(packet_type, SENDER_REPORT | RECEIVER_REPORT) {
        return Err(Error::FirstPacket { packet_type });
    }
    let body_bytes = 4 * usize::from(u16::from_be_bytes([l0, l1]));
    let Some(mut body) = body.get(..body_bytes) else {
        return Err(Error::Short { at, needed: 4 + body_bytes, left: rest.len() });
    };
    if first & 0x20 != 0 {
        let is_last = rest.len() == 4 + body_bytes;
        let padding = usize::from(body.last().copied().unwrap_or(0));
        let kept = body.len().checked_sub(padding).and_then(|kept| body.get(..kept));
        body = match kept {
            Some(kept) if at > 0 && is_last && padding > 0 && padding.is_multiple_of(4) => kept,
            _ => return Err(Error::Padding { at }),
        };
    }
    let count = first & 0x1f;
    let packet = match packet_type {
        SENDER_REPORT => sender_report(body, count).map(Packet::SenderReport),
        RECEIVER_REPORT => receiver_report(body, count).map(Packet::ReceiverReport),
        SOURCE_DESCRIPTION => description(body, count).map(Packet::SourceDescription),
        GOODBYE => goodbye(body, count).map(Packet::Goodbye),
        packet_type => Ok(Packet::Other { packet_type, count }),
    };
    let packet = packet.map_err(|part| Error::Part { packet_type, at, part })?;
    Ok((packet, 4 + body_bytes))
}

fn sender_report(mut body: &[u8], count: u8) -> Result<SenderReport, &'static str> {
    const PART: &str = "sender information";
    let ssrc = Ssrc(take_u32(&mut body, PART)?);
    let (upper, lower) = (take_u32(&mut body, PART)?, take_u32(&mut body, PART)?);
    Ok(SenderReport {
        ssrc,
        ntp: NtpTime(u64::from(upper) << 32 | u64::from(lower)),
        rtp_time: RtpTime(take_u32(&mut body, PART)?),
        packet_count: take_u32(&mut body, PART)?,
        octet_count: take_u32(&mut body, PART)?,
        reports: reports(&mut body, count)?,
    })
}

fn receiver_report(mut body: &[u8], count: u8) -> Result<ReceiverReport, &'static str> {
    let ssrc = Ssrc(take_u32(&mut body, "source")?);
    Ok(ReceiverReport { ssrc, reports: reports(&mut body, count)? })
}

fn reports(body: &mut &[u8], count: u8) -> Result<Vec<ReportBlock>, &'static str> {
    (0..count).map(|_| report(body)).collect()
}

fn report(body: &mut &[u8]) -> Result<ReportBlock, &'static str> {
    const PART: &str = "report blocks";
    let ssrc = Ssrc(take_u32(body, PART)?);
    let lost = take_u32(body, PART)?;
    Ok(ReportBlock {
        ssrc,
        fraction_lost: (lost >> 24) as u8,
        cumulative_lost: (lost << 8) as i32 >> 8,
        extended_highest: take_u32(body, PART)?,
        jitter_ticks: take_u32(body, PART)?,
        last_sr: take_u32(body, PART)?,
        delay_since_last_sr: take_u32(body, PART)?,
    })
}

fn description(mut body: &[u8], count: u8) -> Result<SourceDescription, &'static str> {
    let chunks = (0..count).map(|_| chunk(&mut body)).collect::<Result<_, _>>()?;
    Ok(SourceDescription { chunks })
}

fn chunk(body: &mut &[u8]) -> Result<Chunk, &'static str> {
    const PART: &str = "chunks";
    let bytes_before = body.len();
    let ssrc = Ssrc(take_u32(body, PART)?);
    let mut cname = None;
    loop {
        let (&item, rest) = body.split_first().ok_or(PART)?;
        *body = rest;
        if item == END {
            break;
        }
        let text = take_text(body).ok_or(PART)?;
        if item == CNAME && cname.is_none() {
            cname = Some(String::from_utf8_lossy(text).into_owned());
        }
    }
    // The end mark is followed by zeros up to the next whole word.
    let padding = (bytes_before - body.len()).wrapping_neg() % 4;
    *body = body.get(padding..).ok_or(PART)?;
    Ok(Chunk { ssrc, cname })
}

fn goodbye(mut body: &[u8], count: u8) -> Result<Goodbye, &'static str> {
    let source = |_| take_u32(&mut body, "sources").map(Ssrc);
    let sources = (0..count).map(source).collect::<Result<_, _>>()?;
    let reason = match body {
        [] => None,
        mut rest => Some(take_text(&mut rest).ok_or("reason for leaving")?),
    };
    let reason = reason.map(|text| String::from_utf8_lossy(text).into_owned());
    Ok(Goodbye { sources, reason })
}

/// A text behind its length in one byte.
fn take_text<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&length, rest) = body.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(length))?;
    *body = rest;
    Some(text)
}

fn take_u32(body: &mut &[u8], part: &'static str) -> Result<u32, &'static str> {
    let (word, rest) = body.split_first_chunk::<4>().ok_or(part)?;
    *body = rest;
    Ok(u32::from_be_bytes(*word))
}
