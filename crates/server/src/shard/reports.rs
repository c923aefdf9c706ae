//! RTCP: reports to viewers and from them.

use bytes::{BufMut, Bytes, BytesMut};
use weir_media::MediaTime;
use weir_proto::rtcp::{self, Goodbye, NtpTime, Packet, ReportBlock, SourceDescription};
use weir_record::event;
use weir_time::{Instant, Utc};

use super::Shard;
use super::viewer::{Phase, Target, TrackOut, Viewer, Way};
use crate::ring::StreamClock;

/// A report block of a viewer, told which viewer and track it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromViewer {
    pub(crate) viewer: u64,
    pub(crate) track: u8,
    pub(crate) clock_rate_hz: u32,
    pub(crate) block: ReportBlock,
}

impl Shard {
    /// Sends a sender report for each track of a viewer; the last one with a good-bye.
    pub(super) fn send_report(&self, id: usize, last: bool) {
        self.send_reports(id, None, last);
    }

    /// Sends a sender report for one track of a viewer, or for each.
    pub(super) fn send_reports(&self, id: usize, only: Option<u8>, last: bool) {
        let (now, utc) = (self.host.now(), self.host.utc());
        let mut state = self.state.borrow_mut();
        let Some(viewer) = state.viewers.get(id) else {
            return;
        };
        let reports: Vec<(Target, Bytes)> = viewer
            .tracks
            .iter()
            .enumerate()
            .filter(|(index, _)| only.is_none_or(|only| usize::from(only) == *index))
            .filter_map(|(_, track)| track.as_ref())
            .filter_map(|track| Some((track.rtcp, report(viewer, track, now, utc, last)?)))
            .collect();
        let way = viewer.way;
        for (target, report) in reports {
            match (way, target) {
                (Way::Tcp { outlet }, Target::Channel(channel)) => {
                    if let Some(outlet) = state.outlets.get_mut(outlet) {
                        // A peer that reads nothing misses its reports as well.
                        let _ = outlet.push(interleaved(channel, &report));
                    }
                }
                (Way::Udp, Target::Address(to)) => {
                    if let Some(udp) = &self.udp {
                        // Lost by a full system queue as it might be by the network.
                        let _ = udp.rtcp.try_send(&report, to);
                    }
                }
                _ => {}
            }
        }
        if let (Way::Tcp { outlet }, true) = (way, last)
            && let Some(outlet) = state.outlets.get_mut(outlet)
        {
            outlet.flush();
        }
    }

    /// Takes in RTCP of a viewer. `number` guards against one that has come into its place.
    pub(crate) fn rtcp_from_viewer(
        &self,
        id: usize,
        number: Option<u64>,
        data: &[u8],
        at: Instant,
    ) {
        // What cannot be read is not a report; nothing depends on it.
        let Ok(packets) = rtcp::decode(data) else {
            return;
        };
        let utc = self.host.utc();
        let mut state = self.state.borrow_mut();
        let Some(viewer) = state.viewers.get_mut(id) else {
            return;
        };
        if number.is_some_and(|number| number != viewer.number) {
            return;
        }
        viewer.alive = Some(at);
        let blocks = packets.iter().flat_map(|packet| match packet {
            Packet::ReceiverReport(report) => &report.reports[..],
            Packet::SenderReport(report) => &report.reports[..],
            _ => &[],
        });
        for block in blocks {
            let mut tracks = viewer.tracks.iter().enumerate();
            let track = tracks.find_map(|(index, track)| {
                let track = track.as_ref().filter(|track| track.ssrc == block.ssrc)?;
                Some((u8::try_from(index).ok()?, track.clock_rate_hz))
            });
            let Some((track, clock_rate_hz)) = track else {
                continue;
            };
            let from = FromViewer { viewer: viewer.number, track, clock_rate_hz, block: *block };
            self.context.records.emit(at, from.event(utc));
        }
    }

    /// When a viewer last gave a sign of life: its RTCP, or that it takes what is sent to it.
    pub(crate) fn alive(&self, id: usize) -> Option<Instant> {
        let state = self.state.borrow();
        let viewer = state.viewers.get(id)?;
        match viewer.way {
            Way::Tcp { outlet } if viewer.phase == Phase::Playing => {
                let outlet = state.outlets.get(outlet)?;
                if outlet.blocked { viewer.alive } else { Some(self.host.now()) }
            }
            _ => viewer.alive,
        }
    }
}

impl FromViewer {
    fn event(&self, arrival: Utc) -> event::ReceiverReport {
        let block = &self.block;
        let jitter =
            MediaTime::from_ticks(i64::from(block.jitter_ticks), self.clock_rate_hz.max(1));
        event::ReceiverReport {
            viewer: self.viewer,
            track: self.track,
            fraction_lost: block.fraction_lost,
            cumulative_lost: block.cumulative_lost,
            highest_seq: block.extended_highest,
            jitter_ns: jitter.as_nanos() as u64,
            round_trip_ns: block
                .round_trip(NtpTime::from(arrival))
                .map(|span| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)),
        }
    }
}

/// A sender report of one track, with a good-bye if it is the last. Before the first frame there
/// is no time to report: absent, but for the good-bye, which goes behind an empty receiver report
/// (RFC 3550 section 6.1).
fn report(viewer: &Viewer, track: &TrackOut, now: Instant, utc: Utc, last: bool) -> Option<Bytes> {
    let first = match viewer.clock {
        Some(clock) => Packet::SenderReport(rtcp::SenderReport {
            ssrc: track.ssrc,
            ntp: NtpTime::from(utc),
            rtp_time: track.time_at(place_at(clock, now)),
            packet_count: track.packets,
            octet_count: track.octets,
            reports: Vec::new(),
        }),
        None if last => {
            let (ssrc, reports) = (track.ssrc, Vec::new());
            Packet::ReceiverReport(rtcp::ReceiverReport { ssrc, reports })
        }
        None => return None,
    };
    let cname = SourceDescription::cname(track.ssrc, CNAME);
    let mut packets = vec![first, Packet::SourceDescription(cname)];
    if last {
        packets.push(Packet::Goodbye(Goodbye { sources: vec![track.ssrc], reason: None }));
    }
    let mut out = BytesMut::new();
    rtcp::compound(&packets, &mut out).ok()?;
    Some(out.freeze())
}

/// Where a stream's time line stands at `now`.
fn place_at(clock: StreamClock, now: Instant) -> MediaTime {
    clock.pts + MediaTime::from_nanos(now.signed_since(clock.at))
}

/// An RTCP packet on an interleaved channel (RFC 2326 section 10.12).
fn interleaved(channel: u8, packet: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(4 + packet.len());
    out.put_u8(b'$');
    out.put_u8(channel);
    out.put_u16(u16::try_from(packet.len()).unwrap_or(u16::MAX));
    out.put_slice(packet);
    out.freeze()
}

/// The canonical name of all of a viewer's tracks, which are in step (RFC 3550 section 6.5.1).
const CNAME: &str = "weir";
