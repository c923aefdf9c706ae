//! The sizes and times of a movie's frames, and of the packets that RTP would make of them.
//!
//! A trace is a CSV of `time_ns,track,bytes,parameter_sets_bytes` lines: when a frame is due, its
//! track (`video` or `audio`), its size in the file, and the size of the packet of parameter sets
//! that goes before it (0 for none).

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;

/// What becomes of the trace's sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sound {
    /// Sound that is due waits for the next picture, 20 ms at most, and goes in the same write.
    Ride,
    /// Each sound frame goes in a write of its own at its own time.
    Own,
    /// No sound is sent.
    None,
}

/// What goes to each viewer in one write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// When it is due, from the start of the loop.
    pub(crate) due: Duration,
    /// Packets of the picture, none for sound alone.
    pub(crate) picture: Vec<Packets>,
    /// Packets of the sound that goes with it, none for a picture alone.
    pub(crate) sound: Vec<Packets>,
}

impl Batch {
    /// Bytes in all as one write over TCP, where each packet stands behind four bytes of framing
    /// (RFC 2326 section 10.12).
    pub(crate) fn interleaved_bytes(&self) -> usize {
        let packets = self.picture.iter().chain(&self.sound);
        packets.map(|run| run.bytes + INTERLEAVED_BYTES * run.count()).sum()
    }

    /// Packets in all.
    pub(crate) fn packets(&self) -> usize {
        self.picture.iter().chain(&self.sound).map(Packets::count).sum()
    }

    /// Bytes of all packets without framing.
    pub(crate) fn bytes(&self) -> usize {
        self.picture.iter().chain(&self.sound).map(|run| run.bytes).sum()
    }
}

/// A run of packets of one size, the last of which may be smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packets {
    /// Bytes of all of them, RTP headers included.
    pub(crate) bytes: usize,
    /// Bytes of each but the last.
    pub(crate) packet_bytes: usize,
}

impl Packets {
    fn one(bytes: usize) -> Packets {
        Packets { bytes, packet_bytes: bytes }
    }

    fn count(&self) -> usize {
        self.bytes.div_ceil(self.packet_bytes)
    }
}

/// One pass over the movie, in order of time.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) batches: Vec<Batch>,
    /// How long one pass takes: after it the trace begins again.
    pub(crate) period: Duration,
}

impl Trace {
    /// Reads a trace whose pass takes as long as its last picture's time and one picture more.
    ///
    /// A first line of names is passed over. An error names the line.
    pub(crate) fn read(path: &Path, sound: Sound) -> anyhow::Result<Trace> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the trace {}", path.display()))?;
        Trace::parse(&text, sound).with_context(|| path.display().to_string())
    }

    fn parse(text: &str, sound: Sound) -> anyhow::Result<Trace> {
        let mut pictures = Vec::new();
        let mut sounds = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with("time_ns") {
                continue;
            }
            let frame = parse_line(line).with_context(|| format!("line {}", index + 1))?;
            match frame.track {
                Track::Picture => pictures.push(frame),
                Track::Sound => sounds.push(frame),
            }
        }
        pictures.sort_by_key(|frame| frame.due);
        sounds.sort_by_key(|frame| frame.due);
        let (Some(first), Some(last)) = (pictures.first(), pictures.last()) else {
            bail!("the trace holds no picture");
        };
        if pictures.len() < 2 {
            bail!("the trace holds one picture: two are needed to know their rate");
        }
        let interval = (last.due - first.due) / (pictures.len() as u32 - 1);
        let mut trace = Trace {
            period: last.due + interval,
            batches: pictures
                .iter()
                .map(|frame| Batch {
                    due: frame.due,
                    picture: picture_packets(frame),
                    sound: Vec::new(),
                })
                .collect(),
        };
        if sound != Sound::None {
            trace.add_sounds(&sounds, sound);
        }
        Ok(trace)
    }

    fn add_sounds(&mut self, sounds: &[Frame], sound: Sound) {
        let mut alone: Vec<Batch> = Vec::new();
        for frame in sounds.iter().filter(|frame| frame.due < self.period) {
            let next = self.batches.partition_point(|picture| picture.due < frame.due);
            let after = self.batches.partition_point(|picture| picture.due <= frame.due);
            if let Some(picture) = after.checked_sub(1).and_then(|at| self.batches.get_mut(at))
                && sound == Sound::Ride
                && frame.due - picture.due <= SOUND_AHEAD_MAX
            {
                picture.sound.push(sound_packet(frame));
                continue;
            }
            let wait_max = match sound {
                Sound::Ride => SOUND_WAIT_MAX,
                Sound::Own | Sound::None => Duration::ZERO,
            };
            let due = frame.due + wait_max;
            match self.batches.get_mut(next) {
                Some(picture) if sound == Sound::Ride && picture.due <= due => {
                    picture.sound.push(sound_packet(frame));
                }
                _ => match alone.last_mut() {
                    Some(last) if last.due >= frame.due => {
                        last.sound.push(sound_packet(frame));
                    }
                    _ => alone.push(Batch {
                        due,
                        picture: Vec::new(),
                        sound: vec![sound_packet(frame)],
                    }),
                },
            }
        }
        self.batches.append(&mut alone);
        self.batches.sort_by_key(|batch| batch.due);
    }
}

/// The access unit as RFC 6184 carries it: one NAL unit in one packet, or in FU-A fragments that are
/// equal but for the last.
fn picture_packets(frame: &Frame) -> Vec<Packets> {
    let mut runs = Vec::new();
    if frame.parameter_sets_bytes > 0 {
        runs.push(Packets::one(RTP_BYTES + frame.parameter_sets_bytes));
    }
    let nal_bytes = frame.bytes.saturating_sub(NAL_LENGTH_BYTES).max(2);
    if nal_bytes <= PAYLOAD_BYTES_MAX {
        runs.push(Packets::one(RTP_BYTES + nal_bytes));
    } else {
        let body_bytes = nal_bytes - NAL_HEADER_BYTES;
        let count = body_bytes.div_ceil(PAYLOAD_BYTES_MAX - FU_A_BYTES);
        let headers_bytes = RTP_BYTES + FU_A_BYTES;
        runs.push(Packets {
            bytes: body_bytes + count * headers_bytes,
            packet_bytes: body_bytes.div_ceil(count) + headers_bytes,
        });
    }
    runs
}

/// One AAC access unit in a packet with one AU header (RFC 3640 section 3.3.6).
fn sound_packet(frame: &Frame) -> Packets {
    Packets::one(RTP_BYTES + AU_HEADER_BYTES + frame.bytes)
}

const INTERLEAVED_BYTES: usize = 4;
const RTP_BYTES: usize = 12;
/// The largest RTP packet is 1,400 bytes.
const PAYLOAD_BYTES_MAX: usize = 1_400 - RTP_BYTES;
const FU_A_BYTES: usize = 2;
const NAL_HEADER_BYTES: usize = 1;
/// In a file each NAL unit stands behind its length.
const NAL_LENGTH_BYTES: usize = 4;
const AU_HEADER_BYTES: usize = 4;

/// How soon behind a picture sound is due that rides with it, ahead of its time.
const SOUND_AHEAD_MAX: Duration = Duration::from_millis(14);
/// How long sound waits for a picture to ride with.
const SOUND_WAIT_MAX: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Track {
    Picture,
    Sound,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    due: Duration,
    track: Track,
    bytes: usize,
    parameter_sets_bytes: usize,
}

fn parse_line(line: &str) -> anyhow::Result<Frame> {
    let fields: Vec<&str> = line.trim().split(',').collect();
    let &[time, track, bytes, parameter_sets] = fields.as_slice() else {
        bail!("expected `time_ns,track,bytes,parameter_sets_bytes`, found {line:?}");
    };
    let number = |text: &str| {
        text.parse::<u64>().with_context(|| format!("expected a number, found {text:?}"))
    };
    let track = match track {
        "video" => Track::Picture,
        "audio" => Track::Sound,
        _ => bail!("expected the track `video` or `audio`, found {track:?}"),
    };
    Ok(Frame {
        due: Duration::from_nanos(number(time)?),
        track,
        bytes: number(bytes)? as usize,
        parameter_sets_bytes: number(parameter_sets)? as usize,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "time_ns,track,bytes,parameter_sets_bytes
0,video,5000,33
0,audio,300,0
21000000,audio,310,0
33000000,video,1000,0
42000000,audio,320,0
66000000,video,900,0
";

    fn milliseconds(trace: &Trace) -> Vec<(u128, usize, usize)> {
        let bytes = |runs: &[Packets]| runs.iter().map(|run| run.bytes).sum();
        let row =
            |batch: &Batch| (batch.due.as_millis(), bytes(&batch.picture), bytes(&batch.sound));
        trace.batches.iter().map(row).collect()
    }

    #[test]
    fn sound_rides_with_the_picture_just_before_it_or_the_next_one() {
        let trace = Trace::parse(TRACE, Sound::Ride).unwrap();
        let expected = [(0, 5096, 316), (33, 1008, 662), (66, 908, 0)];
        assert_eq!(milliseconds(&trace), expected);
        assert_eq!(trace.period, Duration::from_millis(99));
    }

    #[test]
    fn a_picture_goes_in_equal_fragments_behind_its_parameter_sets() {
        let trace = Trace::parse(TRACE, Sound::None).unwrap();
        let first = trace.batches.first().unwrap();
        // 4,995 bytes behind the NAL header, in four fragments with 14 bytes of headers each.
        let fragments = Packets { bytes: 4_995 + 4 * 14, packet_bytes: 1_249 + 14 };
        assert_eq!(first.picture, [Packets::one(45), fragments]);
        assert_eq!((first.packets(), first.bytes()), (5, 5096));
        assert_eq!(first.interleaved_bytes(), 5096 + 5 * 4);
    }

    #[test]
    fn sound_of_its_own_goes_at_its_own_time() {
        let trace = Trace::parse(TRACE, Sound::Own).unwrap();
        let alone = trace.batches.iter().filter(|batch| batch.picture.is_empty());
        let dues: Vec<_> = alone.map(|batch| batch.due.as_millis()).collect();
        assert_eq!(dues, [0, 21, 42]);
    }

    #[test]
    fn sound_that_is_left_out_is_not_sent() {
        let trace = Trace::parse(TRACE, Sound::None).unwrap();
        assert!(trace.batches.iter().all(|batch| batch.sound.is_empty()));
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = Trace::parse("0,video,1,0\n5,teletext,9,0\n", Sound::Ride).unwrap_err();
        assert_eq!(error.to_string(), "line 2");
    }
}
