//! One elementary stream: PES packets become samples.

use bytes::Bytes;

use super::packet::Packet;
use super::pes::{Pes, Times};
use super::psi::Listed;
use super::sound::Sound;
use crate::aac::AdtsHeader;
use crate::h264::{NalType, recovery_point};
use crate::movie::{Jumps, TrackBuilder, Unit, Warnings};
use crate::nal::AnnexB;
use crate::{Codec, Error, Kind, h264, h265};

/// A stream that is carried, as far as it was read.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) pid: u16,
    pub(super) program: u16,
    pub(super) coding: Coding,
    pub(super) codec: Option<Codec>,
    /// Why it cannot be played.
    pub(super) refused: Option<String>,
    pub(super) builder: TrackBuilder,
    pub(super) media_bytes: u64,
    /// Pictures left out because decoding starts only behind them.
    pub(super) undecodable: u64,
    pes: Pes,
    under_way: Option<UnderWay>,
    sets: Sets,
    sound: Sound,
    /// The last decoding time and how far it was from the one before.
    last: Option<(i64, i64)>,
}

/// How a stream that is carried is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    H264,
    H265,
    Adts,
    /// AAC, if its first PES packet looks so.
    MaybeAdts,
}

/// A PES packet that has started.
#[derive(Debug)]
pub(super) struct UnderWay {
    /// The packets that hold it.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) times: Times,
    random_access: bool,
    /// All of it for sound; for pictures the start, up to the first slice.
    pub(super) data: Vec<u8>,
    has_slice: bool,
    media_bytes: u64,
}

/// Parameter sets before the configuration is known.
#[derive(Debug, Default)]
struct Sets {
    vps: Vec<Bytes>,
    sps: Vec<Bytes>,
    pps: Vec<Bytes>,
}

/// What all streams of a file share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) jumps: Jumps,
    pub(super) warnings: Warnings,
    /// The last decoding time in any stream, without wraps.
    reference: Option<i64>,
    /// Packets that are missing by their counters, and where the first were.
    pub(super) gaps: u64,
    pub(super) first_gap: Option<(u64, u16)>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Shared {
            jumps: Jumps::new(CLOCK_HZ),
            warnings: Warnings::default(),
            reference: None,
            gaps: 0,
            first_gap: None,
        }
    }

    /// A time of 33 bits as the one that is nearest to the last.
    pub(super) fn unwrap_time(&mut self, time: u64) -> i64 {
        let time = (time & TIME_MASK) as i64;
        let near = near(time, self.reference.unwrap_or(time));
        self.reference = Some(near);
        near
    }
}

/// `time`, of 33 bits, with those wraps that bring it next to `reference`.
fn near(time: i64, reference: i64) -> i64 {
    let wrap = TIME_MASK as i64 + 1;
    let ahead = time.wrapping_sub(reference).rem_euclid(wrap);
    reference.saturating_add(if ahead >= wrap / 2 { ahead - wrap } else { ahead })
}

impl Coding {
    /// How a listed stream is coded, if it is carried.
    pub(super) fn of(listed: &Listed) -> Option<Coding> {
        match listed.stream_type {
            0x1b => Some(Coding::H264),
            0x24 => Some(Coding::H265),
            0x0f => Some(Coding::Adts),
            // Some writers say no more of it than that it is private.
            0x06 if listed.is_unknown() => Some(Coding::MaybeAdts),
            _ => None,
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Coding::H264 | Coding::H265 => Kind::Video,
            Coding::Adts | Coding::MaybeAdts => Kind::Audio,
        }
    }
}

impl Stream {
    pub(super) fn new(pid: u16, program: u16, coding: Coding) -> Self {
        Stream {
            pid,
            program,
            coding,
            codec: None,
            refused: None,
            builder: TrackBuilder::default(),
            media_bytes: 0,
            undecodable: 0,
            pes: Pes::default(),
            under_way: None,
            sets: Sets::default(),
            sound: Sound::default(),
            last: None,
        }
    }

    /// Takes a packet that stands at `start` and ends at `end` in the file.
    pub(super) fn push(&mut self, packet: &Packet<'_>, start: u64, end: u64, shared: &mut Shared) {
        let Some(part) = self.pes.push(packet) else {
            return;
        };
        if part.gap {
            shared.gaps += 1;
            shared.first_gap.get_or_insert((start, self.pid));
        }
        if packet.starts {
            self.finish_pes(shared);
            self.under_way = Some(UnderWay::new(start, packet.random_access));
        }
        let Some(under_way) = &mut self.under_way else {
            return;
        };
        under_way.end = end;
        if let Some(times) = part.times {
            under_way.times = times;
        }
        under_way.media_bytes += part.data.len() as u64;
        match self.coding.kind() {
            Kind::Audio if under_way.data.len() < SOUND_BYTES_MAX => {
                under_way.data.extend_from_slice(part.data);
            }
            Kind::Video if !under_way.has_slice => {
                under_way.push_start(part.data, self.coding);
            }
            _ => {}
        }
        if part.ends {
            self.finish_pes(shared);
        }
    }

    /// Packets are missing: what had started is given up.
    pub(super) fn give_up(&mut self) {
        self.under_way = None;
        self.pes = Pes::default();
        self.sound.give_up();
    }

    /// The file ends.
    pub(super) fn end(&mut self, file_bytes: u64, shared: &mut Shared) {
        if let Some(left) = self.pes.left_bytes().filter(|&left| left > 0)
            && let Some(under_way) = self.under_way.take()
        {
            shared.warnings.push(format!(
                "the file is cut off: the PES packet at byte {} (PID {}) lacks {left} bytes, the file \
                 has {file_bytes}; what stands before it is used",
                under_way.start, self.pid
            ));
        }
        self.finish_pes(shared);
    }

    fn finish_pes(&mut self, shared: &mut Shared) {
        let Some(under_way) = self.under_way.take() else {
            return;
        };
        if under_way.media_bytes == 0 || self.refused.is_some() {
            return;
        }
        if under_way.end - under_way.start > EXTENT_BYTES_MAX {
            let bytes = under_way.end - under_way.start;
            shared.warnings.push(format!(
                "byte {}: a PES packet (PID {}) is spread over {bytes} bytes, at most \
                 {EXTENT_BYTES_MAX} are read; it is left out",
                under_way.start, self.pid
            ));
            return;
        }
        match self.coding {
            Coding::H264 | Coding::H265 => self.finish_picture(&under_way, shared),
            Coding::MaybeAdts if AdtsHeader::read(&under_way.data).is_err() => {
                self.refused = Some("private data is not supported".to_owned());
            }
            Coding::Adts | Coding::MaybeAdts => {
                self.coding = Coding::Adts;
                let found = self.sound.push(&under_way, &mut self.codec, shared, |unit, shared| {
                    self.builder.push(unit, &mut shared.jumps, &mut shared.warnings);
                });
                match found {
                    Ok(bytes) => self.media_bytes += bytes,
                    Err(error) => self.refused = Some(error.to_string()),
                }
            }
        }
    }

    fn finish_picture(&mut self, under_way: &UnderWay, shared: &mut Shared) {
        let mut key = under_way.random_access;
        let mut starts_unit = false;
        for nal in AnnexB::new(&under_way.data) {
            match self.coding {
                Coding::H265 => self.look_h265(nal, &mut key, &mut starts_unit),
                _ => self.look_h264(nal, &mut key, &mut starts_unit),
            }
        }
        if self.codec.is_none() {
            match self.sets.codec(self.coding) {
                Ok(codec) => self.codec = codec,
                Err(error) => self.refused = Some(error.to_string()),
            }
        }
        let (dts, pts) = match (under_way.times.pts, self.last) {
            (Some(pts), _) => {
                let dts = shared.unwrap_time(under_way.times.dts.unwrap_or(pts));
                (dts, near((pts & TIME_MASK) as i64, dts))
            }
            // The picture goes on in this packet.
            (None, Some(_)) if !starts_unit => {
                if self.builder.extend(under_way.end, EXTENT_BYTES_MAX) {
                    self.media_bytes += under_way.media_bytes;
                }
                return;
            }
            (None, Some((dts, delta))) => (dts.saturating_add(delta), dts.saturating_add(delta)),
            (None, None) => return self.undecodable += 1,
        };
        if self.last.is_none() && !(key && self.codec.is_some()) {
            return self.undecodable += 1;
        }
        self.last = Some((dts, self.last.map_or(0, |(last, _)| dts.saturating_sub(last))));
        self.media_bytes += under_way.media_bytes;
        let unit = Unit {
            offset: under_way.start,
            bytes: (under_way.end - under_way.start) as u32,
            dts,
            pts,
            key,
            duration: None,
            skip: 0,
        };
        self.builder.push(unit, &mut shared.jumps, &mut shared.warnings);
    }

    fn look_h264(&mut self, nal: &[u8], key: &mut bool, starts_unit: &mut bool) {
        let collect = self.codec.is_none();
        match NalType::of(nal) {
            NalType::SPS if collect => add(&mut self.sets.sps, nal),
            NalType::PPS if collect => add(&mut self.sets.pps, nal),
            NalType::IDR => *key = true,
            NalType::SEI => *key |= recovery_point(nal).is_some(),
            NalType::AUD => *starts_unit = true,
            _ => {}
        }
    }

    /// ISO/IEC 23008-2 table 7-1.
    fn look_h265(&mut self, nal: &[u8], key: &mut bool, starts_unit: &mut bool) {
        let collect = self.codec.is_none();
        match h265_type(nal) {
            32 if collect => add(&mut self.sets.vps, nal),
            33 if collect => add(&mut self.sets.sps, nal),
            34 if collect => add(&mut self.sets.pps, nal),
            16..=23 => *key = true,
            35 => *starts_unit = true,
            _ => {}
        }
    }
}

impl UnderWay {
    fn new(start: u64, random_access: bool) -> Self {
        UnderWay {
            start,
            end: start,
            times: Times::default(),
            random_access,
            data: Vec::new(),
            has_slice: false,
            media_bytes: 0,
        }
    }

    /// Takes what comes, up to the first byte of the first slice.
    fn push_start(&mut self, data: &[u8], coding: Coding) {
        // A start code may lie across two packets.
        let from = self.data.len().saturating_sub(3);
        self.data.extend_from_slice(data);
        let new = self.data.get(from..).unwrap_or(&[]);
        let slice = new.windows(4).any(|four| {
            four.starts_with(&[0, 0, 1])
                && match coding {
                    Coding::H265 => h265_type(&four[3..]) < 32,
                    _ => NalType::of(&four[3..]).is_slice(),
                }
        });
        self.has_slice = slice || self.data.len() > START_BYTES_MAX;
    }
}

impl Sets {
    /// The configuration, once all kinds of parameter sets are there.
    fn codec(&mut self, coding: Coding) -> Result<Option<Codec>, Error> {
        let Sets { vps, sps, pps } = self;
        if sps.is_empty() || pps.is_empty() {
            return Ok(None);
        }
        match coding {
            Coding::H264 => {
                let config = h264::Config::from_parameter_sets(sps.clone(), pps.clone())?;
                Ok(Some(Codec::H264(config)))
            }
            _ if vps.is_empty() => Ok(None),
            _ => {
                let sets = (vps.clone(), sps.clone(), pps.clone());
                let config = h265::Config::from_parameter_sets(sets.0, sets.1, sets.2)?;
                Ok(Some(Codec::H265(config)))
            }
        }
    }
}

fn add(sets: &mut Vec<Bytes>, nal: &[u8]) {
    if sets.len() < SETS_MAX && !sets.iter().any(|set| set == nal) {
        sets.push(Bytes::copy_from_slice(nal));
    }
}

fn h265_type(nal: &[u8]) -> u8 {
    nal.first().copied().unwrap_or(0) >> 1 & 63
}

/// Ticks a second of the times of PES packets.
pub(super) const CLOCK_HZ: u32 = 90_000;
const TIME_MASK: u64 = (1 << 33) - 1;
/// What may stand before the first slice of a picture.
const START_BYTES_MAX: usize = 64 << 10;
const SOUND_BYTES_MAX: usize = 256 << 10;
const SETS_MAX: usize = 16;
/// The part of the file that is read to get at one PES packet.
const EXTENT_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_wrap_in_both_directions() {
        let wrap = 1 << 33;
        let mut shared = Shared::new();
        assert_eq!(shared.unwrap_time(wrap - 10), (1 << 33) - 10);
        assert_eq!(shared.unwrap_time(20), (1 << 33) + 20);
        assert_eq!(shared.unwrap_time(wrap - 1), (1 << 33) - 1);
        assert_eq!(near(5, -3), 5);
    }
}
