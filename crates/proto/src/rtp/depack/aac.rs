//! AAC out of RTP (RFC 3640 section 3): the modes AAC-hbr and AAC-lbr, without interleaving.

use bytes::{Bytes, BytesMut};
use weir_media::{Codec, KeyKind, aac::Config};
use weir_time::Instant;

use super::{AccessUnit, DropReason, Input, Outbox};

#[derive(Clone, Debug)]
pub(super) struct Depacketiser {
    config: Config,
    header_bits: HeaderBits,
    /// Ticks of the RTP clock that an access unit lasts.
    duration_ticks: i64,
    fragments: Option<Fragments>,
}

/// The sizes of the fields of an AU header, in bits, each at most 24.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderBits {
    /// At least 1.
    pub(super) size: u32,
    /// In the first header of a packet.
    pub(super) index: u32,
    /// In the other headers.
    pub(super) index_delta: u32,
}

/// An access unit that comes in several packets.
#[derive(Clone, Debug)]
struct Fragments {
    rtp_ticks: i64,
    /// Of the whole access unit.
    bytes: usize,
    payload: BytesMut,
    first_arrival: Instant,
    arrival: Instant,
    /// Packets before its first one are missing, or it is the first of all.
    head_unsure: bool,
    damage: Option<DropReason>,
}

impl Depacketiser {
    /// `clock_rate_hz` is not zero.
    pub(super) fn new(config: Config, clock_rate_hz: u32, header_bits: HeaderBits) -> Self {
        // The clock counts samples of the output, twice those of the core where there is
        // spectral band replication.
        let ticks = u64::from(config.frame_samples) * u64::from(clock_rate_hz);
        let duration_ticks = ticks / u64::from(config.sample_rate_hz.max(1));
        Depacketiser {
            config,
            header_bits,
            duration_ticks: i64::try_from(duration_ticks).unwrap_or(i64::MAX),
            fragments: None,
        }
    }

    pub(super) fn codec(&self) -> Codec {
        Codec::Aac(self.config.clone())
    }

    pub(super) fn push(&mut self, input: &Input<'_>, outbox: &mut Outbox) {
        if let Some(fragments) = &mut self.fragments {
            if input.lost_before {
                fragments.damage.get_or_insert(DropReason::Lost);
            }
            if fragments.rtp_ticks != input.rtp_ticks {
                self.end(DropReason::Malformed, outbox);
            }
        }
        if input.payload.is_empty() {
            outbox.counts.packets_ignored += 1;
            return;
        }
        match read_headers(input.payload, self.header_bits) {
            Some((sizes, data)) => self.take(input, &sizes, data, outbox),
            None => {
                self.end(DropReason::Malformed, outbox);
                outbox.dropped(input.rtp_ticks, DropReason::Malformed);
            }
        }
    }

    pub(super) fn flush(&mut self, outbox: &mut Outbox) {
        self.end(DropReason::CutOff, outbox);
    }

    fn take(&mut self, input: &Input<'_>, sizes: &[usize], data: &[u8], outbox: &mut Outbox) {
        if let [size] = sizes
            && (self.fragments.is_some() || *size > data.len())
        {
            return self.take_fragment(input, *size, data, outbox);
        }
        self.end(DropReason::Malformed, outbox);
        let mut rest = data;
        let mut rtp_ticks = input.rtp_ticks;
        for size in sizes {
            let Some((access_unit, behind)) = rest.split_at_checked(*size) else {
                return outbox.dropped(rtp_ticks, DropReason::Malformed);
            };
            rest = behind;
            if !access_unit.is_empty() {
                let payload = Bytes::copy_from_slice(access_unit);
                outbox.access_unit(access_unit_of(
                    rtp_ticks,
                    payload,
                    input.arrival,
                    input.arrival,
                ));
            }
            rtp_ticks = rtp_ticks.saturating_add(self.duration_ticks);
        }
    }

    /// Takes a part of an access unit of `bytes` bytes.
    fn take_fragment(&mut self, input: &Input<'_>, bytes: usize, data: &[u8], outbox: &mut Outbox) {
        let fragments = self.fragments.get_or_insert_with(|| Fragments {
            rtp_ticks: input.rtp_ticks,
            bytes,
            payload: BytesMut::new(),
            first_arrival: input.arrival,
            arrival: input.arrival,
            head_unsure: input.lost_before || input.first,
            damage: None,
        });
        fragments.arrival = fragments.arrival.max(input.arrival);
        if fragments.bytes != bytes || fragments.payload.len() + data.len() > bytes {
            fragments.damage.get_or_insert(DropReason::Malformed);
        }
        if fragments.damage.is_none() {
            fragments.payload.extend_from_slice(data);
        }
        if input.marker || (fragments.damage.is_none() && fragments.payload.len() == bytes) {
            self.end(DropReason::Malformed, outbox);
        }
    }

    /// Gives out the access unit in fragments if it is whole, and else reports why not: `reason`
    /// where nothing else is known.
    fn end(&mut self, reason: DropReason, outbox: &mut Outbox) {
        let Some(fragments) = self.fragments.take() else {
            return;
        };
        let Fragments { rtp_ticks, bytes, payload, first_arrival, arrival, .. } = fragments;
        if fragments.damage.is_none() && payload.len() == bytes {
            let payload = payload.freeze();
            return outbox.access_unit(access_unit_of(rtp_ticks, payload, first_arrival, arrival));
        }
        let unknown = if fragments.head_unsure { DropReason::Lost } else { reason };
        outbox.dropped(rtp_ticks, fragments.damage.unwrap_or(unknown));
    }
}

fn access_unit_of(
    rtp_ticks: i64,
    payload: Bytes,
    first_arrival: Instant,
    arrival: Instant,
) -> AccessUnit {
    AccessUnit { rtp_ticks, payload, key: KeyKind::Key, complete: true, first_arrival, arrival }
}

/// The sizes of the access units in a payload and their bytes; `None` if the AU header section
/// (section 3.2.1) is not well formed, or says that the access units are interleaved.
fn read_headers(payload: &[u8], header_bits: HeaderBits) -> Option<(Vec<usize>, &[u8])> {
    let (section_bits, rest) = payload.split_first_chunk::<2>()?;
    let section_bits = usize::from(u16::from_be_bytes(*section_bits));
    let (section, data) = rest.split_at_checked(section_bits.div_ceil(8))?;
    let mut bits = Bits { bytes: section, at: 0, end: section_bits };
    let mut sizes = Vec::new();
    let mut index_bits = header_bits.index;
    while bits.at < bits.end {
        let size = bits.take(header_bits.size)?;
        let index = bits.take(index_bits)?;
        if index != 0 || sizes.len() == ACCESS_UNITS_MAX {
            return None;
        }
        sizes.push(size as usize);
        index_bits = header_bits.index_delta;
    }
    (!sizes.is_empty()).then_some((sizes, data))
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl Bits<'_> {
    /// The next `count` bits, 24 at most.
    fn take(&mut self, count: u32) -> Option<u32> {
        let end = self.at + count as usize;
        if end > self.end {
            return None;
        }
        let first = self.at / 8;
        let word = (first..first + 4)
            .fold(0, |word, at| word << 8 | u32::from(self.bytes.get(at).copied().unwrap_or(0)));
        let value = (u64::from(word << (self.at % 8)) << count) >> 32;
        self.at = end;
        Some(value as u32)
    }
}

/// Access units in one packet: far more than senders put into one.
const ACCESS_UNITS_MAX: usize = 256;
