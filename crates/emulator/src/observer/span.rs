//! What one direction of a link did between two moments.

use weir_record::Tally;
use weir_record::event::LinkCounts;
use weir_time::Instant;

/// What the driver's thread counts, and hands over whole: at each second, and when settings
/// change. It is used again, so that counting allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Span {
    pub(super) lane: usize,
    /// Which of the lane's stretches of constant settings.
    pub(super) stretch: u32,
    /// It holds more than that stretch: there was no room to hand it over.
    pub(super) is_mixed: bool,
    pub(super) from: Instant,
    pub(super) until: Instant,
    pub(super) counts: LinkCounts,
    pub(super) queue_packets_max: u64,
    pub(super) queue_bytes_max: u64,
    /// Entry to the last bit sent.
    pub(super) queue_ns: Tally,
    /// Entry to sent on by the driver.
    pub(super) delay_ns: Tally,
    /// Due to sent on by the driver.
    pub(super) late_ns: Tally,
    /// The same of those that the driver had waited for.
    pub(super) timer_ns: Tally,
    /// Between two packets offered.
    pub(super) send_ns: Tally,
    /// Between two packets sent on.
    pub(super) arrival_ns: Tally,
    /// Lengths of runs that chance took.
    pub(super) burst_packets: Tally,
    pub(super) busy: Busy,
    /// Packets that chance could have taken, and those that it took.
    pub(super) tested_packets: u64,
    pub(super) lost_packets: u64,
    /// Runs of packets that the queue refused.
    pub(super) overflows: u64,
    /// Delays with their jitter of packets that no other held back, in nanoseconds.
    pub(super) jitter_ns: Vec<u64>,
}

/// What was sent back to back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Busy {
    /// Bytes sent right after another packet.
    pub(crate) bytes: u64,
    /// The time from that packet to the last of them, as the driver sent them.
    pub(crate) actual_ns: i64,
    /// The same, as the model sent them.
    pub(crate) model_ns: u64,
}

impl Span {
    /// Empties it, keeping its room.
    pub(super) fn clear(&mut self) {
        let Span { queue_ns, delay_ns, late_ns, timer_ns, send_ns, arrival_ns, .. } = self;
        for tally in [queue_ns, delay_ns, late_ns, timer_ns, send_ns, arrival_ns] {
            tally.clear();
        }
        self.burst_packets.clear();
        self.jitter_ns.clear();
        self.is_mixed = false;
        self.counts = LinkCounts::default();
        self.busy = Busy::default();
        (self.queue_packets_max, self.queue_bytes_max) = (0, 0);
        (self.tested_packets, self.lost_packets, self.overflows) = (0, 0, 0);
    }
}

/// Room for a packet's jitter in each span.
pub(super) const JITTER_SAMPLES_MAX: usize = 512;
