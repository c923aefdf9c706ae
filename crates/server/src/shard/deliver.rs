//! Delivery: everything that is due, for all viewers, as one batch.

use weir_media::{MediaTime, TrackId};
use weir_net::{Batch, Sent, SLICES_MAX, UdpSocket};
use weir_proto::rtp::pack::trains;
use weir_proto::rtp::{Header, SequenceNumber};
use weir_time::Instant;

use super::state::State;
use super::viewer::{Cursor, Target, Walk, Way};
use crate::hub::TRACKS_MAX;

/// A viewer that is visited: its frames before `until` may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    pub(crate) viewer: usize,
    pub(crate) until: u64,
}

/// One message of a batch: whose it is, and for UDP how many packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    visit: Visit,
    pieces: usize,
}

/// How much one TCP message takes at most; what is left goes in the next round.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Packets of one train, and trains in one visit: a default receiver keeps 92 packets.
const TRAIN_SEGMENTS_MAX: usize = 10;
const TRAINS_MAX: usize = 4;

impl State {
    /// Adds to `batch` what the visited viewers have to be sent. Trains go round robin.
    pub(crate) fn gather<'a>(
        &'a self,
        visits: &[Visit],
        rtp: Option<&'a UdpSocket>,
        batch: &mut Batch<'_, 'a>,
        plans: &mut Vec<Plan>,
    ) {
        let mut walks: Vec<(Visit, Walk<'a>)> = Vec::new();
        for visit in visits {
            let Some(viewer) = self.viewers.get(visit.viewer) else { continue };
            match viewer.way {
                Way::Tcp { outlet } => self.gather_tcp(*visit, outlet, batch, plans),
                Way::Udp => walks.push((*visit, Walk::new(viewer, &self.feeds, visit.until))),
            }
        }
        let Some(socket) = rtp else { return };
        for _ in 0..TRAINS_MAX {
            walks.retain_mut(|(visit, walk)| match gather_train(walk, socket, batch) {
                0 => false,
                pieces => {
                    plans.push(Plan { visit: *visit, pieces });
                    true
                }
            });
        }
    }

    fn gather_tcp<'a>(
        &'a self,
        visit: Visit,
        outlet: usize,
        batch: &mut Batch<'_, 'a>,
        plans: &mut Vec<Plan>,
    ) {
        let Some(viewer) = self.viewers.get(visit.viewer) else { return };
        let Some(outlet) = self.outlets.get(outlet) else { return };
        let mut walk = Walk::new(viewer, &self.feeds, visit.until);
        if walk.frame().is_none() && outlet.waiting_bytes() == 0 {
            return;
        }
        batch.tcp(&outlet.stream);
        for waiting in outlet.waiting().take(SLICES_MAX / 2) {
            batch.slice(waiting);
        }
        let mut bytes = outlet.waiting_bytes();
        while bytes < MESSAGE_BYTES_MAX
            && batch.slices_left() >= 2
            && let Some(message) = walk.step()
        {
            batch.header(&message.interleaved_header());
            batch.slice(message.payload());
            bytes += message.interleaved_len();
        }
        plans.push(Plan { visit, pieces: 0 });
    }

    /// Moves the viewers on by what the network took.
    pub(crate) fn apply(&mut self, plans: &[Plan], results: &[Sent], now: Instant) {
        for (plan, sent) in plans.iter().zip(results) {
            match (self.viewers.get(plan.visit.viewer).map(|viewer| viewer.way), *sent) {
                (Some(Way::Tcp { outlet }), Sent::Bytes(bytes)) => {
                    self.apply_tcp(plan.visit, outlet, bytes);
                }
                (Some(Way::Tcp { outlet }), Sent::Blocked) => self.block(outlet),
                (Some(Way::Tcp { outlet }), Sent::Failed(_)) => self.fail(outlet),
                (Some(Way::Udp), sent) => self.apply_udp(plan, sent, now),
                (None, _) => {}
            }
        }
    }

    fn apply_tcp(&mut self, visit: Visit, outlet: usize, bytes: usize) {
        let Some(viewer) = self.viewers.get(visit.viewer) else { return };
        let Some(out) = self.outlets.get_mut(outlet) else { return };
        let waiting = bytes.min(out.waiting_bytes());
        out.sent(waiting);
        let mut left = bytes - waiting;
        let mut progress = Progress::default();
        let mut walk = Walk::new(viewer, &self.feeds, visit.until);
        while left > 0
            && let Some(message) = walk.step()
        {
            progress.add(message.track, usize::from(message.piece.len), message.slot.end);
            let len = message.interleaved_len();
            if left < len {
                out.keep_rest(message.rest(left));
            }
            left = left.saturating_sub(len);
        }
        // What remains under the cursor was left by the network, or by the bounds of a message.
        let more = walk.frame().is_some();
        let (cursor, seqs) = (walk.cursor, walk.seqs);
        out.blocked |= out.waiting_bytes() > 0;
        self.commit(visit.viewer, cursor, &seqs, &progress, bytes);
        if more {
            self.queue(visit.viewer);
        }
    }

    fn apply_udp(&mut self, plan: &Plan, sent: Sent, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(plan.visit.viewer) else { return };
        if matches!(sent, Sent::Blocked) {
            viewer.burst_due = Some(now + super::UDP_RETRY);
            return;
        }
        let Some(viewer) = self.viewers.get(plan.visit.viewer) else { return };
        let mut progress = Progress::default();
        let mut walk = Walk::new(viewer, &self.feeds, plan.visit.until);
        let mut bytes = 0;
        for _ in 0..plan.pieces {
            let Some(message) = walk.step() else { break };
            let len = usize::from(message.piece.len);
            progress.add(message.track, len, message.slot.end);
            bytes += len + Header::BYTES;
        }
        let more = walk.frame().is_some();
        let (cursor, seqs, tally) = (walk.cursor, walk.seqs, viewer.tally);
        if let Sent::Failed(_) = sent
            && let Some(tally) = self.tallies.get_mut(tally)
        {
            tally.packets_refused += plan.pieces as u64;
        }
        self.commit(plan.visit.viewer, cursor, &seqs, &progress, bytes);
        if let Some(viewer) = self.viewers.get_mut(plan.visit.viewer) {
            viewer.burst_due = more.then(|| now + super::UDP_BURST_GAP);
        }
    }

    fn commit(
        &mut self,
        id: usize,
        cursor: Cursor,
        seqs: &[SequenceNumber; TRACKS_MAX],
        progress: &Progress,
        wire_bytes: usize,
    ) {
        let Some(viewer) = self.viewers.get_mut(id) else { return };
        viewer.cursor = cursor;
        let counts = seqs.iter().zip(&progress.packets).zip(&progress.octets);
        for (track, ((seq, packets), octets)) in viewer.tracks.iter_mut().zip(counts) {
            if let Some(track) = track {
                track.seq = *seq;
                track.packets = track.packets.wrapping_add(*packets);
                track.octets = track.octets.wrapping_add(*octets);
            }
        }
        if let Some(end) = progress.end {
            let end = end + viewer.shift;
            viewer.reached = Some(viewer.reached.map_or(end, |reached| reached.max(end)));
        }
        let packets = progress.packets.iter().map(|n| u64::from(*n)).sum::<u64>();
        viewer.sent.packets += packets;
        viewer.sent.octets += progress.octets.iter().map(|n| u64::from(*n)).sum::<u64>();
        viewer.sent.wire_bytes += wire_bytes as u64;
        if let Some(tally) = self.tallies.get_mut(viewer.tally) {
            tally.packets += packets;
            tally.bytes += wire_bytes as u64;
        }
    }

    /// The outlet's socket is full.
    fn block(&mut self, outlet: usize) {
        if let Some(outlet) = self.outlets.get_mut(outlet) {
            outlet.blocked = true;
        }
    }

    /// The outlet's connection is over; whoever reads from it will see the same.
    fn fail(&mut self, outlet: usize) {
        if let Some(outlet) = self.outlets.get_mut(outlet) {
            outlet.failed = true;
        }
    }
}

/// What was sent to one viewer in one message.
#[derive(Default)]
struct Progress {
    packets: [u32; TRACKS_MAX],
    octets: [u32; TRACKS_MAX],
    end: Option<MediaTime>,
}

impl Progress {
    fn add(&mut self, track: TrackId, octets: usize, end: MediaTime) {
        let track = usize::from(track.0);
        self.packets[track] += 1;
        self.octets[track] += octets as u32;
        self.end = Some(self.end.map_or(end, |reached| reached.max(end)));
    }
}

/// Adds the next train of a viewer; gives the number of its packets.
fn gather_train<'a>(walk: &mut Walk<'a>, socket: &'a UdpSocket, batch: &mut Batch<'_, 'a>) -> usize {
    let Some((slot, track)) = walk.frame() else { return 0 };
    let Target::Address(to) = track.rtp else { return 0 };
    let Some(pieces) = trains(&slot.wire.pieces[walk.cursor.piece..], TRAIN_SEGMENTS_MAX).next()
    else {
        return 0;
    };
    let pieces = pieces.len();
    for index in 0..pieces {
        let Some(message) = walk.step() else { return index };
        if index == 0 {
            batch.udp(socket, to, Header::BYTES + usize::from(message.piece.len));
        }
        let mut header = [0; Header::BYTES];
        message.header.write(&mut header);
        batch.header(&header);
        batch.slice(message.payload());
    }
    pieces
}
