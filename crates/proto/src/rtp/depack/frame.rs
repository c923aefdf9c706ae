//! What the payload formats of VP8, VP9 and AV1 have in common: a frame is what packets of one
//! time hold, one behind the other.

use bytes::{Bytes, BytesMut};
use weir_media::{Codec, KeyKind};
use weir_time::Instant;

use super::{ACCESS_UNIT_BYTES_MAX, AccessUnit, DropReason, Input, Outbox, Output};

/// A payload format whose packets hold parts of one frame.
pub(super) trait Format: Clone {
    /// What is taken of a frame besides its bytes.
    type Progress: Clone + Default;

    /// What is known by now, once it is enough for a decoder.
    fn codec(&self) -> Option<Codec>;

    /// Takes a payload, which is not empty, into the frame; `false` if there is nothing in it.
    fn take(part: &mut Part<'_, Self::Progress>, payload: &[u8]) -> Result<bool, DropReason>;

    /// Looks at a whole frame: gives its bytes in form and whether decoding can start there, or
    /// `None` if it is not well formed.
    fn finish(&mut self, frame: Bytes, progress: &Self::Progress) -> Option<(Bytes, KeyKind)>;
}

/// A frame as a payload format sees it while it is put together.
pub(super) struct Part<'a, P> {
    pub(super) bytes: &'a mut BytesMut,
    pub(super) progress: &'a mut P,
    /// Nothing was taken yet.
    pub(super) is_first: bool,
    /// The first packet need not be the one with which the frame begins.
    pub(super) head_unsure: bool,
}

impl<P> Part<'_, P> {
    /// What it means that a frame does not begin with the packet that came first.
    pub(super) fn no_start(&self) -> DropReason {
        if self.head_unsure { DropReason::Lost } else { DropReason::Malformed }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), DropReason> {
        if self.bytes.len() + bytes.len() > ACCESS_UNIT_BYTES_MAX {
            return Err(DropReason::TooLarge);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Depacketiser<F: Format> {
    format: F,
    /// The sender ends frames by markers, so that one without is not at its end.
    marks: bool,
    unit: Option<Unit<F::Progress>>,
}

/// A frame that is being put together.
#[derive(Clone, Debug)]
struct Unit<P> {
    rtp_ticks: i64,
    first_arrival: Instant,
    arrival: Instant,
    bytes: BytesMut,
    progress: P,
    is_empty: bool,
    head_unsure: bool,
    /// Packets before its first one are missing.
    head_lost: bool,
    damage: Option<DropReason>,
}

impl<F: Format> Depacketiser<F> {
    pub(super) fn new(format: F) -> Self {
        Depacketiser { format, marks: false, unit: None }
    }

    pub(super) fn codec(&self) -> Option<Codec> {
        self.format.codec()
    }

    pub(super) fn push(&mut self, input: &Input<'_>, outbox: &mut Outbox) {
        if let Some(unit) = &mut self.unit {
            if input.lost_before {
                unit.break_off(DropReason::Lost);
            }
            if unit.rtp_ticks != input.rtp_ticks {
                self.end(true, outbox);
            }
        }
        let unit = self.unit.get_or_insert_with(|| Unit::new(input));
        unit.arrival = unit.arrival.max(input.arrival);
        match unit.take::<F>(input.payload) {
            Ok(true) => {}
            Ok(false) => outbox.counts.packets_ignored += 1,
            Err(reason) => unit.break_off(reason),
        }
        if input.marker {
            self.marks = true;
            self.end(true, outbox);
        }
    }

    pub(super) fn flush(&mut self, outbox: &mut Outbox) {
        if self.marks
            && let Some(unit) = &mut self.unit
        {
            unit.break_off(DropReason::CutOff);
        }
        self.end(false, outbox);
    }

    /// Gives out the frame in progress, or reports why not.
    fn end(&mut self, at_end: bool, outbox: &mut Outbox) {
        let Some(unit) = self.unit.take() else {
            return;
        };
        if let Some(reason) = unit.damage {
            return outbox.dropped(unit.rtp_ticks, reason);
        }
        if unit.is_empty {
            return;
        }
        let before = self.format.codec();
        let Some((payload, key)) = self.format.finish(unit.bytes.freeze(), &unit.progress) else {
            return outbox.dropped(unit.rtp_ticks, DropReason::Malformed);
        };
        if let Some(codec) = self.format.codec()
            && before.as_ref() != Some(&codec)
        {
            outbox.put(Output::Codec(codec));
        }
        outbox.access_unit(AccessUnit {
            rtp_ticks: unit.rtp_ticks,
            payload,
            key,
            complete: at_end && !unit.head_lost,
            first_arrival: unit.first_arrival,
            arrival: unit.arrival,
        });
    }
}

impl<P: Default> Unit<P> {
    fn new(input: &Input<'_>) -> Self {
        Unit {
            rtp_ticks: input.rtp_ticks,
            first_arrival: input.arrival,
            arrival: input.arrival,
            bytes: BytesMut::new(),
            progress: P::default(),
            is_empty: true,
            head_unsure: input.lost_before || input.first,
            head_lost: input.lost_before,
            damage: None,
        }
    }

    fn break_off(&mut self, reason: DropReason) {
        self.damage.get_or_insert(reason);
        self.bytes = BytesMut::new();
        self.progress = P::default();
    }

    fn take<F: Format<Progress = P>>(&mut self, payload: &[u8]) -> Result<bool, DropReason> {
        if payload.is_empty() {
            return Ok(false);
        }
        if self.damage.is_some() {
            return Ok(true);
        }
        let mut part = Part {
            bytes: &mut self.bytes,
            progress: &mut self.progress,
            is_first: self.is_empty,
            head_unsure: self.head_unsure,
        };
        let taken = F::take(&mut part, payload)?;
        self.is_empty &= !taken;
        Ok(taken)
    }
}
