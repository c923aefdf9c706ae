//! H.264 out of RTP, packetization modes 0 and 1 (RFC 6184 section 5).

use bytes::{BufMut, Bytes, BytesMut};
use weir_media::{Codec, h264};
use weir_time::Instant;

use super::{ACCESS_UNIT_BYTES_MAX, AccessUnit, DropReason, Input, Outbox, Output};

#[derive(Clone, Debug)]
pub(super) struct Depacketiser {
    /// May be without sets as long as none are known.
    config: h264::Config,
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

impl Default for Depacketiser {
    fn default() -> Self {
        let config = h264::Config { sps: Vec::new(), pps: Vec::new() };
        Depacketiser { config, marks: false, unit: None }
    }
}

impl Depacketiser {
    pub(super) fn codec(&self) -> Option<Codec> {
        let known = !self.config.sps.is_empty() && !self.config.pps.is_empty();
        known.then(|| Codec::H264(self.config.clone()))
    }

    /// Puts a parameter set in the place of the one with its number; whether it is one.
    pub(super) fn take_parameter_set(&mut self, set: &[u8]) -> bool {
        let Some(number) = set_number(set) else {
            return false;
        };
        let sets = match h264::NalType::of(set) {
            h264::NalType::SPS => &mut self.config.sps,
            _ => &mut self.config.pps,
        };
        let set = Bytes::copy_from_slice(set);
        match sets.iter().position(|known| set_number(known) == Some(number)) {
            Some(at) => sets[at] = set,
            None if sets.len() < SETS_MAX => sets.push(set),
            None => return false,
        }
        true
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
        match h264::AccessUnit::from_length_prefixed(config, &unit.payload.freeze(), 4) {
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
    fn take(&mut self, payload: &[u8], config: &h264::Config) -> Result<bool, DropReason> {
        let Some((&header, rest)) = payload.split_first() else {
            return Ok(false);
        };
        match header & 0x1f {
            1..=23 => self.take_nal(payload, config)?,
            STAP_A => self.take_aggregate(rest, config)?,
            FU_A => self.take_fragment(header, rest, config)?,
            25..=27 | 29 => return Err(DropReason::Malformed),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Section 5.7.1: each NAL unit behind its length in two bytes.
    fn take_aggregate(&mut self, mut rest: &[u8], config: &h264::Config) -> Result<(), DropReason> {
        if rest.is_empty() {
            return Err(DropReason::Malformed);
        }
        while let Some((length, behind)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let (nal, behind) = behind.split_at_checked(length).ok_or(DropReason::Malformed)?;
            rest = behind;
            match nal.first().map(|header| header & 0x1f) {
                None | Some(0 | 30 | 31) => {}
                Some(1..=23) => self.take_nal(nal, config)?,
                Some(_) => return Err(DropReason::Malformed),
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(DropReason::Malformed) }
    }

    /// Section 5.8: the indicator has the importance, the FU header the type.
    fn take_fragment(
        &mut self,
        indicator: u8,
        rest: &[u8],
        config: &h264::Config,
    ) -> Result<(), DropReason> {
        let (&fu_header, fragment) = rest.split_first().ok_or(DropReason::Malformed)?;
        let nal_type = fu_header & 0x1f;
        if !matches!(nal_type, 1..=23) {
            return Err(DropReason::Malformed);
        }
        if self.damage.is_some() {
            return Ok(());
        }
        let at = match (fu_header & 0x80 != 0, self.fragments_at) {
            (true, None) => {
                let at = self.payload.len();
                self.reserve(5 + fragment.len())?;
                self.payload.put_u32(0);
                self.payload.put_u8((indicator & 0xe0) | nal_type);
                at
            }
            (false, Some(at)) => at,
            // The head of the NAL unit is among what is missing before this packet.
            (false, None) if self.head_unsure && !self.has_slice => return Err(DropReason::Lost),
            _ => return Err(DropReason::Malformed),
        };
        self.reserve(fragment.len())?;
        self.payload.put_slice(fragment);
        self.fragments_at = Some(at);
        if fu_header & 0x40 != 0 {
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

    fn take_nal(&mut self, nal: &[u8], config: &h264::Config) -> Result<(), DropReason> {
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
    fn look(&mut self, at: usize, config: &h264::Config) -> Result<(), DropReason> {
        let nal = self.payload.get(at..).unwrap_or(&[]);
        let nal_type = h264::NalType::of(nal);
        if nal_type.is_slice() && !self.has_slice {
            self.has_slice = true;
            if self.head_unsure && !is_first_of_picture(nal) {
                return Err(DropReason::Lost);
            }
        }
        if matches!(nal_type, h264::NalType::SPS | h264::NalType::PPS) {
            let nal = Bytes::copy_from_slice(nal);
            self.note_set(&nal, config);
        }
        Ok(())
    }

    fn note_set(&mut self, nal: &[u8], config: &h264::Config) {
        let known = match h264::NalType::of(nal) {
            h264::NalType::SPS => &config.sps,
            h264::NalType::PPS => &config.pps,
            _ => return,
        };
        if self.new_sets.len() < SETS_MAX && !known.iter().any(|set| set == nal) {
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

/// Whether a slice is the one with which its picture begins: its first_mb_in_slice is 0, one set
/// bit (ISO/IEC 14496-10 section 7.3.3). Not known of the data partitions B and C.
fn is_first_of_picture(nal: &[u8]) -> bool {
    matches!(nal, [header, first, ..] if matches!(header & 0x1f, 1 | 2 | 5) && first & 0x80 != 0)
}

/// The number of a parameter set that can be used: seq_parameter_set_id behind profile, flags and
/// level, or pic_parameter_set_id. No emulation prevention byte comes before either.
fn set_number(set: &[u8]) -> Option<u32> {
    let (numbered, max) = match h264::NalType::of(set) {
        h264::NalType::SPS => (set.get(4..)?, 31),
        h264::NalType::PPS => (set.get(1..)?, 255),
        _ => return None,
    };
    if set.len() > usize::from(u16::MAX) {
        return None;
    }
    let word = numbered.iter().take(4).fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    let word = (word << (8 * (4 - numbered.len().min(4)))) as u32;
    // An unsigned Exp-Golomb code (section 9.1) of at most 17 bits.
    let zeros = word.leading_zeros();
    let code = (zeros <= 8).then(|| (word >> (31 - 2 * zeros)) - 1)?;
    (code <= max).then_some(code)
}

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// Parameter sets of each kind that are kept: as many SPS as an AVCDecoderConfigurationRecord
/// holds.
const SETS_MAX: usize = 31;
