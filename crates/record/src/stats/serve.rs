//! Whom a server served.

use std::collections::BTreeMap;

use serde::Serialize;
use weir_time::Instant;

use crate::event::{ReceiverReport, ViewerJoined, ViewerLeft};
use crate::{Event, Record, Text};

/// Who watched what, from the records of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServeSummary {
    /// From the first record to the last.
    pub lasted_ns: Option<u64>,
    /// The viewers, in the order in which they came; the first 10,000.
    pub viewers: Vec<ViewerSummary>,
    /// Viewers that are left out of the list.
    pub viewers_left_out: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Warnings recorded.
    pub warnings: u64,
    /// Errors recorded.
    pub errors: u64,
    /// Records that are missing, because they came faster than they could be written.
    pub records_dropped: u64,
}

/// What one viewer was served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ViewerSummary {
    /// The viewer's number.
    pub viewer: u64,
    /// The stream's name.
    pub stream: Text,
    /// The viewer's address and port.
    pub peer: Text,
    /// How the media travelled.
    pub transport: Text,
    /// What the viewer says it is.
    pub user_agent: Option<Text>,
    /// Why it left; `None` while it is there, and where the records stop before.
    pub reason: Option<Text>,
    /// From joining to leaving.
    pub lasted_ns: Option<u64>,
    /// Packets or messages sent to it.
    pub packets: Option<u64>,
    /// Payload bytes sent to it.
    pub octets: Option<u64>,
    /// Times that it was moved on because it was too slow.
    pub skips: u64,
    /// Packets lost by its own last reports, all tracks together; negative where duplicates
    /// outnumber losses.
    pub reported_lost: Option<i64>,
    /// The last round trip that its reports tell of.
    pub round_trip_ns: Option<u64>,
}

/// Makes a [`ServeSummary`], record by record.
#[derive(Clone, Debug, Default)]
pub struct ServeSummaryBuilder {
    span: Option<(Instant, Instant)>,
    viewers: BTreeMap<u64, Viewer>,
    so_far: ServeSummary,
}

#[derive(Clone, Debug, Default)]
struct Viewer {
    summary: ViewerSummary,
    lost_by_track: BTreeMap<u8, i32>,
}

impl ServeSummary {
    /// The summary of `records`.
    pub fn from_records<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut builder = ServeSummaryBuilder::default();
        records.into_iter().for_each(|record| builder.push(record));
        builder.finish()
    }
}

impl ServeSummaryBuilder {
    /// Takes in one record. Those of other roles than the server are passed over.
    pub fn push(&mut self, record: &Record) {
        let (first, last) = self.span.unwrap_or((record.at, record.at));
        self.span = Some((first.min(record.at), last.max(record.at)));
        match &record.event {
            Event::ViewerJoined(event) => self.joined(event),
            Event::ViewerSkipped(event) => {
                if let Some(viewer) = self.viewers.get_mut(&event.viewer) {
                    viewer.summary.skips += 1;
                }
            }
            Event::ReceiverReport(event) => self.reported(event),
            Event::ViewerLeft(event) => self.left(event),
            Event::Refused(_) => self.so_far.refused += 1,
            Event::Warning(_) => self.so_far.warnings += 1,
            Event::Failure(_) => self.so_far.errors += 1,
            Event::RecordsDropped(event) => {
                self.so_far.records_dropped = [event.events, event.seconds, event.packets]
                    .into_iter()
                    .fold(self.so_far.records_dropped, u64::saturating_add);
            }
            _ => {}
        }
    }

    /// The summary of what was taken in so far.
    pub fn finish(&self) -> ServeSummary {
        let lasted = |(first, last): (Instant, Instant)| last.as_nanos() - first.as_nanos();
        ServeSummary {
            lasted_ns: self.span.map(lasted),
            viewers: self.viewers.values().map(|viewer| viewer.summary.clone()).collect(),
            ..self.so_far.clone()
        }
    }

    fn joined(&mut self, event: &ViewerJoined) {
        if self.viewers.len() >= VIEWERS_MAX {
            self.so_far.viewers_left_out += 1;
            return;
        }
        let summary = ViewerSummary {
            viewer: event.viewer,
            stream: event.stream.clone(),
            peer: event.peer.clone(),
            transport: event.transport.clone(),
            user_agent: event.user_agent.clone(),
            ..ViewerSummary::default()
        };
        self.viewers.insert(event.viewer, Viewer { summary, ..Viewer::default() });
    }

    fn reported(&mut self, event: &ReceiverReport) {
        let Some(viewer) = self.viewers.get_mut(&event.viewer) else { return };
        viewer.lost_by_track.insert(event.track, event.cumulative_lost);
        let lost = viewer.lost_by_track.values().map(|&lost| i64::from(lost)).sum();
        viewer.summary.reported_lost = Some(lost);
        let round_trip = event.round_trip_ns.or(viewer.summary.round_trip_ns);
        viewer.summary.round_trip_ns = round_trip;
    }

    fn left(&mut self, event: &ViewerLeft) {
        let Some(viewer) = self.viewers.get_mut(&event.viewer) else { return };
        viewer.summary.reason = Some(event.reason.clone());
        viewer.summary.lasted_ns = Some(event.lasted_ns);
        viewer.summary.packets = Some(event.packets);
        viewer.summary.octets = Some(event.octets);
    }
}

/// Viewers that are listed one by one.
const VIEWERS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64, event: impl Into<Event>) -> Record {
        Record { at: Instant::from_nanos(ms * 1_000_000), event: event.into() }
    }

    fn report(track: u8, lost: i32, round_trip_ns: Option<u64>) -> ReceiverReport {
        ReceiverReport {
            viewer: 7,
            track,
            fraction_lost: 0,
            cumulative_lost: lost,
            highest_seq: 9,
            jitter_ns: 1,
            round_trip_ns,
        }
    }

    #[test]
    fn a_viewer_is_summed_up_from_what_it_was_sent_and_what_it_reported() {
        let joined = ViewerJoined {
            viewer: 7,
            stream: "movie".into(),
            peer: "127.0.0.1:5".into(),
            transport: "rtsp/udp".into(),
            user_agent: None,
        };
        let left = ViewerLeft {
            viewer: 7,
            reason: "teardown".into(),
            packets: 40,
            octets: 4000,
            lasted_ns: 5,
            oversize: None,
            images_dropped: None,
        };
        let summary = ServeSummary::from_records(&[
            at(1, joined),
            at(2, report(0, 3, Some(900))),
            at(3, report(1, 1, None)),
            at(4, report(0, 4, None)),
            at(9, left),
        ]);
        assert_eq!(summary.lasted_ns, Some(8_000_000));
        let viewer = &summary.viewers[0];
        assert_eq!((viewer.reported_lost, viewer.round_trip_ns), (Some(5), Some(900)));
        assert_eq!((viewer.packets, viewer.lasted_ns), (Some(40), Some(5)));
        assert_eq!(viewer.reason, Some("teardown".into()));
    }

    #[test]
    fn a_viewer_that_is_still_there_has_no_end() {
        let mut builder = ServeSummaryBuilder::default();
        builder.push(&at(2, report(0, 3, None)));
        assert_eq!(builder.finish().viewers, []);
    }
}
