//! CoDel (RFC 8289).

use core::time::Duration;

use weir_time::Instant;

use crate::queue::{Packet, Waiting};

/// What CoDel remembers, by the names of RFC 8289 section 5.
#[derive(Debug, Default)]
pub(crate) struct CoDel {
    /// When the wait will have been above the target for an interval; absent while it is below.
    first_above_time: Option<Instant>,
    dropping: bool,
    drop_next: Instant,
    count: u32,
    lastcount: u32,
}

/// What CoDel is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    pub(crate) target: Duration,
    pub(crate) interval: Duration,
}

impl CoDel {
    /// The next packet to send, at `now`; those that are dropped before it go to `drop`
    /// (RFC 8289 section 5.5).
    pub(crate) fn dequeue<P>(
        &mut self,
        aim: Aim,
        now: Instant,
        queue: &mut Waiting<P>,
        mut drop: impl FnMut(Packet<P>),
    ) -> Option<Packet<P>> {
        let (mut packet, mut ok_to_drop) = self.dodequeue(aim, now, queue);
        if self.dropping {
            if !ok_to_drop {
                self.dropping = false;
            }
            while self.dropping && now >= self.drop_next {
                drop(packet?);
                self.count = self.count.saturating_add(1);
                (packet, ok_to_drop) = self.dodequeue(aim, now, queue);
                if ok_to_drop {
                    self.drop_next = control_law(self.drop_next, aim.interval, self.count);
                } else {
                    self.dropping = false;
                }
            }
        } else if ok_to_drop {
            drop(packet?);
            (packet, _) = self.dodequeue(aim, now, queue);
            self.dropping = true;
            // A rate of drops that worked a short while ago is taken up again.
            let delta = self.count - self.lastcount;
            let recently = now.since(self.drop_next) < 16 * aim.interval;
            self.count = if delta > 1 && recently { delta } else { 1 };
            self.drop_next = control_law(now, aim.interval, self.count);
            self.lastcount = self.count;
        }
        packet
    }

    /// The head of the queue, and whether its wait allows to drop it (section 5.4).
    fn dodequeue<P>(
        &mut self,
        aim: Aim,
        now: Instant,
        queue: &mut Waiting<P>,
    ) -> (Option<Packet<P>>, bool) {
        let Some(packet) = queue.pop() else {
            self.first_above_time = None;
            return (None, false);
        };
        let sojourn = now.since(packet.entered);
        if sojourn < aim.target || queue.bytes() <= MTU_BYTES {
            self.first_above_time = None;
            return (Some(packet), false);
        }
        match self.first_above_time {
            Some(at) => (Some(packet), now >= at),
            None => {
                self.first_above_time = Some(now + aim.interval);
                (Some(packet), false)
            }
        }
    }
}

/// When to drop next (section 5.3).
fn control_law(at: Instant, interval: Duration, count: u32) -> Instant {
    let nanos = interval.as_nanos() as f64 / f64::from(count).sqrt();
    at + Duration::from_nanos(nanos as u64)
}

const MTU_BYTES: u64 = 1500;

#[cfg(test)]
mod tests {
    use super::*;

    const AIM: Aim = Aim { target: Duration::from_millis(5), interval: Duration::from_millis(100) };

    /// Times in milliseconds of the drops while a queue is served a packet a millisecond for a
    /// second, each after having waited for `wait` milliseconds.
    fn drops(wait: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut codel = CoDel::default();
        let mut dropped = Vec::new();
        for milli in 1000..2000 {
            let now = Instant::from_millis(milli);
            let mut queue = Waiting::new();
            for index in 0..10 {
                let entered = now - Duration::from_millis(wait(milli - 1000));
                queue.push(Packet { index, bytes: 1500, entered, payload: () });
            }
            codel.dequeue(AIM, now, &mut queue, |_| dropped.push(milli - 1000));
        }
        dropped
    }

    #[test]
    fn a_wait_below_the_target_drops_nothing_and_a_short_one_above_neither() {
        assert!(drops(|_| 4).is_empty());
        assert!(drops(|milli| if milli % 90 == 0 { 4 } else { 50 }).is_empty());
    }

    #[test]
    fn a_standing_queue_is_dropped_from_after_an_interval_and_ever_more_often() {
        // 100 ms after the start, then 100 / sqrt(n) ms after the drop before.
        assert_eq!(drops(|_| 20)[..6], [100, 200, 271, 329, 379, 424]);
    }

    #[test]
    fn a_rate_of_drops_that_worked_is_taken_up_again() {
        let dropped = drops(|milli| if (600..620).contains(&milli) { 1 } else { 20 });
        let again = dropped.iter().position(|at| *at >= 620).expect("it begins again");
        assert_eq!(dropped[again], 720);
        // Sooner than the 100 ms of a first time.
        assert!(dropped[again + 1] < 720 + 60, "{dropped:?}");
    }

    #[test]
    fn the_last_packet_is_never_dropped() {
        let mut codel = CoDel::default();
        for milli in 1000..5000 {
            let now = Instant::from_millis(milli);
            let mut queue = Waiting::new();
            queue.push(Packet { index: 0, bytes: 1500, entered: Instant::ZERO, payload: () });
            let sent = codel.dequeue(AIM, now, &mut queue, |_| panic!("it was dropped"));
            assert!(sent.is_some());
        }
    }
}
