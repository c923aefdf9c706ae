//! AAC with ADTS headers in PES packets: several frames in each, or one over two.

use super::stream::{CLOCK_HZ, Shared, UnderWay};
use crate::aac::AdtsHeader;
use crate::movie::Unit;
use crate::{Codec, Error, aac};

/// Where a stream of ADTS frames is.
#[derive(Debug, Default)]
pub(super) struct Sound {
    /// The start of a frame that goes on in the next PES packet.
    carried: Option<Carried>,
    /// The time of a frame, and how many came since.
    base: Option<(i64, u32)>,
    config: Option<aac::Config>,
}

#[derive(Debug)]
struct Carried {
    data: Vec<u8>,
    start: u64,
    skip: usize,
    /// The time of the PES packet that it started in, if it was the first there.
    time: Option<i64>,
}

impl Sound {
    pub(super) fn give_up(&mut self) {
        self.carried = None;
    }

    /// Finds the frames that end in a PES packet; returns how many bytes they have. An error if
    /// the stream is of a kind that is not carried.
    pub(super) fn push(
        &mut self,
        under_way: &UnderWay,
        codec: &mut Option<Codec>,
        shared: &mut Shared,
        mut found: impl FnMut(Unit, &mut Shared),
    ) -> Result<u64, Error> {
        let carried = self.carried.take();
        let carried_bytes = carried.as_ref().map_or(0, |carried| carried.data.len());
        let joined;
        let data = match &carried {
            Some(carried) => {
                joined = [&carried.data[..], &under_way.data].concat();
                &joined[..]
            }
            None => &under_way.data[..],
        };
        let mut time = under_way.times.pts.map(|pts| shared.unwrap_time(pts));
        let (mut at, mut bytes) = (0, 0);
        while at < data.len() {
            let rest = data.get(at..).unwrap_or(&[]);
            let is_carried = at < carried_bytes;
            let (start, skip) = match &carried {
                Some(carried) if is_carried => (carried.start, carried.skip + at),
                _ => (under_way.start, at - carried_bytes),
            };
            let header = match AdtsHeader::read(rest) {
                Ok(header) if header.frame_bytes <= rest.len() => header,
                Err(error @ Error::Unsupported { .. }) if self.config.is_none() => {
                    return Err(error);
                }
                Ok(_) | Err(_) if may_start(rest) && (!is_carried || at == 0) => {
                    let time = match &carried {
                        Some(carried) if is_carried => carried.time,
                        _ => time,
                    };
                    self.carried = Some(Carried { data: rest.to_vec(), start, skip, time });
                    break;
                }
                Ok(_) | Err(_) => {
                    shared.warnings.push(format!(
                        "byte {start}: no ADTS frame where one should start; it is looked for \
                         further on"
                    ));
                    at += 1 + next_sync(rest.get(1..).unwrap_or(&[]));
                    continue;
                }
            };
            // The time of a PES packet is that of the first frame that starts in it.
            let time = match &carried {
                Some(carried) if is_carried => carried.time.filter(|_| at == 0),
                _ => time.take(),
            };
            if let Some(time) = time {
                self.base = Some((time, 0));
            }
            self.configure(&header.config, codec, start, shared);
            if let (Some((base, count)), Some(config)) = (&mut self.base, &self.config) {
                let ticks = |frames: u32| {
                    let samples = u64::from(frames) * u64::from(config.frame_samples);
                    (samples * u64::from(CLOCK_HZ) / u64::from(config.sample_rate_hz.max(1))) as i64
                };
                let pts = base.saturating_add(ticks(*count));
                let duration = Some(ticks(1) as u32);
                *count = count.saturating_add(1);
                let extent = (under_way.end - start) as u32;
                let skip = skip as u32;
                let unit =
                    Unit { offset: start, bytes: extent, dts: pts, pts, key: true, duration, skip };
                found(unit, shared);
                bytes += (header.frame_bytes - header.header_bytes) as u64;
            }
            at += header.frame_bytes;
        }
        Ok(bytes)
    }

    fn configure(
        &mut self,
        config: &aac::Config,
        codec: &mut Option<Codec>,
        at: u64,
        shared: &mut Shared,
    ) {
        match &self.config {
            None => {
                self.config = Some(config.clone());
                *codec = Some(Codec::Aac(config.clone()));
            }
            Some(known) if known != config => shared.warnings.push(format!(
                "byte {at}: the sound changes to {} Hz and {} channels, which is not followed",
                config.sample_rate_hz, config.channels
            )),
            Some(_) => {}
        }
    }
}

/// Whether a frame may start so that ends later.
fn may_start(data: &[u8]) -> bool {
    data.len() < FRAME_BYTES_MAX
        && data.first() == Some(&0xff)
        && data.get(1).is_none_or(|second| second & 0xf6 == 0xf0)
}

/// Bytes before the next sync word.
fn next_sync(data: &[u8]) -> usize {
    let found = data.windows(2).position(|two| two[0] == 0xff && two[1] & 0xf6 == 0xf0);
    found.unwrap_or(data.len())
}

/// aac_frame_length has 13 bits.
const FRAME_BYTES_MAX: usize = 1 << 13;
