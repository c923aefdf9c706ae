//! What was counted, made into records, into figures for who looks on, and into the accounts of
//! stretches of constant settings.

use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use weir_link::{Counters, Settings};
use weir_record::event::{self, LinkCounts, LinkGauge, LinkSecond, LinkSettings, LinkTotal};
use weir_record::{Histogram, Level, Sink};
use weir_time::Instant;

use super::reason::{Reason, dropped_packets};
use super::span::{Busy, Span};
use super::{Letter, link_of, recorded};

/// Reads what observers send.
#[derive(Debug)]
pub(crate) struct Accountant {
    names: Vec<String>,
    lanes: Vec<LaneAccount>,
    gauges: Vec<GaugeAccount>,
    /// Of the second that goes on.
    gauges_told: Vec<LinkGauge>,
    records: Sink,
    spent: SyncSender<Box<Span>>,
    recent: Arc<Mutex<Vec<Recent>>>,
    second_began: Instant,
    closed: Option<Instant>,
}

/// The last second of one direction of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Recent {
    /// The time that the figures cover.
    pub span_ns: u64,
    /// Packets offered in it.
    pub offered_packets: u64,
    /// Bytes offered in it.
    pub offered_bytes: u64,
    /// Packets that came out in it.
    pub delivered_packets: u64,
    /// Bytes that came out in it.
    pub delivered_bytes: u64,
    /// Packets dropped in it, whatever the reason.
    pub dropped_packets: u64,
    /// The median time from entry to exit; absent if nothing came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_p50_ns: Option<u64>,
    /// The time that 99 % do not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_p99_ns: Option<u64>,
    /// The median time in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_p50_ns: Option<u64>,
    /// The most bytes that waited at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_bytes_max: Option<u64>,
}

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// In order of lanes.
    pub(crate) stretches: Vec<Vec<Stretch>>,
    pub(crate) gauges: Vec<GaugeAccount>,
    /// When the driver ended.
    pub(crate) until: Instant,
}

#[derive(Debug, Default)]
struct LaneAccount {
    second: Sums,
    stretches: Vec<Stretch>,
    /// The number of the stretch that `stretches` ends with.
    last: Option<u32>,
    counters: Option<Counters>,
    settings: Vec<(u32, Instant, Box<Settings>)>,
}

/// What happened while settings stayed the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stretch {
    /// Absent if there were several.
    pub(crate) settings: Option<Box<Settings>>,
    pub(crate) from: Instant,
    pub(crate) until: Instant,
    pub(crate) sums: Sums,
    /// Delays with their jitter, of packets that no other held back.
    pub(crate) jitter_ns: Vec<f64>,
}

/// Figures of some time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) span_ns: u64,
    pub(crate) counts: LinkCounts,
    pub(crate) queue_packets_max: u64,
    pub(crate) queue_bytes_max: u64,
    pub(crate) queue_ns: Histogram,
    pub(crate) delay_ns: Histogram,
    pub(crate) late_ns: Histogram,
    pub(crate) timer_ns: Histogram,
    pub(crate) send_ns: Histogram,
    pub(crate) arrival_ns: Histogram,
    pub(crate) burst_packets: Histogram,
    pub(crate) busy: Busy,
    pub(crate) tested_packets: u64,
    pub(crate) lost_packets: u64,
    pub(crate) overflows: u64,
}

/// A driver's own figure over the run.
#[derive(Clone, Debug)]
pub(crate) struct GaugeAccount {
    pub(crate) link: usize,
    pub(crate) name: &'static str,
    pub(crate) last: u64,
    pub(crate) max: u64,
}

impl Accountant {
    /// One for links with these names; emptied spans go back to `spent`.
    pub(crate) fn new(names: Vec<String>, records: Sink, spent: SyncSender<Box<Span>>) -> Self {
        let lanes: Vec<_> = (0..names.len() * 2).map(|_| LaneAccount::default()).collect();
        let recent = Arc::new(Mutex::new(vec![Recent::default(); lanes.len()]));
        Accountant {
            names,
            lanes,
            gauges: Vec::new(),
            gauges_told: Vec::new(),
            records,
            spent,
            recent,
            second_began: Instant::ZERO,
            closed: None,
        }
    }

    /// The last second of each lane, as it is renewed.
    pub(crate) fn recent(&self) -> Arc<Mutex<Vec<Recent>>> {
        Arc::clone(&self.recent)
    }

    /// Whether the driver has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Takes all letters that wait.
    pub(crate) fn read(&mut self, letters: &Receiver<Letter>) {
        while let Ok(letter) = letters.try_recv() {
            self.take(letter);
        }
    }

    /// Takes a letter.
    pub(crate) fn take(&mut self, letter: Letter) {
        match letter {
            Letter::Span(span) => self.span(span),
            Letter::Settings { lane, stretch, at, settings } => {
                self.settings(lane, stretch, at, settings);
            }
            Letter::Gauge { link, name, value, value_max } => {
                self.gauge(link.0, name, value, value_max);
            }
            Letter::Counted { lane, counters } => {
                if let Some(lane) = self.lanes.get_mut(lane) {
                    lane.counters = Some(*counters);
                }
            }
            Letter::Tick { at, .. } => self.second(at),
            Letter::Closed { at } => {
                self.second(at);
                self.closed = Some(at);
            }
        }
    }

    /// The whole run, and its last records.
    pub(crate) fn finish(self) -> Account {
        let until = self.closed.unwrap_or(self.second_began);
        for (number, lane) in self.lanes.iter().enumerate() {
            let Some(counters) = &lane.counters else { continue };
            let (link, direction) = link_of(number);
            let total = LinkTotal {
                link: link.0 as u64,
                direction: recorded(direction),
                counts: lane.counts(counters),
                queue_packets_max: counters.queue_packets_max,
                queue_bytes_max: counters.queue_bytes_max,
                passages_missed: counters.passages_missed,
            };
            self.records.emit(until, total);
        }
        let stretches = self.lanes.into_iter().map(|lane| lane.stretches).collect();
        Account { stretches, gauges: self.gauges, until }
    }

    fn settings(&mut self, number: usize, stretch: u32, at: Instant, settings: Box<Settings>) {
        let (link, direction) = link_of(number);
        let record = LinkSettings {
            link: link.0 as u64,
            direction: recorded(direction),
            name: self.names.get(link.0).map(|name| name.as_str().into()),
            settings: settings.to_string().into(),
        };
        self.records.emit(at, record);
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.settings.push((stretch, at, settings));
        }
    }

    fn span(&mut self, mut span: Box<Span>) {
        if let Some(lane) = self.lanes.get_mut(span.lane) {
            lane.second.add(&span);
            lane.stretch(&span);
        }
        span.clear();
        // A spare too many is let go.
        let _ = self.spent.try_send(span);
    }

    fn gauge(&mut self, link: usize, name: &'static str, last: u64, max: u64) {
        match self.gauges.iter_mut().find(|held| held.link == link && held.name == name) {
            Some(held) => {
                held.last = last;
                held.max = held.max.max(max);
            }
            None => self.gauges.push(GaugeAccount { link, name, last, max }),
        }
        let record =
            LinkGauge { link: link as u64, name: name.into(), value: last, value_max: max };
        // Its second ends with the next tick.
        self.gauges_told.push(record);
    }

    /// A second is over.
    fn second(&mut self, at: Instant) {
        self.second_began = at;
        for gauge in self.gauges_told.drain(..) {
            self.records.emit(at, gauge);
        }
        let mut recents = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            let sums = std::mem::take(&mut lane.second);
            if sums.span_ns == 0 {
                continue;
            }
            if let Some(recent) = recents.get_mut(number) {
                *recent = sums.recent();
            }
            if self.records.wants(Level::Second) {
                self.records.emit(at, event::Event::LinkSecond(Box::new(sums.record(number))));
            }
        }
    }
}

impl LaneAccount {
    /// Adds a span to its stretch.
    fn stretch(&mut self, span: &Span) {
        // The first stretch is that of no settings at all: before the link was watched.
        if span.stretch == 0 {
            return;
        }
        if self.last != Some(span.stretch) {
            let place = self.settings.iter().position(|(number, ..)| *number == span.stretch);
            // What stood before is over: its settings are not asked for again.
            let found = place.map(|place| self.settings.drain(..=place).next_back());
            let settings = found.flatten().map(|(_, _, settings)| settings);
            self.last = Some(span.stretch);
            if self.stretches.len() < STRETCHES_MAX {
                let from = span.from;
                self.stretches.push(Stretch { settings, from, ..Stretch::default() });
            } else if let Some(rest) = self.stretches.last_mut() {
                rest.settings = None;
            }
        }
        let Some(stretch) = self.stretches.last_mut() else { return };
        if span.is_mixed {
            stretch.settings = None;
        }
        stretch.until = span.until;
        stretch.sums.add(span);
        let room = JITTER_SAMPLES_MAX - stretch.jitter_ns.len().min(JITTER_SAMPLES_MAX);
        stretch.jitter_ns.extend(span.jitter_ns.iter().take(room).map(|nanos| *nanos as f64));
    }

    /// The pipe's own totals, and what only the stretches tell.
    fn counts(&self, counters: &Counters) -> LinkCounts {
        let mut counts = LinkCounts::default();
        for stretch in &self.stretches {
            add_counts(&mut counts, &stretch.sums.counts);
        }
        LinkCounts {
            offered_packets: counters.offered_packets,
            offered_bytes: counters.offered_bytes,
            delivered_packets: counters.delivered_packets,
            delivered_bytes: counters.delivered_bytes,
            ..counts
        }
    }
}

impl Stretch {
    /// Whether a packet came.
    pub(crate) fn is_used(&self) -> bool {
        self.sums.counts.offered_packets > 0
    }
}

impl Sums {
    fn add(&mut self, span: &Span) {
        self.span_ns += span.until.as_nanos().saturating_sub(span.from.as_nanos());
        add_counts(&mut self.counts, &span.counts);
        self.queue_packets_max = self.queue_packets_max.max(span.queue_packets_max);
        self.queue_bytes_max = self.queue_bytes_max.max(span.queue_bytes_max);
        for (sum, tally) in [
            (&mut self.queue_ns, &span.queue_ns),
            (&mut self.delay_ns, &span.delay_ns),
            (&mut self.late_ns, &span.late_ns),
            (&mut self.timer_ns, &span.timer_ns),
            (&mut self.send_ns, &span.send_ns),
            (&mut self.arrival_ns, &span.arrival_ns),
            (&mut self.burst_packets, &span.burst_packets),
        ] {
            if let Some(histogram) = tally.histogram() {
                sum.merge(&histogram);
            }
        }
        self.busy.bytes += span.busy.bytes;
        self.busy.model_ns += span.busy.model_ns;
        self.busy.actual_ns += span.busy.actual_ns;
        self.tested_packets += span.tested_packets;
        self.lost_packets += span.lost_packets;
        self.overflows += span.overflows;
    }

    fn recent(&self) -> Recent {
        let counts = &self.counts;
        Recent {
            span_ns: self.span_ns,
            offered_packets: counts.offered_packets,
            offered_bytes: counts.offered_bytes,
            delivered_packets: counts.delivered_packets,
            delivered_bytes: counts.delivered_bytes,
            dropped_packets: dropped_packets(counts),
            delay_p50_ns: self.delay_ns.quantile(0.5),
            delay_p99_ns: self.delay_ns.quantile(0.99),
            queue_p50_ns: self.queue_ns.quantile(0.5),
            queue_bytes_max: (counts.offered_packets > 0).then_some(self.queue_bytes_max),
        }
    }

    fn record(self, lane: usize) -> LinkSecond {
        let (link, direction) = link_of(lane);
        let some = |histogram: Histogram| (!histogram.is_empty()).then_some(histogram);
        let is_used = self.counts.offered_packets > 0;
        LinkSecond {
            link: link.0 as u64,
            direction: recorded(direction),
            span_ns: self.span_ns,
            counts: self.counts,
            queue_packets_max: is_used.then_some(self.queue_packets_max),
            queue_bytes_max: is_used.then_some(self.queue_bytes_max),
            queue_delay_ns: some(self.queue_ns),
            delay_ns: some(self.delay_ns),
            late_ns: some(self.late_ns),
            inter_send_ns: some(self.send_ns),
            inter_arrival_ns: some(self.arrival_ns),
        }
    }
}

fn add_counts(sum: &mut LinkCounts, more: &LinkCounts) {
    sum.offered_packets += more.offered_packets;
    sum.offered_bytes += more.offered_bytes;
    sum.delivered_packets += more.delivered_packets;
    sum.delivered_bytes += more.delivered_bytes;
    sum.duplicated_packets += more.duplicated_packets;
    sum.duplicated_bytes += more.duplicated_bytes;
    let mut more = *more;
    for reason in Reason::ALL {
        let (more_packets, more_bytes) = reason.counts(&mut more);
        let (packets, bytes) = reason.counts(sum);
        *packets += *more_packets;
        *bytes += *more_bytes;
    }
}

/// Stretches told apart in one direction; what follows is told together with the last.
const STRETCHES_MAX: usize = 256;
/// The first delays of a stretch are enough for a test.
const JITTER_SAMPLES_MAX: usize = 10_000;
