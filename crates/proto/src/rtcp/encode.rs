//! Compound packets into bytes.

use bytes::{BufMut, BytesMut};

use super::{
    CNAME, END, GOODBYE, Goodbye, Packet, RECEIVER_REPORT, ReportBlock, SENDER_REPORT,
    SOURCE_DESCRIPTION, SourceDescription, VERSION,
};
use crate::rtp::Ssrc;

/// Appends a compound packet to `out` (RFC 3550 section 6.1). The first packet must be a report;
/// a description with a canonical name should follow it.
///
/// # Errors
/// When the packets make no valid compound packet. `out` is then as it was.
pub fn compound(packets: &[Packet], out: &mut BytesMut) -> Result<(), EncodeError> {
    let before = out.len();
    let done = write_all(packets, out);
    if done.is_err() {
        out.truncate(before);
    }
    done
}

/// Why packets make no compound packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The first packet is no report, or there is none.
    #[error("an RTCP compound packet begins with a sender or receiver report")]
    FirstPacket,
    /// More parts than the five bits of their count say.
    #[error("RTCP packet with {count} {what}: at most 31")]
    Count {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A text longer than its one byte of length says.
    #[error("RTCP {what} of {bytes} bytes: at most 255")]
    Text {
        /// Which text.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A packet that was not read cannot be written.
    #[error("RTCP packets of type {packet_type} cannot be written")]
    Type {
        /// Its type.
        packet_type: u8,
    },
}

fn write_all(packets: &[Packet], out: &mut BytesMut) -> Result<(), EncodeError> {
    if !matches!(packets.first(), Some(Packet::SenderReport(_) | Packet::ReceiverReport(_))) {
        return Err(EncodeError::FirstPacket);
    }
    for packet in packets {
        match packet {
            Packet::SenderReport(report) => {
                let start = begin(out, SENDER_REPORT, report.reports.len(), "report blocks")?;
                out.put_u32(report.ssrc.0);
                out.put_u64(report.ntp.0);
                out.put_u32(report.rtp_time.0);
                out.put_u32(report.packet_count);
                out.put_u32(report.octet_count);
                put_reports(out, &report.reports);
                end(out, start);
            }
            Packet::ReceiverReport(report) => {
                let start = begin(out, RECEIVER_REPORT, report.reports.len(), "report blocks")?;
                out.put_u32(report.ssrc.0);
                put_reports(out, &report.reports);
                end(out, start);
            }
            Packet::SourceDescription(description) => put_description(out, description)?,
            Packet::Goodbye(goodbye) => put_goodbye(out, goodbye)?,
            Packet::Other { packet_type, .. } => {
                return Err(EncodeError::Type { packet_type: *packet_type });
            }
        }
    }
    Ok(())
}

/// Writes a header whose length is not known yet; where the packet starts.
fn begin(
    out: &mut BytesMut,
    packet_type: u8,
    count: usize,
    what: &'static str,
) -> Result<usize, EncodeError> {
    let start = out.len();
    let five_bits = u8::try_from(count).ok().filter(|count| *count < 32);
    out.put_u8(VERSION << 6 | five_bits.ok_or(EncodeError::Count { what, count })?);
    out.put_u8(packet_type);
    out.put_u16(0);
    Ok(start)
}

/// Fills the packet up to whole words and writes its length.
fn end(out: &mut BytesMut, start: usize) {
    pad(out, start);
    let words = (out.len() - start) / 4 - 1;
    let words = u16::try_from(words).expect("31 parts of at most 264 bytes each");
    if let Some(length) = out.get_mut(start + 2..start + 4) {
        length.copy_from_slice(&words.to_be_bytes());
    }
}

fn pad(out: &mut BytesMut, start: usize) {
    let bytes = (out.len() - start).next_multiple_of(4);
    out.resize(start + bytes, 0);
}

fn put_reports(out: &mut BytesMut, reports: &[ReportBlock]) {
    for report in reports {
        let lost = report.cumulative_lost.clamp(ReportBlock::LOST_LEAST, ReportBlock::LOST_MAX);
        out.put_u32(report.ssrc.0);
        out.put_u8(report.fraction_lost);
        out.put_slice(&lost.to_be_bytes()[1..]);
        out.put_u32(report.extended_highest);
        out.put_u32(report.jitter_ticks);
        out.put_u32(report.last_sr);
        out.put_u32(report.delay_since_last_sr);
    }
}

fn put_description(out: &mut BytesMut, description: &SourceDescription) -> Result<(), EncodeError> {
    let start = begin(out, SOURCE_DESCRIPTION, description.chunks.len(), "chunks")?;
    for chunk in &description.chunks {
        out.put_u32(chunk.ssrc.0);
        if let Some(cname) = &chunk.cname {
            out.put_u8(CNAME);
            put_text(out, "CNAME", cname)?;
        }
        out.put_u8(END);
        pad(out, start);
    }
    end(out, start);
    Ok(())
}

fn put_goodbye(out: &mut BytesMut, goodbye: &Goodbye) -> Result<(), EncodeError> {
    let start = begin(out, GOODBYE, goodbye.sources.len(), "sources")?;
    for Ssrc(source) in &goodbye.sources {
        out.put_u32(*source);
    }
    if let Some(reason) = &goodbye.reason {
        put_text(out, "reason for leaving", reason)?;
    }
    end(out, start);
    Ok(())
}

fn put_text(out: &mut BytesMut, what: &'static str, text: &str) -> Result<(), EncodeError> {
    let bytes = text.len();
    out.put_u8(u8::try_from(bytes).map_err(|_| EncodeError::Text { what, bytes })?);
    out.put_slice(text.as_bytes());
    Ok(())
}
