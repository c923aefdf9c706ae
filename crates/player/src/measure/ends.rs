//! Packets lost before the first and after the last received.

use weir_proto::rtp::SequenceNumber;

/// What the server said of where a track's packets begin and of how many there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    /// RTP-Info's number of the first packet.
    first_seq: Option<SequenceNumber>,
    /// The first sender report.
    first: Option<Said>,
    /// The sender report that came with the good-bye.
    last: Option<Said>,
    reports: u64,
}

/// A sender report, and what had come by then.
#[derive(Clone, Copy, Debug)]
struct Said {
    packet_count: u32,
    highest: Option<u64>,
}

/// Packets lost at either end, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) head: Option<u64>,
    pub(super) tail: Option<u64>,
}

/// A server that counts packets for each viewer and one that counts a shared stream's since its
/// start are told apart by their first report: so many packets may have been on their way.
const ON_THE_WAY_MAX: i64 = 64;

impl Ends {
    /// Notes RTP-Info of the first PLAY.
    pub(super) fn starts_at(&mut self, seq: u16) {
        self.first_seq.get_or_insert(SequenceNumber(seq));
    }

    /// Whether the packet with this number is known not to be the first that was sent.
    pub(super) fn is_behind_start(&self, extended: u64) -> bool {
        self.first_seq.is_some_and(|seq| extended > seq.extend_near(extended))
    }

    /// Notes a sender report. `highest` is the highest number that has come.
    pub(super) fn sender_report(&mut self, packet_count: u32, highest: Option<u64>, bye: bool) {
        let said = Said { packet_count, highest };
        self.first.get_or_insert(said);
        self.reports += 1;
        if bye {
            self.last = Some(said);
        }
    }

    /// What was lost, given the first and the highest number received.
    pub(super) fn lost(&self, received: Option<(u64, u64)>) -> Lost {
        let Some((first, highest)) = received else {
            // Nothing came: everything that was sent is before the first.
            let sent = self.last.filter(|_| self.first_seq.is_some());
            return Lost { head: sent.map(|said| said.packet_count.into()), tail: None };
        };
        match self.first_seq {
            Some(seq) => self.lost_from(seq.extend_near(first), first, highest),
            None => self.lost_by_counts(first, highest),
        }
    }

    /// The server said where the packets begin.
    fn lost_from(&self, start: u64, first: u64, highest: u64) -> Lost {
        let sent_by = |place: Option<u64>| place.map_or(0, |at| difference(at, start) + 1);
        // How many packets the sender had counted before this viewer's first one.
        let counted_before = self.first.map(|said| {
            let more = i64::from(said.packet_count) - sent_by(said.highest);
            if more.abs() <= ON_THE_WAY_MAX { 0 } else { more }
        });
        // With the good-bye as the only report nothing tells a great loss from a shared count.
        let only_one = self.reports == 1 && counted_before != Some(0);
        let tail = self.last.zip(counted_before).filter(|_| !only_one).map(|(said, before)| {
            let sent = i64::from(said.packet_count) - before;
            not_negative(sent - sent_by(Some(highest)))
        });
        Lost { head: u64::try_from(difference(first, start)).ok(), tail }
    }

    /// Only sender reports tell.
    fn lost_by_counts(&self, first: u64, highest: u64) -> Lost {
        let at_first = self.first.and_then(|said| Some((said.packet_count, said.highest?)));
        let head = at_first.map(|(count, at)| i64::from(count) - difference(at, first) - 1);
        // More is a shared stream's count: what was sent before is no loss of this viewer's.
        let head = head.filter(|lost| *lost <= ON_THE_WAY_MAX).map(not_negative);
        let tail = self.last.zip(at_first).and_then(|(said, (count, at))| {
            let since = said.packet_count.wrapping_sub(count);
            let is_later = said.highest.is_some_and(|last| last > at);
            is_later.then(|| not_negative(i64::from(since) - difference(highest, at)))
        });
        Lost { head, tail }
    }
}

fn difference(to: u64, from: u64) -> i64 {
    to.wrapping_sub(from) as i64
}

fn not_negative(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u64 = 65_536 + 100;

    fn from_start(seq: u16) -> Ends {
        let mut ends = Ends::default();
        ends.starts_at(seq);
        ends
    }

    #[test]
    fn rtp_info_tells_the_head_and_the_last_report_the_tail() {
        let mut ends = from_start(98);
        ends.sender_report(0, None, false);
        ends.sender_report(500, Some(FIRST + 400), true);
        let lost = ends.lost(Some((FIRST, FIRST + 400)));
        assert_eq!(lost, Lost { head: Some(2), tail: Some(97) });
    }

    #[test]
    fn without_a_good_bye_the_tail_is_not_known() {
        let mut ends = from_start(100);
        ends.sender_report(0, None, false);
        assert_eq!(ends.lost(Some((FIRST, FIRST))), Lost { head: Some(0), tail: None });
    }

    #[test]
    fn a_shared_streams_count_is_taken_from_its_first_report() {
        let mut ends = from_start(100);
        ends.sender_report(10_000, Some(FIRST + 9), false);
        ends.sender_report(10_090, Some(FIRST + 96), true);
        let lost = ends.lost(Some((FIRST, FIRST + 96)));
        assert_eq!(lost, Lost { head: Some(0), tail: Some(3) });
    }

    #[test]
    fn one_great_count_alone_tells_no_tail() {
        let mut ends = from_start(100);
        ends.sender_report(10_000, Some(FIRST + 9), true);
        assert_eq!(ends.lost(Some((FIRST, FIRST + 9))).tail, None);
    }

    #[test]
    fn counts_alone_tell_both_ends() {
        let mut ends = Ends::default();
        ends.sender_report(12, Some(FIRST + 9), false);
        ends.sender_report(102, Some(FIRST + 98), true);
        let lost = ends.lost(Some((FIRST, FIRST + 98)));
        assert_eq!(lost, Lost { head: Some(2), tail: Some(1) });
    }

    #[test]
    fn when_nothing_came_all_that_was_sent_is_lost_at_the_head() {
        let mut ends = from_start(100);
        ends.sender_report(7, None, true);
        assert_eq!(ends.lost(None), Lost { head: Some(7), tail: None });
    }

    #[test]
    fn silence_tells_nothing() {
        assert_eq!(Ends::default().lost(Some((FIRST, FIRST))), Lost::default());
        assert_eq!(Ends::default().lost(None), Lost::default());
    }
}
