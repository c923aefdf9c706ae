//! How ticks become times.

use super::table::SampleTable;
use crate::MediaTime;

/// How a track's ticks become times on the time line of the presentation, which starts at 0; in
/// MP4 by the edit list (ISO/IEC 14496-12 section 8.6.6).
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLine {
    pub(crate) rate_hz: u32,
    /// The tick that the presentation starts with.
    pub(crate) media_time: i64,
    /// How long nothing is shown before.
    pub(crate) delay: MediaTime,
    /// How many ticks samples are decoded earlier than the file says, so that none is shown
    /// before it is decoded (negative composition offsets).
    pub(crate) lead: i64,
}

impl TimeLine {
    pub(crate) fn dts(&self, dts: i64) -> MediaTime {
        self.time(dts.saturating_sub(self.lead))
    }

    pub(crate) fn pts(&self, dts: i64, shift: i32) -> MediaTime {
        self.time(dts.saturating_add(i64::from(shift)))
    }

    pub(crate) fn span(&self, ticks: u32) -> MediaTime {
        MediaTime::from_ticks(i64::from(ticks), self.rate_hz)
    }

    /// When the sample that is shown last ends. It is among the last in decoding order: no
    /// picture is shown after more than 16 that follow it.
    pub(crate) fn end(&self, table: &SampleTable) -> MediaTime {
        let last = table.cursor(table.count().saturating_sub(32), u32::MAX);
        let ends = last.map(|sample| self.pts(sample.dts, sample.shift) + self.span(sample.delta));
        ends.max().unwrap_or_default()
    }

    fn time(&self, ticks: i64) -> MediaTime {
        MediaTime::from_ticks(ticks.saturating_sub(self.media_time), self.rate_hz) + self.delay
    }
}
