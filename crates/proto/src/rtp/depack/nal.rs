//! What the payload formats of H.264 (RFC 6184) and H.265 (RFC 7798) have in common: access units
//! of NAL units that come as they are, several in one packet, and one in several.

use bytes::{BufMut, Bytes, BytesMut};
use weir_media::Codec;
use weir_media::nal::{self, ParameterSets, Role};
use weir_time::Instant;

use super::{ACCESS_UNIT_BYTES_MAX, AccessUnit, DropReason, Input, Outbox, Output};

/// A payload format for NAL units, as its configuration, which may be without sets as long as none
/// are known.
pub(super) trait Format: ParameterSets + Clone {
    /// What is known by now, once it is enough for a decoder.
    fn codec(&self) -> Option<Codec>;

    /// Puts a parameter set in the place of the one with its number; whether it is one.
    fn take_parameter_set(&mut self, set: &[u8]) -> bool;

    /// What a payload is, which is not empty.
    fn read(payload: &[u8]) -> Payload<'_>;

    /// What a NAL unit within an aggregate is: as it is, to be ignored or malformed.
    fn read_in_aggregate(nal: &[u8]) -> Payload<'_>;

    fn is_slice(nal: &[u8]) -> bool;

    /// Whether a slice is the one with which its picture begins.
    fn is_first_of_picture(nal: &[u8]) -> bool;
}

/// A payload by its type.
pub(super) enum Payload<'a> {
    NalUnit,
    /// NAL units, each behind its length in two bytes.
    Aggregate(&'a [u8]),
    Fragment(Fragment<'a>),
    /// Of a type that receivers ignore.
    Ignored,
    Malformed,
}

/// A part of a NAL unit.
pub(super) struct Fragment<'a> {
    /// The header of the NAL unit: as many of these bytes as the format has.
    pub(super) header: [u8; 2],
    pub(super) header_bytes: usize,
    pub(super) is_first: bool,
    pub(super) is_last: bool,
    pub(super) body: &'a [u8],
}

#[derive(Clone, Debug)]
pub(super) struct Depacketiser<F> {
    config: F,
    /// The sender ends access units by markers, so that one without is not at its end.
    marks: bool,
    unit: Option<Unit>,
}

/// An access unit that is being put together.
#[derive(Clone, Debug)]
struct Unit {
    rtp_ticks: i64,
    first_arrival: Instant,
    arrival: Instant,
    /// Its NAL units, each behind its length in four bytes.
    payload: BytesMut,
    /// Where the length of the NAL unit in fragments stands, while one is.
    fragments_at: Option<usize>,
    /// Packets before its first one are missing, or it is the first of all: that one need not be
    /// the one with which it begins.
    head_unsure: bool,
    /// Packets before its first one are missing.
    head_lost: bool,
    has_slice: bool,
    /// One of its packets had the marker.
    marked: bool,
    damage: Option<DropReason>,
    /// Parameter sets in it that are not those of the configuration.
    new_sets: Vec<Bytes>,
}

impl<F: Format> Depacketiser<F> {
    pub(super) fn new(config: F) -> Self {
        Depacketiser { config, marks: false, unit: None }
    }

    pub(super) fn codec(&self) -> Option<Codec> {
        self.config.codec()
    }

    /// Takes a parameter set of a session description; whether it is one.
    pub(super) fn take_parameter_set(&mut self, set: &[u8]) -> bool {
        self.config.take_parameter_set(set)
    }

    pub(super) fn push(&mut self, input: &Input<'_>, outbox: &mut Outbox) {
        self.begin_or_go_on(input, outbox);
        let unit = self.unit.get_or_insert_with(|| Unit::new(input));
        unit.arrival = unit.arrival.max(input.arrival);
        match unit.take(input.payload, &self.config) {
            Ok(true) => {}
            Ok(false) => outbox.counts.packets_ignored += 1,
            Err(reason) => unit.break_off(reason),
        }
        if input.marker {
            self.marks = true;
            unit.marked = true;
            if unit.is_worth_ending() {
                self.end(true, outbox);
            }
        }
    }

    pub(super) fn flush(&mut self, outbox: &mut Outbox) {
        if let Some(unit) = &mut self.unit
            && (self.marks && !unit.marked || unit.fragments_at.is_some())
        {
            unit.break_off(DropReason::CutOff);
        }
        self.end(false, outbox);
    }

    /// Ends the access unit in progress where the packet is not of it.
    fn begin_or_go_on(&mut self, input: &Input<'_>, outbox: &mut Outbox) {
        let Some(unit) = &mut self.unit else { return };
        let same_time = unit.rtp_ticks == input.rtp_ticks;
        if same_time || !unit.is_worth_ending() {
            if input.lost_before && same_time {
                unit.break_off(DropReason::Lost);
            } else if input.lost_before {
                // Only parameter sets and messages, whose picture is among what is missing,
                // unless they were sent apart from it.
                if !unit.marked {
                    unit.break_off(DropReason::Lost);
                }
                self.end(true, outbox);
            } else {
                // Parameter sets and messages that were sent apart from their picture.
                unit.rtp_ticks = input.rtp_ticks;
            }
            return;
        }
        if input.lost_before {
            unit.break_off(DropReason::Lost);
        }
        self.end(true, outbox);
    }

    /// Gives out the access unit in progress, or reports why not.
    fn end(&mut self, at_end: bool, outbox: &mut Outbox) {
        let Some(mut unit) = self.unit.take() else {
            return;
        };
        let knew = self.codec().is_some();
        let config_before = (!unit.new_sets.is_empty()).then(|| self.config.clone());
        let mut changed = false;
        for set in &unit.new_sets {
            let taken = self.take_parameter_set(set);
            changed |= taken;
            outbox.counts.parameter_sets_ignored += u64::from(!taken);
        }
        if changed && let Some(codec) = self.codec() {
            outbox.put(Output::Codec(codec));
        }
        if unit.fragments_at.is_some() {
            unit.break_off(DropReason::Malformed);
        }
        if let Some(reason) = unit.damage {
            return outbox.dropped(unit.rtp_ticks, reason);
        }
        if !unit.has_slice {
            return;
        }
        let config = match &config_before {
            Some(before) if knew => before,
            _ => &self.config,
        };
        match nal::AccessUnit::from_length_prefixed(config, &unit.payload.freeze(), 4) {
            Ok(in_form) => outbox.access_unit(AccessUnit {
                rtp_ticks: unit.rtp_ticks,
                payload: in_form.payload,
                key: in_form.key,
                complete: at_end && !unit.head_lost,
                first_arrival: unit.first_arrival,
                arrival: unit.arrival,
            }),
            Err(_) => outbox.dropped(unit.rtp_ticks, DropReason::Malformed),
        }
    }
}

impl Unit {
    fn new(input: &Input<'_>) -> Self {
        Unit {
            rtp_ticks: input.rtp_ticks,
            first_arrival: input.arrival,
            arrival: input.arrival,
            payload: BytesMut::new(),
            fragments_at: None,
            head_unsure: input.lost_before || input.first,
            head_lost: input.lost_before,
            has_slice: false,
            marked: false,
            damage: None,
            new_sets: Vec::new(),
        }
    }

    /// Whether there is, or was, a picture in it. Parameter sets and messages alone wait for
    /// theirs: some senders give them markers or times of their own.
    fn is_worth_ending(&self) -> bool {
        self.has_slice || self.fragments_at.is_some() || self.damage.is_some()
    }

    fn break_off(&mut self, reason: DropReason) {
        self.damage.get_or_insert(reason);
        self.payload = BytesMut::new();
        self.fragments_at = None;
    }

    /// Takes a payload; `false` if it is one to be ignored.
    fn take<F: Format>(&mut self, payload: &[u8], config: &F) -> Result<bool, DropReason> {
        if payload.is_empty() {
            return Ok(false);
        }
        match F::read(payload) {
            Payload::NalUnit => self.take_nal(payload, config)?,
            Payload::Aggregate(rest) => self.take_aggregate(rest, config)?,
            Payload::Fragment(fragment) => self.take_fragment(&fragment, config)?,
            Payload::Ignored => return Ok(false),
            Payload::Malformed => return Err(DropReason::Malformed),
        }
        Ok(true)
    }

    fn take_aggregate<F: Format>(&mut self, mut rest: &[u8], config: &F) -> Result<(), DropReason> {
        if rest.is_empty() {
            return Err(DropReason::Malformed);
        }
        while let Some((length, behind)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let (nal, behind) = behind.split_at_checked(length).ok_or(DropReason::Malformed)?;
            rest = behind;
            if nal.is_empty() {
                continue;
            }
            match F::read_in_aggregate(nal) {
                Payload::NalUnit => self.take_nal(nal, config)?,
                Payload::Ignored => {}
                _ => return Err(DropReason::Malformed),
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(DropReason::Malformed) }
    }

    fn take_fragment<F: Format>(
        &mut self,
        fragment: &Fragment<'_>,
        config: &F,
    ) -> Result<(), DropReason> {
        let Fragment { header, header_bytes, is_first, is_last, body } = *fragment;
        if self.damage.is_some() {
            return Ok(());
        }
        let at = match (is_first, self.fragments_at) {
            (true, None) => {
                let at = self.payload.len();
                self.reserve(4 + header_bytes + body.len())?;
                self.payload.put_u32(0);
                self.payload.put_slice(header.get(..header_bytes).unwrap_or(&[]));
                at
            }
            (false, Some(at)) => at,
            // The head of the NAL unit is among what is missing before this packet.
            (false, None) if self.head_unsure && !self.has_slice => return Err(DropReason::Lost),
            _ => return Err(DropReason::Malformed),
        };
        self.reserve(body.len())?;
        self.payload.put_slice(body);
        self.fragments_at = Some(at);
        if is_last {
            self.fragments_at = None;
            let nal_bytes = self.payload.len() - at - 4;
            let length = u32::try_from(nal_bytes).map_err(|_| DropReason::TooLarge)?;
            if let Some(place) = self.payload.get_mut(at..at + 4) {
                place.copy_from_slice(&length.to_be_bytes());
            }
            self.look(at + 4, config)?;
        }
        Ok(())
    }

    fn take_nal<F: Format>(&mut self, nal: &[u8], config: &F) -> Result<(), DropReason> {
        if self.damage.is_some() {
            self.note_set(nal, config);
            return Ok(());
        }
        if self.fragments_at.is_some() {
            return Err(DropReason::Malformed);
        }
        self.reserve(4 + nal.len())?;
        let at = self.payload.len() + 4;
        self.payload.put_u32(u32::try_from(nal.len()).map_err(|_| DropReason::TooLarge)?);
        self.payload.put_slice(nal);
        self.look(at, config)
    }

    /// Notes what the NAL unit at the end of the payload, from `at` on, says.
    fn look<F: Format>(&mut self, at: usize, config: &F) -> Result<(), DropReason> {
        let nal = self.payload.get(at..).unwrap_or(&[]);
        if F::is_slice(nal) && !self.has_slice {
            self.has_slice = true;
            if self.head_unsure && !F::is_first_of_picture(nal) {
                return Err(DropReason::Lost);
            }
        }
        if config.role(nal) == Role::NewSet {
            let nal = Bytes::copy_from_slice(nal);
            self.note_set(&nal, config);
        }
        Ok(())
    }

    fn note_set<F: Format>(&mut self, nal: &[u8], config: &F) {
        if self.new_sets.len() < NEW_SETS_MAX && config.role(nal) == Role::NewSet {
            self.new_sets.push(Bytes::copy_from_slice(nal));
        }
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), DropReason> {
        if self.payload.len() + bytes > ACCESS_UNIT_BYTES_MAX {
            return Err(DropReason::TooLarge);
        }
        self.payload.reserve(bytes);
        Ok(())
    }
}

/// Parameter sets of one access unit that are looked at.
const NEW_SETS_MAX: usize = 64;
