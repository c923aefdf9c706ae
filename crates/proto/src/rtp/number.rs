//! The numbers in an RTP header, and how the short ones are continued past their wrap.

use core::fmt;

/// A synchronisation source: who sends (RFC 3550 section 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssrc(pub u32);

impl fmt::Debug for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ssrc({:08x})", self.0)
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// A packet's number modulo 2^16. It has no order of its own: see
/// [`SequenceNumber::distance_from`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// The number `count` packets later.
    #[inline]
    pub const fn plus(self, count: u16) -> Self {
        SequenceNumber(self.0.wrapping_add(count))
    }

    /// Packets from `earlier` to this one by the shorter way round: negative when this one is
    /// older. Exactly half way round counts as older.
    #[inline]
    pub const fn distance_from(self, earlier: SequenceNumber) -> i16 {
        self.0.wrapping_sub(earlier.0) as i16
    }

    /// Whether this number comes after `other` by the shorter way round.
    #[inline]
    pub const fn is_after(self, other: SequenceNumber) -> bool {
        self.distance_from(other) > 0
    }

    /// The extended number nearest to `reference` that ends in these sixteen bits.
    #[inline]
    pub const fn extend_near(self, reference: u64) -> u64 {
        let step = self.distance_from(SequenceNumber(reference as u16));
        match reference.checked_add_signed(step as i64) {
            Some(extended) => extended,
            // Before number 0 of cycle 0 or after the last of all there is nothing.
            None => reference.wrapping_add(self.0.wrapping_sub(reference as u16) as u64),
        }
    }
}

/// A time stamp of the RTP clock modulo 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct RtpTime(pub u32);

impl RtpTime {
    /// The time stamp of the place `ticks` on the stream's time line for a viewer whose time
    /// stamps begin at `offset`.
    #[inline]
    pub const fn from_ticks(ticks: i64, offset: RtpTime) -> Self {
        RtpTime((ticks as u32).wrapping_add(offset.0))
    }

    /// Ticks from `earlier` to this time by the shorter way round.
    #[inline]
    pub const fn distance_from(self, earlier: RtpTime) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }
}

/// Continues 32-bit time stamps past their wrap.
///
/// Each time stamp is taken as the one nearest to its predecessor, so that steps of up to 2^31
/// ticks in either direction (6.6 hours of video) are followed.
#[derive(Clone, Debug, Default)]
pub struct TimeUnwrapper {
    last: Option<(RtpTime, i64)>,
}

impl TimeUnwrapper {
    /// The place of `time` on a line on which the first time stamp stood at its own value.
    pub fn unwrap(&mut self, time: RtpTime) -> i64 {
        let ticks = match self.last {
            None => i64::from(time.0),
            Some((last, ticks)) => ticks.saturating_add(i64::from(time.distance_from(last))),
        };
        self.last = Some((time, ticks));
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_extended_number_is_found_again_from_any_reference_within_half_a_cycle(
            extended in 65_536u64..1 << 40,
            step in -32_767i64..32_768,
        ) {
            let reference = extended.checked_add_signed(step).expect("both are positive");
            let short = SequenceNumber(extended as u16);
            prop_assert_eq!(short.extend_near(reference), extended);
        }

        #[test]
        fn unwrapped_times_follow_steps_in_both_directions(
            start: u32,
            steps in prop::collection::vec(-2_000_000_000i64..2_000_000_000, 1..20),
        ) {
            let mut unwrapper = TimeUnwrapper::default();
            let mut place = i64::from(start);
            prop_assert_eq!(unwrapper.unwrap(RtpTime(start)), place);
            for step in steps {
                place += step;
                prop_assert_eq!(unwrapper.unwrap(RtpTime(place as u32)), place);
            }
        }
    }

    #[test]
    fn zero_comes_after_the_greatest_sequence_number() {
        assert!(SequenceNumber(0).is_after(SequenceNumber(u16::MAX)));
        assert!(!SequenceNumber(u16::MAX).is_after(SequenceNumber(0)));
        assert_eq!(SequenceNumber(u16::MAX).plus(1), SequenceNumber(0));
    }

    #[test]
    fn a_number_older_than_the_first_cycle_does_not_overflow() {
        assert_eq!(SequenceNumber(u16::MAX).extend_near(0), 65_535);
    }

    #[test]
    fn a_viewers_time_stamps_are_the_streams_ticks_plus_its_offset() {
        assert_eq!(RtpTime::from_ticks(-1, RtpTime(0)), RtpTime(u32::MAX));
        assert_eq!(RtpTime::from_ticks(1 << 32, RtpTime(7)), RtpTime(7));
    }
}
