//! Delivery: everything that is due, for all viewers, as one batch.

use weir_net::{Batch, Sent, UdpSocket};
use weir_proto::rtp::Header;
use weir_proto::rtp::pack::trains;
use weir_time::Instant;

use super::state::State;
use super::viewer::{Reached, Target, Walk, Way};

/// A viewer that is visited: its frames before `until` may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    pub(crate) viewer: usize,
    pub(crate) until: u64,
}

/// One message of a batch: whose it is, and where its viewer is once all of it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    visit: Visit,
    /// Its length, headers and what waited before it included.
    bytes: usize,
    reached: Reached,
    /// Whether something is left for the next round.
    more: bool,
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
        let mut walks: Vec<(Visit, Walk<'a>)> = Vec::with_capacity(visits.len());
        for visit in visits {
            let Some(viewer) = self.viewers.get(visit.viewer) else {
                continue;
            };
            match viewer.way {
                Way::Tcp { outlet } => self.gather_tcp(*visit, outlet, batch, plans),
                Way::Udp | Way::Classroom => {
                    walks.push((*visit, Walk::new(viewer, &self.feeds, visit.until)))
                }
            }
        }
        let Some(socket) = rtp else { return };
        for _ in 0..TRAINS_MAX {
            walks.retain_mut(|(visit, walk)| {
                let Some(bytes) = gather_train(walk, socket, batch) else {
                    return false;
                };
                let more = walk.has_more();
                plans.push(Plan { visit: *visit, bytes, reached: walk.take_reached(), more });
                more
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
        let Some(viewer) = self.viewers.get(visit.viewer) else {
            return;
        };
        let Some(outlet) = self.outlets.get(outlet) else {
            return;
        };
        let mut walk = Walk::new(viewer, &self.feeds, visit.until);
        if outlet.waiting_bytes() == 0 && !walk.has_more() {
            return;
        }
        batch.tcp(&outlet.stream);
        let mut bytes = 0;
        let mut whole = true;
        for waiting in outlet.waiting() {
            // Media goes behind all that waits, or not at all.
            whole = batch.slices_left() > 2;
            if !whole {
                break;
            }
            batch.slice(waiting);
            bytes += waiting.len();
        }
        while whole
            && bytes < MESSAGE_BYTES_MAX
            && batch.slices_left() >= 2
            && let Some(message) = walk.step()
        {
            batch.header(&message.interleaved_header());
            batch.slice(message.payload());
            bytes += message.interleaved_len();
        }
        let more = walk.has_more();
        plans.push(Plan { visit, bytes, reached: walk.take_reached(), more });
    }

    /// Moves the viewers on by what the network took.
    pub(crate) fn apply(&mut self, plans: &[Plan], results: &[Sent], now: Instant) {
        for (plan, sent) in plans.iter().zip(results) {
            match (self.viewers.get(plan.visit.viewer).map(|viewer| viewer.way), *sent) {
                (Some(Way::Tcp { outlet }), Sent::Bytes(bytes)) => {
                    self.apply_tcp(plan, outlet, bytes);
                }
                (Some(Way::Tcp { outlet }), Sent::Blocked) => self.block(outlet),
                (Some(Way::Tcp { outlet }), Sent::Failed(_)) => self.fail(outlet),
                (Some(Way::Udp | Way::Classroom), sent) => self.apply_udp(plan, sent, now),
                (None, _) => {}
            }
        }
    }

    fn apply_tcp(&mut self, plan: &Plan, outlet: usize, bytes: usize) {
        let Some(out) = self.outlets.get_mut(outlet) else {
            return;
        };
        let waiting = bytes.min(out.waiting_bytes());
        out.sent(waiting);
        let id = plan.visit.viewer;
        if bytes >= plan.bytes {
            self.commit(id, &plan.reached, bytes);
            if plan.more {
                self.queue(id);
            }
            return;
        }
        // The socket is full: it will ring.
        out.blocked = true;
        let Some(viewer) = self.viewers.get(id) else {
            return;
        };
        let mut walk = Walk::new(viewer, &self.feeds, plan.visit.until);
        let mut left = bytes - waiting;
        while left > 0
            && let Some(message) = walk.step()
        {
            let len = message.interleaved_len();
            if left < len {
                out.keep_rest(message.rest(left));
            }
            left = left.saturating_sub(len);
        }
        let reached = walk.take_reached();
        self.commit(id, &reached, bytes);
    }

    fn apply_udp(&mut self, plan: &Plan, sent: Sent, now: Instant) {
        let id = plan.visit.viewer;
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        let tally = viewer.tally;
        let refused = match sent {
            Sent::Bytes(bytes) if bytes >= plan.bytes => 0,
            // The system's queue is full: the rest goes a little later.
            Sent::Bytes(bytes) => return self.apply_some_datagrams(plan, bytes, now),
            Sent::Blocked => {
                viewer.burst_due = Some(now + super::UDP_RETRY);
                return;
            }
            // As if it were lost on the way: its numbers are gone.
            Sent::Failed(_) => plan.reached.packets.iter().map(|n| u64::from(*n)).sum(),
        };
        viewer.burst_due = plan.more.then(|| now + super::UDP_BURST_GAP);
        if let Some(tally) = self.tallies.get_mut(tally) {
            tally.packets_refused += refused;
        }
        self.totals.packets_refused += refused;
        self.commit(id, &plan.reached, plan.bytes);
    }

    /// Of a train only some datagrams were taken.
    fn apply_some_datagrams(&mut self, plan: &Plan, bytes: usize, now: Instant) {
        let id = plan.visit.viewer;
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        viewer.burst_due = Some(now + super::UDP_RETRY);
        let mut walk = Walk::new(viewer, &self.feeds, plan.visit.until);
        let mut left = bytes;
        while left > 0
            && let Some(message) = walk.step()
        {
            left = left.saturating_sub(Header::BYTES + usize::from(message.piece.len));
        }
        let reached = walk.take_reached();
        self.commit(id, &reached, bytes);
    }

    fn commit(&mut self, id: usize, reached: &Reached, wire_bytes: usize) {
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        let from = std::mem::replace(&mut viewer.cursor, reached.cursor);
        let counts = reached.seqs.iter().zip(&reached.packets).zip(&reached.octets);
        let (mut packets, mut octets) = (0, 0);
        for (track, ((seq, track_packets), track_octets)) in viewer.tracks.iter_mut().zip(counts) {
            if let Some(track) = track {
                track.seq = *seq;
                track.packets = track.packets.wrapping_add(*track_packets);
                track.octets = track.octets.wrapping_add(*track_octets);
                packets += u64::from(*track_packets);
                octets += u64::from(*track_octets);
            }
        }
        if let Some(end) = reached.end {
            let end = end + viewer.shift;
            viewer.reached = Some(viewer.reached.map_or(end, |reached| reached.max(end)));
        }
        let is_classroom = viewer.is_classroom();
        viewer.sent.packets += packets;
        viewer.sent.octets += octets;
        viewer.sent.wire_bytes += wire_bytes as u64;
        if let Some(tally) = self.tallies.get_mut(viewer.tally) {
            tally.packets += packets;
            tally.bytes += wire_bytes as u64;
        }
        self.totals.bytes += wire_bytes as u64;
        if is_classroom {
            self.count_oversize(id, from.slot);
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

/// Adds the next train of a viewer; gives its length.
fn gather_train<'a>(
    walk: &mut Walk<'a>,
    socket: &'a UdpSocket,
    batch: &mut Batch<'_, 'a>,
) -> Option<usize> {
    let (pieces, Target::Address(to)) = walk.rest_of_frame()? else {
        return None;
    };
    let train = trains(pieces, TRAIN_SEGMENTS_MAX).next()?;
    batch.udp(socket, to, Header::BYTES + usize::from(train.first()?.len));
    let mut bytes = 0;
    for _ in train {
        let message = walk.step()?;
        let mut header = [0; Header::BYTES];
        message.header.write(&mut header);
        batch.header(&header);
        batch.slice(message.payload());
        bytes += Header::BYTES + usize::from(message.piece.len);
    }
    Some(bytes)
}
