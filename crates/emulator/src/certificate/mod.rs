//! Asked against achieved: what each run ends with.
//!
//! `docs/link-certificate.md` says how each figure is made. What was not measured is absent.

mod show;
#[cfg(test)]
mod tests;

use serde::Serialize;
use weir_link::Direction;
use weir_record::Histogram;
use weir_record::event::{LinkCertificate, LinkCounts};

use crate::asked;
use crate::capture::CaptureStatus;
use crate::observer::{Account, Stretch as Counted, Sums, link_of, recorded};
use crate::statistics::{chi_square, kolmogorov_smirnov, wilson_inflated};
use crate::text;

/// What a run proves. Shown for people, serialised for programs.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Certificate {
    /// What carried the packets: `relay udp`, `relay tcp`, `namespace`.
    pub driver: String,
    /// The seed that fates followed from.
    pub seed: u64,
    /// How long the links were there.
    pub span_ns: u64,
    /// Models that stood in for real parts, with their versions.
    pub models: Vec<(String, String)>,
    /// What is not as on a real link, in sentences.
    pub fidelity: Vec<String>,
    /// Each direction of each link, in order: up, then down.
    pub directions: Vec<DirectionCertificate>,
    /// Figures that the driver alone knows.
    pub gauges: Vec<Gauge>,
    /// Whether the machine kept up.
    pub machine: Machine,
    /// The last capture, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureStatus>,
    /// What else went wrong, in sentences.
    pub warnings: Vec<String>,
}

/// One direction of a link.
#[derive(Clone, Debug, Serialize)]
pub struct DirectionCertificate {
    /// The link's name.
    pub link: String,
    /// The direction.
    pub direction: Direction,
    /// Each stretch of constant settings, in order.
    pub stretches: Vec<Stretch>,
}

/// What was achieved while settings stayed the same.
#[derive(Clone, Debug, Serialize)]
pub struct Stretch {
    /// What was asked; absent if settings changed faster than they could be told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
    /// When the settings began to hold, since the start.
    pub from_ns: u64,
    /// For how long they held.
    pub span_ns: u64,
    /// What happened to packets.
    pub counts: LinkCounts,
    /// The rate while packets were sent back to back; absent where that was too short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Delay; absent where nothing came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    /// Jitter; absent without jitter, and where packets held each other back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Jitter>,
    /// Loss by chance; absent where no packet was put to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// The queue.
    pub queue: Queue,
    #[serde(skip)]
    late_ns: Histogram,
    #[serde(skip)]
    timer_ns: Histogram,
    #[serde(skip)]
    burst_packets: Histogram,
}

/// The rate while packets were sent back to back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// What was asked; what the model did where the rate varies.
    pub asked_bps: f64,
    /// What the driver did.
    pub achieved_bps: f64,
    /// How much more that is, as a share; negative for less.
    pub error: f64,
    /// For how long packets were sent back to back.
    pub busy_ns: u64,
}

/// Delay of the packets that came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Delay {
    /// Packets that came out.
    pub packets: u64,
    /// The median time from entry to exit, the queue included.
    pub p50_ns: u64,
    /// The time that 99 % do not exceed.
    pub p99_ns: u64,
    /// How much later than asked packets were sent on: the median.
    pub error_p50_ns: u64,
    /// The same, what 99 % do not exceed.
    pub error_p99_ns: u64,
    /// The same, the greatest.
    pub error_max_ns: u64,
    /// The same of those alone that the driver had slept for: the error of its timer. Absent if it
    /// never slept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer_p50_ns: Option<u64>,
    /// What 99 % of those do not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer_p99_ns: Option<u64>,
}

/// The Kolmogorov-Smirnov test of delays against the jitter asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Jitter {
    /// Packets that no other held back.
    pub packets: u64,
    /// The greatest distance between both distributions.
    pub distance: f64,
    /// The chance of a distance as great if the delays are as asked.
    pub p_value: f64,
}

/// What chance took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Loss {
    /// Packets that chance could have taken.
    pub tested_packets: u64,
    /// Packets that it took.
    pub lost_packets: u64,
    /// The share asked for; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<f64>,
    /// The share lost.
    pub achieved: f64,
    /// Lower end of the 95 % confidence interval.
    pub low: f64,
    /// Upper end of the same.
    pub high: f64,
    /// The chi-square test against what was asked: the chance of a difference as great. Absent
    /// where too few losses are expected for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// The mean length of a run of lost packets that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_asked: Option<f64>,
    /// The mean length of the runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_mean: Option<f64>,
    /// The longest run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_max: Option<u64>,
}

/// The queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// How often it overflowed: runs of packets that it refused.
    pub overflows: u64,
    /// Packets that it refused.
    pub dropped_packets: u64,
    /// The most packets that waited at once.
    pub packets_max: u64,
    /// The most bytes that waited at once.
    pub bytes_max: u64,
    /// The median time in it; absent if nothing left it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ns: Option<u64>,
    /// The time that 99 % do not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ns: Option<u64>,
}

/// A figure that the driver alone knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gauge {
    /// The link.
    pub link: String,
    /// What, its unit last.
    pub name: String,
    /// Its greatest value.
    pub max: u64,
    /// Its value at the end.
    pub last: u64,
}

/// Whether the machine kept up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Machine {
    /// It was too slow for what was asked.
    pub is_too_slow: bool,
    /// Why, in sentences.
    pub reasons: Vec<String>,
    /// The share of the run that the driver's thread used a CPU; absent where the system does not
    /// say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_share: Option<f64>,
    /// The share that it was ready to go on and had no CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_wait_share: Option<f64>,
}

impl Certificate {
    /// The figures of a run whose links have these names.
    pub(crate) fn of(account: &Account, names: &[String]) -> Certificate {
        let name = |link: usize| names.get(link).cloned().unwrap_or_default();
        let lanes = account.stretches.iter().enumerate();
        let directions = lanes.map(|(lane, stretches)| {
            let (link, direction) = link_of(lane);
            // Settings that were replaced at once asked for nothing.
            let held = |stretch: &&Counted| stretch.until > stretch.from || stretch.is_used();
            let stretches = stretches.iter().filter(held).map(Stretch::of).collect();
            DirectionCertificate { link: name(link.0), direction, stretches }
        });
        let gauges = account.gauges.iter().map(|gauge| Gauge {
            link: name(gauge.link),
            name: gauge.name.to_owned(),
            max: gauge.max,
            last: gauge.last,
        });
        Certificate {
            span_ns: account.until.as_nanos(),
            directions: directions.collect(),
            gauges: gauges.collect(),
            ..Certificate::default()
        }
    }

    /// Judges whether the machine kept up, from the figures and from what the system says.
    pub(crate) fn judge(&mut self, cpu_share: Option<f64>, cpu_wait_share: Option<f64>) {
        let mut reasons = Vec::new();
        for direction in &self.directions {
            let way = text_of(direction.direction);
            reasons.extend(direction.too_late(way));
            reasons.extend(direction.too_little(way));
        }
        if let Some(share) = cpu_wait_share.filter(|share| *share > CPU_WAIT_MAX) {
            let share = text::percent(share);
            reasons.push(format!("the driver had to wait for a CPU {share} of the time"));
        }
        let is_too_slow = !reasons.is_empty();
        self.machine = Machine { is_too_slow, reasons, cpu_share, cpu_wait_share };
    }

    /// Whether the machine was too slow, in one sentence.
    pub fn verdict(&self) -> String {
        match self.machine.is_too_slow {
            false if self.directions.iter().all(|d| d.packets() == 0) => {
                "No packet came: nothing was measured.".to_owned()
            }
            false => "The machine kept up: all that was asked was done.".to_owned(),
            true => {
                format!("This machine was too slow for that: {}.", self.machine.reasons.join("; "))
            }
        }
    }

    /// The records that say the same.
    pub(crate) fn records(&self) -> Vec<LinkCertificate> {
        let lanes = self.directions.iter().enumerate();
        lanes
            .flat_map(|(lane, direction)| {
                direction.stretches.iter().map(move |stretch| stretch.record(lane))
            })
            .collect()
    }
}

impl DirectionCertificate {
    /// Packets that came to this end.
    pub fn packets(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.counts.offered_packets).sum()
    }

    fn too_late(&self, way: &str) -> Option<String> {
        let mut late = Histogram::new();
        self.stretches.iter().for_each(|stretch| late.merge(&stretch.late_ns));
        let p99 = late.quantile(0.99).filter(|_| late.count() >= LATE_PACKETS_MIN)?;
        (p99 > LATE_P99_MAX_NS).then(|| {
            let (late, link) = (text::millis(p99), &self.link);
            format!("{link} {way}: one packet in 100 left {late} too late or more")
        })
    }

    fn too_little(&self, way: &str) -> Option<String> {
        let short = self.stretches.iter().filter_map(|stretch| stretch.rate);
        let short = short.filter(|rate| rate.busy_ns >= SHORT_BUSY_MIN_NS);
        let worst = short.min_by(|one, other| one.error.total_cmp(&other.error))?;
        (worst.error < -RATE_SHORT_MAX).then(|| {
            let (asked, got) =
                (text::bit_rate(worst.asked_bps), text::bit_rate(worst.achieved_bps));
            format!("{} {way}: {got} where {asked} was asked", self.link)
        })
    }
}

impl Stretch {
    fn of(counted: &Counted) -> Stretch {
        let sums = &counted.sums;
        Stretch {
            settings: counted.settings.as_ref().map(ToString::to_string),
            from_ns: counted.from.as_nanos(),
            span_ns: counted.until.since(counted.from).as_nanos() as u64,
            counts: sums.counts,
            rate: Rate::of(counted),
            delay: Delay::of(sums),
            jitter: Jitter::of(counted),
            loss: Loss::of(counted),
            queue: Queue {
                overflows: sums.overflows,
                dropped_packets: sums.counts.dropped_queue_packets,
                packets_max: sums.queue_packets_max,
                bytes_max: sums.queue_bytes_max,
                p50_ns: sums.queue_ns.quantile(0.5),
                p99_ns: sums.queue_ns.quantile(0.99),
            },
            late_ns: sums.late_ns.clone(),
            timer_ns: sums.timer_ns.clone(),
            burst_packets: sums.burst_packets.clone(),
        }
    }

    fn record(&self, lane: usize) -> LinkCertificate {
        let (link, direction) = link_of(lane);
        let some = |histogram: &Histogram| (!histogram.is_empty()).then(|| histogram.clone());
        let ppb = |share: f64| (share * 1e9).round() as u64;
        LinkCertificate {
            link: link.0 as u64,
            direction: recorded(direction),
            settings: self.settings.as_deref().map(Into::into),
            from_t_ns: self.from_ns,
            span_ns: self.span_ns,
            counts: self.counts,
            busy_ns: self.rate.map(|rate| rate.busy_ns),
            rate_asked_bps: self.rate.map(|rate| rate.asked_bps.round() as u64),
            rate_achieved_bps: self.rate.map(|rate| rate.achieved_bps.round() as u64),
            late_ns: some(&self.late_ns),
            timer_late_ns: some(&self.timer_ns),
            loss_tested_packets: self.loss.map_or(0, |loss| loss.tested_packets),
            loss_asked_ppb: self.loss.and_then(|loss| loss.asked).map(ppb),
            loss_low_ppb: self.loss.map(|loss| ppb(loss.low)),
            loss_high_ppb: self.loss.map(|loss| ppb(loss.high)),
            loss_p_value_ppb: self.loss.and_then(|loss| loss.p_value).map(ppb),
            burst_packets: some(&self.burst_packets),
            jitter_p_value_ppb: self.jitter.map(|jitter| ppb(jitter.p_value)),
            queue_overflows: self.queue.overflows,
            queue_bytes_max: Some(self.queue.bytes_max),
        }
    }
}

impl Rate {
    fn of(counted: &Counted) -> Option<Rate> {
        let busy = counted.sums.busy;
        let actual_ns = u64::try_from(busy.actual_ns).ok().filter(|nanos| *nanos > 0)?;
        if busy.model_ns < BUSY_MIN_NS {
            return None;
        }
        let bps = |nanos: u64| busy.bytes as f64 * 8e9 / nanos as f64;
        let constant = counted.settings.as_deref().and_then(asked::rate_bps);
        let asked_bps = constant.map_or_else(|| bps(busy.model_ns), |rate| rate as f64);
        let achieved_bps = bps(actual_ns);
        let error = achieved_bps / asked_bps - 1.0;
        Some(Rate { asked_bps, achieved_bps, error, busy_ns: actual_ns })
    }
}

impl Delay {
    fn of(sums: &Sums) -> Option<Delay> {
        Some(Delay {
            packets: sums.late_ns.count(),
            p50_ns: sums.delay_ns.quantile(0.5)?,
            p99_ns: sums.delay_ns.quantile(0.99)?,
            error_p50_ns: sums.late_ns.quantile(0.5)?,
            error_p99_ns: sums.late_ns.quantile(0.99)?,
            error_max_ns: sums.late_ns.max()?,
            timer_p50_ns: sums.timer_ns.quantile(0.5),
            timer_p99_ns: sums.timer_ns.quantile(0.99),
        })
    }
}

impl Jitter {
    fn of(counted: &Counted) -> Option<Jitter> {
        let asked = asked::delay(counted.settings.as_deref()?)?;
        let mut samples = counted.jitter_ns.clone();
        let tested = kolmogorov_smirnov(
            &mut samples,
            |delay| asked.below(delay),
            |delay| asked.strictly_below(delay),
        )?;
        let packets = samples.len() as u64;
        Some(Jitter { packets, distance: tested.statistic, p_value: tested.p_value })
    }
}

impl Loss {
    fn of(counted: &Counted) -> Option<Loss> {
        let sums = &counted.sums;
        let (tested, lost) = (sums.tested_packets, sums.lost_packets);
        let asked = counted.settings.as_deref().and_then(asked::loss);
        let inflation = asked.map_or(1.0, |asked| asked.inflation);
        let interval = wilson_inflated(lost, tested, inflation)?;
        let p_value = asked.and_then(|asked| chi_square(lost, tested, asked.share, inflation));
        let bursts = &sums.burst_packets;
        let count = bursts.count();
        Some(Loss {
            tested_packets: tested,
            lost_packets: lost,
            asked: asked.map(|asked| asked.share),
            achieved: lost as f64 / tested as f64,
            low: interval.low,
            high: interval.high,
            p_value: p_value.map(|tested| tested.p_value),
            burst_asked: asked.and_then(|asked| asked.burst_mean),
            burst_mean: (count > 0).then(|| bursts.sum() as f64 / count as f64),
            burst_max: bursts.max(),
        })
    }
}

pub(crate) fn text_of(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
    }
}

/// A rate is told from so much time of packets back to back.
const BUSY_MIN_NS: u64 = 100_000_000;
/// The machine is judged by the rate from so much of it.
const SHORT_BUSY_MIN_NS: u64 = 1_000_000_000;
/// Twice what packets may be late in 99 of 100 cases.
const LATE_P99_MAX_NS: u64 = 1_000_000;
/// Fewer packets do not judge the machine.
const LATE_PACKETS_MIN: u64 = 100;
const RATE_SHORT_MAX: f64 = 0.01;
const CPU_WAIT_MAX: f64 = 0.1;
