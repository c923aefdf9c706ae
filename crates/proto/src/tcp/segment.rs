//! A segment, as a struct.

use bytes::Bytes;
use weir_time::Instant;

/// One TCP segment.
///
/// Sequence numbers are 64 bits wide and do not wrap; the low 32 bits are what a real segment
/// bears, for captures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The sequence number of the first byte of the payload, or of the SYN.
    pub seq: u64,
    /// The next sequence number expected, if `flags.ack`.
    pub ack: u64,
    /// The control bits.
    pub flags: Flags,
    /// How many bytes from `ack` on the sender of this segment is ready to take.
    pub window: u32,
    /// What arrived out of order (RFC 2018), the newest first.
    pub sack: SackBlocks,
    /// The time stamps option (RFC 7323).
    pub timestamps: Timestamps,
    /// The largest payload that the sender of this segment takes; only with a SYN.
    pub mss_bytes: Option<u32>,
    /// Bytes of the IP header in front of it.
    pub ip_header_bytes: u32,
    /// The data.
    pub payload: Bytes,
}

/// The control bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Opens a direction; takes one sequence number.
    pub syn: bool,
    /// `ack` has a meaning: set in all but the first segment.
    pub ack: bool,
    /// Ends a direction; takes one sequence number after the payload.
    pub fin: bool,
    /// Ends the connection at once.
    pub rst: bool,
}

/// The time stamps option, in microseconds that wrap after 71 minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// The sender's clock.
    pub value_us: u32,
    /// The peer's clock, sent back; only with `flags.ack`.
    pub echo_us: u32,
}

/// The most blocks that fit beside time stamps.
pub const SACK_BLOCKS_MAX: usize = 3;

/// The SACK option: ranges of sequence numbers, the first of each included and the last not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [(u64, u64); SACK_BLOCKS_MAX],
    len: u8,
}

impl Segment {
    /// Length of the IP packet: headers, options and payload.
    pub fn ip_bytes(&self) -> u32 {
        let payload = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let headers = self.ip_header_bytes.saturating_add(TCP_HEADER_BYTES + self.option_bytes());
        headers.saturating_add(payload)
    }

    /// How many sequence numbers it takes.
    pub fn seq_len(&self) -> u64 {
        self.payload.len() as u64 + u64::from(self.flags.syn) + u64::from(self.flags.fin)
    }

    /// The reset with which a host answers a segment that belongs to none of its connections
    /// (RFC 9293 section 3.10.7.1); `None` if it must not be answered.
    pub fn refusal(&self) -> Option<Segment> {
        if self.flags.rst {
            return None;
        }
        let mut reset = Segment {
            flags: Flags { rst: true, ..Flags::default() },
            ip_header_bytes: self.ip_header_bytes,
            timestamps: Timestamps { value_us: 0, echo_us: self.timestamps.value_us },
            ..Segment::default()
        };
        if self.flags.ack {
            reset.seq = self.ack;
        } else {
            reset.flags.ack = true;
            reset.ack = self.seq.saturating_add(self.seq_len());
        }
        Some(reset)
    }

    /// Padded to a multiple of four, as on the wire.
    fn option_bytes(&self) -> u32 {
        match (self.flags.syn, self.flags.rst) {
            (true, _) => SYN_OPTION_BYTES,
            (_, true) => 0,
            _ => TIMESTAMP_OPTION_BYTES + self.sack.option_bytes(),
        }
    }
}

impl SackBlocks {
    /// Adds a block; ignored once the option is full.
    pub fn push(&mut self, start: u64, end: u64) {
        if let Some(block) = self.blocks.get_mut(usize::from(self.len)) {
            *block = (start, end);
            self.len += 1;
        }
    }

    /// The blocks: first sequence number, and the one after the last.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.blocks.iter().take(usize::from(self.len)).copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a block holds `seq`.
    pub fn contains(&self, seq: u64) -> bool {
        self.iter().any(|(start, end)| (start..end).contains(&seq))
    }

    fn option_bytes(&self) -> u32 {
        if self.is_empty() { 0 } else { 4 + 8 * u32::from(self.len) }
    }
}

/// Whether the time stamp `a` is older than `b`.
pub(crate) fn is_before(a: u32, b: u32) -> bool {
    b.wrapping_sub(a).wrapping_sub(1) < i32::MAX as u32
}

/// The time stamp of a segment that is sent at `now`.
pub(crate) fn stamp_us(now: Instant) -> u32 {
    (now.as_nanos() / 1000) as u32
}

const TCP_HEADER_BYTES: u32 = 20;
/// Maximum segment size 4, SACK permitted 2, time stamps 10, window scale 3, padding 1.
const SYN_OPTION_BYTES: u32 = 20;
/// Time stamps 10, padding 2.
const TIMESTAMP_OPTION_BYTES: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_as_long_as_on_a_real_wire() {
        let mut segment = Segment {
            ip_header_bytes: 20,
            payload: Bytes::from_static(&[0; 1448]),
            ..Segment::default()
        };
        assert_eq!(segment.ip_bytes(), 1500);
        segment.payload = Bytes::new();
        assert_eq!(segment.ip_bytes(), 52);
        segment.sack.push(1, 2);
        assert_eq!(segment.ip_bytes(), 64);
        segment.flags.syn = true;
        assert_eq!(segment.ip_bytes(), 60);
    }

    #[test]
    fn a_reset_is_never_answered() {
        let syn = Segment {
            seq: 7,
            flags: Flags { syn: true, ..Flags::default() },
            ..Segment::default()
        };
        let reset = syn.refusal().expect("a SYN is answered");
        assert!(reset.flags.rst && reset.flags.ack && reset.ack == 8);
        assert_eq!(reset.refusal(), None);
    }
}
