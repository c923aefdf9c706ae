//! Why packets do not come out, in the words of records and captures.

use weir_link::Dropped;
use weir_record::event::{Fate, LinkCounts};

/// Why a packet did not come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Queue,
    Loss,
    Inside,
    Policer,
    Aqm,
    Blackout,
    /// One that is not known here.
    Other,
}

impl From<Dropped> for Reason {
    fn from(dropped: Dropped) -> Reason {
        match dropped {
            Dropped::Queue => Reason::Queue,
            Dropped::Loss => Reason::Loss,
            Dropped::Inside => Reason::Inside,
            Dropped::Policer => Reason::Policer,
            Dropped::Aqm => Reason::Aqm,
            Dropped::Blackout => Reason::Blackout,
            _ => Reason::Other,
        }
    }
}

impl Reason {
    /// All of them: their places are their numbers.
    pub(crate) const ALL: [Reason; 7] = [
        Reason::Queue,
        Reason::Loss,
        Reason::Inside,
        Reason::Policer,
        Reason::Aqm,
        Reason::Blackout,
        Reason::Other,
    ];

    /// As the comments of captures say it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Reason::Queue => "queue full",
            Reason::Loss => "lost by chance",
            Reason::Inside => "too many packets inside",
            Reason::Policer => "policer had no tokens",
            Reason::Aqm => "active queue management",
            Reason::Blackout => "blackout",
            Reason::Other => "another reason",
        }
    }

    pub(crate) fn fate(self) -> Fate {
        match self {
            Reason::Queue => Fate::DroppedQueue,
            Reason::Loss => Fate::DroppedLoss,
            Reason::Inside => Fate::DroppedInside,
            Reason::Policer => Fate::DroppedPolicer,
            Reason::Aqm => Fate::DroppedAqm,
            Reason::Blackout => Fate::DroppedBlackout,
            Reason::Other => Fate::DroppedOther,
        }
    }

    /// Where its packets and bytes are counted.
    pub(crate) fn counts(self, counts: &mut LinkCounts) -> (&mut u64, &mut u64) {
        match self {
            Reason::Queue => (&mut counts.dropped_queue_packets, &mut counts.dropped_queue_bytes),
            Reason::Loss => (&mut counts.dropped_loss_packets, &mut counts.dropped_loss_bytes),
            Reason::Inside => {
                (&mut counts.dropped_inside_packets, &mut counts.dropped_inside_bytes)
            }
            Reason::Policer => {
                (&mut counts.dropped_policer_packets, &mut counts.dropped_policer_bytes)
            }
            Reason::Aqm => (&mut counts.dropped_aqm_packets, &mut counts.dropped_aqm_bytes),
            Reason::Blackout => {
                (&mut counts.dropped_blackout_packets, &mut counts.dropped_blackout_bytes)
            }
            Reason::Other => (&mut counts.dropped_other_packets, &mut counts.dropped_other_bytes),
        }
    }
}

/// All packets that never come out.
pub(crate) fn dropped_packets(counts: &LinkCounts) -> u64 {
    let mut counts = *counts;
    Reason::ALL.iter().map(|reason| *reason.counts(&mut counts).0).sum()
}
