//! Sound of which each packet is a frame: Opus (RFC 7587) and G.711 (RFC 3551).

use bytes::Bytes;
use weir_media::{Codec, KeyKind, opus};

use super::{AccessUnit, DropReason, Input, Outbox};

#[derive(Clone, Debug)]
pub(super) struct Depacketiser {
    codec: Codec,
}

impl Depacketiser {
    /// `codec` is Opus or G.711.
    pub(super) fn new(codec: Codec) -> Self {
        Depacketiser { codec }
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec.clone()
    }

    pub(super) fn push(&mut self, input: &Input<'_>, outbox: &mut Outbox) {
        let payload = input.payload;
        if payload.is_empty() {
            outbox.counts.packets_ignored += 1;
            return;
        }
        let is_whole = match &self.codec {
            Codec::Opus(_) => opus::packet_samples(payload).is_some(),
            Codec::G711(config) => payload.len().is_multiple_of(config.channels.max(1).into()),
            _ => true,
        };
        if !is_whole {
            return outbox.dropped(input.rtp_ticks, DropReason::Malformed);
        }
        outbox.access_unit(AccessUnit {
            rtp_ticks: input.rtp_ticks,
            payload: Bytes::copy_from_slice(payload),
            key: KeyKind::Key,
            complete: true,
            first_arrival: input.arrival,
            arrival: input.arrival,
        });
    }
}
