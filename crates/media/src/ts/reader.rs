//! Reads a transport stream from its first packet to its last.

use super::packet::{Grid, Packet, grid};
use super::place::PacketPlace;
use super::psi::{Listed, Sections, read_pat, read_pmt};
use super::stream::{CLOCK_HZ, Coding, Shared, Stream};
use crate::movie::{Format, Layout, Movie, Scan, SkippedTrack, TimeLine, TrackIndex, origin};
use crate::{Codec, Error, Kind, MediaTime, Track, TrackId};

/// Reads a file of transport stream packets. What it holds is bounded: the tables of samples, and
/// of each stream the PES packet that has started, as far as it says what is to be known.
#[derive(Debug)]
pub(crate) struct Reader {
    file_bytes: u64,
    grid: Option<Grid>,
    /// Packets stand where they are looked for.
    in_sync: bool,
    /// What the packets of each PID are.
    roles: Vec<Role>,
    association: Sections,
    programs: Vec<Program>,
    streams: Vec<Stream>,
    skipped: Vec<SkippedTrack>,
    shared: Shared,
    broken_sections: u64,
    losses: u64,
    scrambled: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Other,
    Association,
    Map(u8),
    Stream(u8),
}

#[derive(Debug)]
struct Program {
    number: u16,
    sections: Sections,
    is_known: bool,
}

impl Reader {
    pub(crate) fn new(file_bytes: u64) -> Self {
        let mut roles = vec![Role::Other; PIDS];
        if let Some(first) = roles.first_mut() {
            *first = Role::Association;
        }
        Reader {
            file_bytes,
            grid: None,
            in_sync: true,
            roles,
            association: Sections::default(),
            programs: Vec::new(),
            streams: Vec::new(),
            skipped: Vec::new(),
            shared: Shared::new(),
            broken_sections: 0,
            losses: 0,
            scrambled: 0,
        }
    }

    fn packet(&mut self, packet: &Packet<'_>, start: u64, end: u64) {
        let role = self.roles.get(usize::from(packet.pid)).copied().unwrap_or_default();
        if packet.scrambled && role != Role::Other {
            self.scrambled += 1;
            return;
        }
        match role {
            Role::Other => {}
            Role::Stream(number) => {
                if let Some(stream) = self.streams.get_mut(usize::from(number)) {
                    stream.push(packet, start, end, &mut self.shared);
                }
            }
            Role::Association => {
                let Some(payload) = packet.payload else { return };
                let broken = &mut self.broken_sections;
                for section in self.association.push(packet.starts, payload, broken) {
                    self.associate(&section);
                }
            }
            Role::Map(number) => {
                let number = usize::from(number);
                let (Some(payload), Some(program)) =
                    (packet.payload, self.programs.get_mut(number))
                else {
                    return;
                };
                let broken = &mut self.broken_sections;
                for section in program.sections.push(packet.starts, payload, broken) {
                    self.map(&section, start);
                }
            }
        }
    }

    fn associate(&mut self, section: &[u8]) {
        for (number, pid) in read_pat(section) {
            let is_known = self.programs.iter().any(|program| program.number == number);
            let Some(role) = self.roles.get_mut(usize::from(pid)) else { continue };
            if is_known || self.programs.len() >= PROGRAMS_MAX {
                continue;
            }
            // Several programs may have their maps in one PID: then the first takes them all.
            if *role == Role::Other {
                *role = Role::Map(self.programs.len() as u8);
            }
            self.programs.push(Program { number, sections: Sections::default(), is_known: false });
        }
    }

    fn map(&mut self, section: &[u8], at: u64) {
        let Some((number, listed)) = read_pmt(section) else { return };
        let Some(program) = self.programs.iter_mut().find(|program| program.number == number)
        else {
            return;
        };
        let is_first = !std::mem::replace(&mut program.is_known, true);
        for listed in listed {
            let known = self.roles.get(usize::from(listed.pid)).copied().unwrap_or_default();
            if known == Role::Other {
                self.list(&listed, number, is_first, at);
            }
        }
    }

    fn list(&mut self, listed: &Listed, program: u16, is_first: bool, at: u64) {
        let Some(coding) = Coding::of(listed) else {
            let skipped = SkippedTrack {
                place: format!("PID {}", listed.pid),
                codec: Some(format!("{:#04x}", listed.stream_type)),
                reason: format!("{} is not supported", listed.name()),
            };
            if self.skipped.len() < STREAMS_MAX && !self.skipped.contains(&skipped) {
                self.skipped.push(skipped);
            }
            return;
        };
        if self.streams.len() >= STREAMS_MAX {
            let text = format!("byte {at}: more than {STREAMS_MAX} streams; the rest is left out");
            return self.shared.warnings.push(text);
        }
        if !is_first {
            self.shared.warnings.push(format!(
                "byte {at}: program {program} gets another stream (PID {}) within the file",
                listed.pid
            ));
        }
        if let Some(role) = self.roles.get_mut(usize::from(listed.pid)) {
            *role = Role::Stream(self.streams.len() as u8);
            self.streams.push(Stream::new(listed.pid, program, coding));
        }
    }

    /// Packets do not stand where they should: everything that has started is given up.
    fn lose_sync(&mut self, at: u64) {
        self.in_sync = false;
        self.losses += 1;
        self.streams.iter_mut().for_each(Stream::give_up);
        if self.losses <= LOSSES_SAID_MAX {
            let text = format!("byte {at}: no packet starts here; it is gone on at the next");
            self.shared.warnings.push(text);
        }
    }

    /// Says what was counted.
    fn say_counts(&mut self) {
        let warnings = &mut self.shared.warnings;
        if let Some((at, pid)) = self.shared.first_gap {
            let gaps = self.shared.gaps;
            warnings.push(format!(
                "packets are missing in {gaps} places by their continuity counters, first before byte \
                 {at} (PID {pid})"
            ));
        }
        if self.losses > LOSSES_SAID_MAX {
            warnings.push(format!("{} places without packets in all", self.losses));
        }
        if self.broken_sections > 0 {
            let count = self.broken_sections;
            warnings.push(format!("{count} tables with a wrong checksum, left out"));
        }
        if self.scrambled > 0 {
            warnings.push(format!("{} packets are scrambled, left out", self.scrambled));
        }
    }

    /// The first program, in the order of the association table, of which something is carried.
    fn chosen(&self) -> Option<u16> {
        let has_any = |number: u16| {
            let mut streams = self.streams.iter().filter(|stream| stream.program == number);
            streams.any(|stream| stream.codec.is_some() && stream.refused.is_none())
        };
        self.programs.iter().map(|program| program.number).find(|&number| has_any(number))
    }
}

impl Scan for Reader {
    fn read(&mut self, at: u64, data: &[u8]) -> Result<u64, Error> {
        let is_all = at + data.len() as u64 >= self.file_bytes;
        let grid = match self.grid {
            Some(grid) => grid,
            None => {
                let found = grid(data).ok_or_else(|| Error::container("file", at, "no packets"))?;
                *self.grid.insert(found)
            }
        };
        let mut here = if at == 0 { grid.start } else { 0 };
        while let Some(bytes) = data.get(here..here + grid.packet_bytes) {
            let start = at + here as u64;
            if !self.in_sync {
                let packets = ((data.len() - here) / grid.packet_bytes).min(RESYNC_PACKETS);
                if packets < RESYNC_PACKETS && !is_all {
                    break;
                }
                if !grid.syncs(data, here, packets) {
                    here += 1;
                    continue;
                }
                self.in_sync = true;
            }
            match grid.packet(bytes) {
                Some(packet) => {
                    here += grid.packet_bytes;
                    self.packet(&packet, start, at + here as u64);
                }
                None => self.lose_sync(start),
            }
        }
        if !is_all {
            return Ok(at + here as u64);
        }
        if here < data.len() && self.in_sync {
            self.shared.warnings.push(format!(
                "the file is cut off: the packet at byte {} needs {} bytes, the file has {}; what \
                 stands before it is used",
                at + here as u64,
                grid.packet_bytes,
                self.file_bytes
            ));
        }
        Ok(self.file_bytes)
    }

    fn finish(mut self: Box<Self>) -> Result<Movie, Error> {
        let (file_bytes, grid) = (self.file_bytes, self.grid);
        let Some(grid) = grid else {
            return Err(Error::container("file", 0, "no packets"));
        };
        for stream in &mut self.streams {
            stream.end(file_bytes, &mut self.shared);
        }
        self.say_counts();
        if self.programs.iter().all(|program| !program.is_known) {
            let reason = "no program map among its packets";
            return Err(Error::container("transport stream", grid.start as u64, reason));
        }
        let chosen = self.chosen();
        let Reader { mut skipped, streams, mut shared, .. } = *self;
        let mut built = Vec::new();
        for stream in streams {
            let place = format!("PID {}", stream.pid);
            if let Some(reason) = stream.refused {
                skipped.push(SkippedTrack { place, codec: None, reason });
                continue;
            }
            let Some(codec) = stream.codec else {
                let reason = "nothing in it can be decoded".to_owned();
                skipped.push(SkippedTrack { place, codec: None, reason });
                continue;
            };
            if chosen != Some(stream.program) {
                let reason = format!("of program {}: the first alone is played", stream.program);
                skipped.push(SkippedTrack { place, codec: None, reason });
                continue;
            }
            if stream.undecodable > 0 {
                shared.warnings.push(format!(
                    "PID {}: {} pictures before the first where decoding can start, left out",
                    stream.pid, stream.undecodable
                ));
            }
            let table = stream.builder.finish();
            if table.table.count() == 0 {
                let reason = "it has no samples".to_owned();
                skipped.push(SkippedTrack { place, codec: None, reason });
                continue;
            }
            let place = PacketPlace {
                pid: stream.pid,
                grid,
                skips: table.skips,
                adts: stream.coding == Coding::Adts,
                media_bytes: stream.media_bytes,
            };
            let index = TrackIndex {
                table: table.table,
                line: LINE,
                length_bytes: 0,
                layout: Layout::Packets(place),
            };
            built.push((codec, index));
        }
        built.sort_by_key(|(codec, _)| codec.kind() == Kind::Audio);
        let mut lines: Vec<_> =
            built.iter_mut().map(|(_, index)| (&index.table, &mut index.line)).collect();
        origin(&mut lines);
        let tracks = built.into_iter().enumerate().map(|(number, (codec, index))| {
            let clock_rate_hz = match &codec {
                Codec::Aac(config) => config.sample_rate_hz,
                _ => CLOCK_HZ,
            };
            (Track { id: TrackId(number as u8), codec, clock_rate_hz }, index)
        });
        Movie::new(Format::Ts, tracks.collect(), skipped, shared.warnings)
    }
}

const LINE: TimeLine =
    TimeLine { rate_hz: CLOCK_HZ, media_time: 0, delay: MediaTime::ZERO, lead: 0 };
/// A PID has 13 bits.
const PIDS: usize = 1 << 13;
const PROGRAMS_MAX: usize = 64;
const STREAMS_MAX: usize = 64;
/// Sync bytes in a row that tell where packets go on.
const RESYNC_PACKETS: usize = 3;
const LOSSES_SAID_MAX: u64 = 4;
