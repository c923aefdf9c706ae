//! Putting packets back in order.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_time::Instant;

/// Holds packets that came before their turn, for a bounded time and a bounded number of them.
///
/// The first packet pushed is the first given out. From then on a packet is given out when it
/// is the next one, when the packets before it have been missing for [`ReorderConfig::wait`], or
/// when [`ReorderConfig::packets_max`] packets are held. After each push, and when
/// [`Reorder::next_timeout`] has come, poll until there is nothing more.
#[derive(Clone, Debug)]
pub struct Reorder<T> {
    config: ReorderConfig,
    /// The number whose turn it is; `None` before the first packet.
    next: Option<u64>,
    held: BTreeMap<u64, Held<T>>,
    flushing: bool,
    late: u64,
    duplicates: u64,
    refused: u64,
    skipped: u64,
}

/// How long and how many packets are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReorderConfig {
    /// How long a missing packet is waited for, from the arrival of the first one behind it.
    pub wait: Duration,
    /// How many packets are held at most; at least 1.
    pub packets_max: usize,
}

impl ReorderConfig {
    /// For datagrams: 50 ms, 1,024 packets.
    pub const UDP: ReorderConfig =
        ReorderConfig { wait: Duration::from_millis(50), packets_max: 1_024 };
    /// For a connection, which keeps the order: what is missing was never sent on it.
    pub const TCP: ReorderConfig = ReorderConfig { wait: Duration::ZERO, packets_max: 1_024 };
}

/// What became of a packet that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Placed {
    /// It will be given out.
    Kept,
    /// Its turn is over: it or its successors were given out before. Dropped.
    Late,
    /// A packet with its number is held. Dropped.
    Duplicate,
    /// More packets are held than there may be, for nobody polls. Dropped.
    Refused,
}

#[derive(Clone, Debug)]
struct Held<T> {
    packet: T,
    /// When the first packet with this number or a higher one came: since then it is known that
    /// those before it are missing.
    known_at: Instant,
}

impl<T> Reorder<T> {
    /// Holds nothing yet.
    pub fn new(config: ReorderConfig) -> Self {
        Reorder {
            config,
            next: None,
            held: BTreeMap::new(),
            flushing: false,
            late: 0,
            duplicates: 0,
            refused: 0,
            skipped: 0,
        }
    }

    /// Takes the packet with the extended number `extended`
    /// ([`super::Arrival::extended`]).
    pub fn push(&mut self, now: Instant, extended: u64, packet: T) -> Placed {
        if extended < *self.next.get_or_insert(extended) {
            self.late += 1;
            return Placed::Late;
        }
        if self.held.contains_key(&extended) {
            self.duplicates += 1;
            return Placed::Duplicate;
        }
        if self.held.len() > self.config.packets_max {
            self.refused += 1;
            return Placed::Refused;
        }
        let behind = self.held.range(extended..).next();
        let known_at = behind.map_or(now, |(_, held)| held.known_at.min(now));
        self.held.insert(extended, Held { packet, known_at });
        Placed::Kept
    }

    /// The next packet whose turn has come, with the number of packets before it that are given
    /// up as lost.
    pub fn poll(&mut self, now: Instant) -> Option<(T, u64)> {
        let Some(first) = self.held.first_entry() else {
            if self.flushing {
                self.flushing = false;
                self.next = None;
            }
            return None;
        };
        let extended = *first.key();
        let lost_before = extended.saturating_sub(self.next.unwrap_or(extended));
        let due =
            lost_before == 0 || self.flushing || first.get().known_at + self.config.wait <= now;
        let full = self.config.packets_max.max(1);
        if !due && self.held.len() < full {
            return None;
        }
        let (extended, held) = self.held.pop_first()?;
        self.next = Some(extended.saturating_add(1));
        self.skipped = self.skipped.saturating_add(lost_before);
        Some((held.packet, lost_before))
    }

    /// When to poll although nothing was pushed. `None` while nothing is held.
    pub fn next_timeout(&self) -> Option<Instant> {
        let (extended, held) = self.held.first_key_value()?;
        let in_turn = self.next.is_none_or(|next| next == *extended);
        let now = in_turn || self.flushing || self.held.len() >= self.config.packets_max.max(1);
        Some(if now { held.known_at } else { held.known_at + self.config.wait })
    }

    /// Waits no longer: polling gives out all that is held. Once it has said that there is
    /// nothing more, the next packet pushed is taken as the first, whatever its number.
    pub fn flush(&mut self) {
        self.flushing = true;
    }

    /// Packets held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Packets dropped because they came after their turn.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Packets dropped because one with the same number was held.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Packets dropped because nobody polled.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Packets that were given up as lost so far: the sum of what polling said.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WAIT: Duration = Duration::from_millis(50);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn reorder(packets_max: usize) -> Reorder<u64> {
        Reorder::new(ReorderConfig { wait: WAIT, packets_max })
    }

    fn polled(reorder: &mut Reorder<u64>, now: Instant) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| reorder.poll(now)).collect()
    }

    #[test]
    fn packets_in_order_pass_without_waiting() {
        let mut reorder = reorder(8);
        for number in 5..9 {
            assert_eq!(reorder.push(at(0), number, number), Placed::Kept);
            assert_eq!(reorder.poll(at(0)), Some((number, 0)));
        }
        assert_eq!(reorder.next_timeout(), None);
    }

    #[test]
    fn a_gap_is_waited_for_from_the_first_packet_behind_it() {
        let mut reorder = reorder(8);
        reorder.push(at(0), 1, 1);
        assert_eq!(polled(&mut reorder, at(0)), [(1, 0)]);
        reorder.push(at(10), 5, 5);
        reorder.push(at(30), 3, 3);
        assert_eq!(polled(&mut reorder, at(59)), []);
        assert_eq!(reorder.next_timeout(), Some(at(60)));
        assert_eq!(polled(&mut reorder, at(60)), [(3, 1), (5, 1)]);
        assert_eq!(reorder.push(at(61), 4, 4), Placed::Late);
        assert_eq!((reorder.late(), reorder.skipped()), (1, 2));
    }

    #[test]
    fn a_packet_that_closes_the_gap_releases_those_behind_it() {
        let mut reorder = reorder(8);
        for number in [1, 3, 4, 2] {
            reorder.push(at(number), number, number);
        }
        assert_eq!(polled(&mut reorder, at(4)), [(1, 0), (2, 0), (3, 0), (4, 0)]);
    }

    #[test]
    fn no_more_packets_are_held_than_there_may_be() {
        let mut reorder = reorder(3);
        for number in [1, 3, 5, 7] {
            reorder.push(at(0), number, number);
        }
        assert_eq!(reorder.push(at(0), 9, 9), Placed::Refused);
        assert_eq!(polled(&mut reorder, at(0)), [(1, 0), (3, 1)]);
        assert_eq!((reorder.held(), reorder.refused()), (2, 1));
    }

    #[test]
    fn a_held_number_comes_once() {
        let mut reorder = reorder(3);
        reorder.push(at(0), 1, 1);
        reorder.push(at(0), 3, 3);
        assert_eq!(reorder.push(at(0), 3, 3), Placed::Duplicate);
        assert_eq!(reorder.duplicates(), 1);
    }

    #[test]
    fn with_no_wait_a_gap_is_given_up_at_once() {
        let mut reorder = Reorder::new(ReorderConfig::TCP);
        reorder.push(at(0), 1, 1);
        reorder.push(at(0), 4, 4);
        assert_eq!(polled(&mut reorder, at(0)), [(1, 0), (4, 2)]);
    }

    #[test]
    fn flushing_gives_out_all_and_begins_anew() {
        let mut reorder = reorder(8);
        for number in [10, 12, 15] {
            reorder.push(at(0), number, number);
        }
        reorder.flush();
        assert_eq!(polled(&mut reorder, at(0)), [(10, 0), (12, 1), (15, 2)]);
        reorder.push(at(0), 3, 3);
        assert_eq!(polled(&mut reorder, at(0)), [(3, 0)]);
    }

    proptest! {
        #[test]
        fn what_is_given_out_ascends_and_each_number_is_given_out_or_counted(
            numbers in prop::collection::vec((0u64..200, 0u64..30), 1..200),
        ) {
            let mut reorder = reorder(16);
            let (mut now, mut out) = (at(0), Vec::new());
            for (number, pause) in &numbers {
                now += Duration::from_millis(*pause);
                reorder.push(now, *number, *number);
                prop_assert!(reorder.held() <= 16);
                out.extend(polled(&mut reorder, now));
            }
            reorder.flush();
            out.extend(polled(&mut reorder, now));
            let mut next = numbers[0].0;
            for (number, lost_before) in &out {
                prop_assert_eq!(next + lost_before, *number);
                next = number + 1;
            }
            let dropped = reorder.late() + reorder.duplicates();
            prop_assert_eq!(out.len() as u64 + dropped, numbers.len() as u64);
        }
    }
}
