//! The ruler over RTP: frames get their place on a time line that all tracks share.

use std::collections::VecDeque;
use std::time::Duration;

use weir_media::{Codec, Frame, MediaTime, Track, TrackId};
use weir_net::Host;
use weir_record::Sink;
use weir_record::event::LatencyBasis;
use weir_time::Instant;

use super::Ruler;
use crate::measure::{Measure, Taken};

/// Gives a ruler what came by RTP. Latencies go up to arrival.
pub(crate) struct ByRtp {
    ruler: Ruler,
    /// Frames of tracks whose place is not known yet.
    held: VecDeque<Taken>,
    /// What each track is known to be.
    codecs: Vec<(u8, Codec)>,
    second_from: Instant,
}

/// Beyond it the place is not waited for: the first sender report comes with the first packets.
const HELD_MAX: usize = 256;

impl ByRtp {
    pub(crate) fn new(host: &Host, records: &Sink) -> Self {
        ByRtp {
            ruler: Ruler::new(host, records, LatencyBasis::Arrived),
            held: VecDeque::new(),
            codecs: Vec::new(),
            second_from: host.now(),
        }
    }

    /// A frame has come.
    pub(crate) fn take(&mut self, taken: &Taken, measure: &Measure) {
        self.held.push_back(taken.clone());
        if self.held.len() > HELD_MAX {
            self.held.pop_front();
        }
        while let Some(next) = self.held.front() {
            let Some(pts) = place(next, measure) else { return };
            let Some(next) = self.held.pop_front() else { return };
            self.give(&next, pts, measure);
        }
    }

    /// Writes down the second that is over.
    pub(crate) fn second(&mut self, now: Instant) {
        let span: Duration = now.since(std::mem::replace(&mut self.second_from, now));
        self.ruler.second(now, span);
    }

    /// Waits until all is decoded.
    pub(crate) async fn finish(self) {
        self.ruler.finish().await;
    }

    fn give(&mut self, taken: &Taken, pts: MediaTime, measure: &Measure) {
        let number = taken.track;
        let Some(codec) = measure.codec(number) else { return };
        let kind = codec.kind();
        let known = self.codecs.iter().position(|(track, _)| *track == number);
        if known.is_none_or(|at| self.codecs.get(at).is_none_or(|(_, known)| *known != codec)) {
            let clock_rate_hz = measure.clock_rate_hz(number).unwrap_or(90_000);
            let track = Track { id: TrackId(number), codec: codec.clone(), clock_rate_hz };
            self.ruler.track(usize::from(number), &track);
            self.codecs.retain(|(track, _)| *track != number);
            self.codecs.push((number, codec));
        }
        let frame = Frame {
            track: TrackId(number),
            pts,
            dts: None,
            duration: None,
            key: taken.unit.key,
            capture: None,
            arrival: taken.unit.arrival,
            discontinuity: false,
            payload: taken.unit.payload.clone(),
        };
        self.ruler.frame(usize::from(number), kind, &frame);
        if kind == weir_media::Kind::Video {
            self.ruler.shown(pts, taken.unit.arrival);
        }
    }
}

/// Movies have a time line of their own; live streams have that of their sender's clock.
fn place(taken: &Taken, measure: &Measure) -> Option<MediaTime> {
    let (track, ticks) = (taken.track, taken.unit.rtp_ticks);
    match measure.range_end() {
        Some(_) => measure.pts(track, ticks),
        None => measure.sender_time(track, ticks),
    }
}
