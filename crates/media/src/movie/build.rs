//! Sample tables of formats that bear a time with each sample, and no table.

use super::table::{Numbers, RawSample};
use super::{SampleTable, TimeLine, Warnings};
use crate::MediaTime;

/// One sample as it was found in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    /// Where the bytes that hold it start in the file, and how many there are.
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) dts: i64,
    pub(crate) pts: i64,
    pub(crate) key: bool,
    /// How long it lasts, if that is known.
    pub(crate) duration: Option<u32>,
    /// How many bytes of what those bytes hold stand before it; see [`super::Layout::Packets`].
    pub(crate) skip: u32,
}

/// Makes a table of samples that come one by one, in the order of decoding.
#[derive(Debug, Default)]
pub(crate) struct TrackBuilder {
    table: SampleTable,
    skips: Numbers,
    /// The last one: how long it lasts is known once the next one comes.
    pending: Option<Unit>,
    delta: u32,
    time: TrackTime,
}

/// Where a track is in its times.
#[derive(Clone, Copy, Debug, Default)]
struct TrackTime {
    correction: i64,
    last: Option<i64>,
}

/// What was built.
pub(crate) struct Built {
    pub(crate) table: SampleTable,
    /// What stands before each sample.
    pub(crate) skips: Numbers,
}

/// Carries times over the places where a file's clock jumps: files that were strung together,
/// servers that began anew, recordings with holes. All tracks of a file share one.
#[derive(Debug)]
pub(crate) struct Jumps {
    rate_hz: u32,
    /// What is added to the times of the file since the last jump.
    correction: i64,
    count: u64,
}

impl Jumps {
    pub(crate) fn new(rate_hz: u32) -> Self {
        Jumps { rate_hz, correction: 0, count: 0 }
    }

    /// What is to be added to a time of a track, so that it goes on from `time`.
    fn place(
        &mut self,
        time: &mut TrackTime,
        dts: i64,
        delta: u32,
        at: u64,
        warnings: &mut Warnings,
    ) {
        let Some(last) = time.last else {
            time.correction = self.correction;
            return;
        };
        let rate_hz = i64::from(self.rate_hz);
        let window = last.saturating_sub(rate_hz / BACK_MAX_PART)
            ..=last.saturating_add(rate_hz * AHEAD_MAX_S);
        if window.contains(&dts.saturating_add(time.correction)) {
            return;
        }
        // Another track may have jumped before: then this one goes with it.
        if !window.contains(&dts.saturating_add(self.correction)) {
            self.correction = last.saturating_add(delta.into()).saturating_sub(dts);
            self.count += 1;
            if self.count <= JUMPS_SAID_MAX {
                let seconds = (dts.saturating_add(time.correction).saturating_sub(last)) as f64
                    / f64::from(self.rate_hz);
                warnings.push(format!(
                    "byte {at}: the times of the file jump by {seconds:.3} s; it is played on \
                     without the jump"
                ));
            }
        }
        time.correction = self.correction;
    }
}

impl TrackBuilder {
    /// Adds a sample; its times are moved over jumps and never step back.
    pub(crate) fn push(&mut self, unit: Unit, jumps: &mut Jumps, warnings: &mut Warnings) {
        jumps.place(&mut self.time, unit.dts, self.delta, unit.offset, warnings);
        let mut unit = unit;
        let correction = self.time.correction;
        unit.pts = unit.pts.saturating_add(correction);
        unit.dts = unit.dts.saturating_add(correction);
        let shift_max = i64::from(jumps.rate_hz) * SHIFT_MAX_S;
        if unit.pts.saturating_sub(unit.dts).saturating_abs() > shift_max {
            warnings.push(format!(
                "byte {}: presentation {:.3} s from decoding; the time of decoding is used for both",
                unit.offset,
                (unit.pts - unit.dts) as f64 / f64::from(jumps.rate_hz)
            ));
            unit.pts = unit.dts;
        }
        unit.dts = self.time.last.map_or(unit.dts, |last| unit.dts.max(last));
        self.time.last = Some(unit.dts);
        if let Some(pending) = self.pending.replace(unit) {
            let delta = unit.dts.saturating_sub(pending.dts);
            self.append(pending, delta.clamp(0, i64::from(i32::MAX)) as u32);
        }
    }

    fn append(&mut self, unit: Unit, delta: u32) {
        self.delta = delta;
        let index = self.table.count();
        if index == u32::MAX {
            return;
        }
        let shift = unit.pts.saturating_sub(unit.dts);
        self.table.append(&RawSample {
            index,
            offset: unit.offset,
            bytes: unit.bytes,
            dts: unit.dts,
            shift: shift.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32,
            delta,
            key: unit.key,
        });
        if self.skips.len() > 0 || unit.skip > 0 {
            while self.skips.len() < index as usize {
                self.skips.push(0);
            }
            self.skips.push(unit.skip.into());
        }
    }

    /// Makes the last sample go on up to `end` in the file; whether it may have so many bytes.
    pub(crate) fn extend(&mut self, end: u64, bytes_max: u64) -> bool {
        let Some(pending) = &mut self.pending else { return false };
        let bytes = end.saturating_sub(pending.offset);
        let fits = bytes <= bytes_max.min(u32::MAX.into());
        if fits {
            pending.bytes = pending.bytes.max(bytes as u32);
        }
        fits
    }

    /// The table; no more samples come.
    pub(crate) fn finish(mut self) -> Built {
        if let Some(last) = self.pending.take() {
            self.append(last, last.duration.unwrap_or(self.delta));
        }
        self.table.shrink();
        self.skips.shrink();
        Built { table: self.table, skips: self.skips }
    }
}

/// The time lines of tables in ticks of `rate_hz`: the first that is shown or heard, of all of
/// them, is at 0.
pub(crate) fn origin(tables: &mut [(&SampleTable, &mut TimeLine)]) {
    let first = |table: &SampleTable| {
        let first = table.cursor(0, REORDER_MAX);
        first.map(|sample| sample.dts.saturating_add(sample.shift.into())).min()
    };
    let origin = tables.iter().filter_map(|(table, _)| first(table)).min().unwrap_or(0);
    for (table, line) in tables {
        let lowest = table.shifts.iter().map(|run| run.shift).min().unwrap_or(0);
        line.lead = -i64::from(lowest.min(0));
        line.media_time = origin;
        line.delay = MediaTime::ZERO;
    }
}

/// Pictures that may be decoded before the one that is shown first.
const REORDER_MAX: u32 = 32;
/// Times that step back less than this part of a second are not a jump: they are held.
const BACK_MAX_PART: i64 = 10;
/// Times that step ahead more than this are a jump.
const AHEAD_MAX_S: i64 = 10;
/// Pictures are not shown later after their decoding than this.
const SHIFT_MAX_S: i64 = 10;
const JUMPS_SAID_MAX: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn built(times: &[(usize, i64)]) -> (Vec<Vec<i64>>, Vec<String>) {
        let mut builders = [TrackBuilder::default(), TrackBuilder::default()];
        let (mut jumps, mut warnings) = (Jumps::new(1000), Warnings::default());
        for (track, dts) in times {
            let unit = Unit {
                offset: 7,
                bytes: 1,
                dts: *dts,
                pts: *dts,
                key: true,
                duration: None,
                skip: 0,
            };
            builders[*track].push(unit, &mut jumps, &mut warnings);
        }
        let times = builders.map(|builder| {
            let table = builder.finish().table;
            (0..table.count()).map(|index| table.dts(index)).collect()
        });
        (times.to_vec(), warnings.0)
    }

    #[test]
    fn a_jump_back_is_played_over_by_all_tracks_alike() {
        let times = [(0, 5000), (1, 5000), (0, 5040), (1, 5020), (0, 100), (1, 5040), (1, 100)];
        let (times, warnings) = built(&times);
        assert_eq!(times, [vec![5000, 5040, 5080], vec![5000, 5020, 5040, 5080]]);
        let expected = "byte 7: the times of the file jump by -4.940 s; it is played on without \
                        the jump";
        assert_eq!(warnings, [expected]);
    }

    #[test]
    fn small_steps_back_are_held_and_gaps_of_some_seconds_stay() {
        let (times, warnings) = built(&[(0, 0), (0, 40), (0, 30), (0, 5000), (0, 5040)]);
        assert_eq!(times[0], [0, 40, 40, 5000, 5040]);
        assert!(warnings.is_empty());
    }
}
