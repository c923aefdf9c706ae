//! What watches links while they run.

use weir_link::{Counters, Direction, Passage, Settings};
use weir_time::Instant;

use crate::links::{LinkIndex, Wire};

/// Told of each packet and each change. Called on the driver's thread, so it must not block.
///
/// `entered` comes first for a packet, then `passed` as soon as its fate is certain, which is before
/// it comes out, then `left` if it came out. A duplicate has the index of its original.
pub trait Tap: Send {
    /// A packet was offered.
    fn entered(
        &mut self,
        link: LinkIndex,
        direction: Direction,
        index: u64,
        at: Instant,
        packet: &dyn Wire,
    );

    /// A packet's fate is certain.
    fn passed(&mut self, link: LinkIndex, direction: Direction, passage: &Passage);

    /// A packet due at `due` was taken out by the driver at `at`: the difference is how late the
    /// driver was.
    fn left(
        &mut self,
        link: LinkIndex,
        direction: Direction,
        index: u64,
        due: Instant,
        at: Instant,
    );

    /// New settings hold from `at` on.
    fn changed(&mut self, link: LinkIndex, direction: Direction, at: Instant, settings: &Settings);

    /// What waits in the queue, each time after a packet was offered.
    fn queued(&mut self, link: LinkIndex, direction: Direction, packets: usize, bytes: u64) {
        let _ = (link, direction, packets, bytes);
    }

    /// A figure that the driver alone knows, such as bytes held in local legs, stands at `value`
    /// from `at` on.
    fn gauge(&mut self, link: LinkIndex, name: &'static str, value: u64, at: Instant) {
        let _ = (link, name, value, at);
    }

    /// The totals of a pipe, about once a second and at the end.
    fn counted(&mut self, link: LinkIndex, direction: Direction, counters: &Counters) {
        let _ = (link, direction, counters);
    }

    /// About once a second, after the totals.
    fn tick(&mut self, at: Instant) {
        let _ = at;
    }
}
