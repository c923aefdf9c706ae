//! Changes at their times.

use core::time::Duration;

use weir_time::{Instant, Random, hash};

use crate::change::Change;
use crate::settings::{Loss, Rate, Settings};
use crate::text::Span;

/// What changes when, counted from the moment at which a pipe begins to follow it.
///
/// As text, entries with `;` or line ends between them, each one of
/// `at 10s rate=1mbit delay=80ms`, `ramp rate 5mbit..1mbit from 10s to 20s`,
/// `square rate 5mbit/1mbit every 10s` and `walk rate 1mbit..8mbit every 500ms by 20%`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    pub(crate) entries: Vec<Entry>,
}

/// One entry of a [`Schedule`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    At { at: Duration, change: Change },
    Wave(Wave),
}

/// A setting that changes again and again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wave {
    pub(crate) shape: Shape,
    pub(crate) values: Values,
    pub(crate) from: Duration,
    /// When it ends; the last value stays.
    pub(crate) to: Option<Duration>,
}

/// How a setting goes from value to value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// From the first value to the second, evenly, a step each so long.
    Ramp { step: Duration },
    /// The first value for half of each period, then the second.
    Square { period: Duration },
    /// A random walk between the two: each so long by this share at most, up or down.
    Walk { every: Duration, by: f64, seed: u64 },
}

/// The setting that changes, and two values of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Values {
    Rate(u64, u64),
    Delay(Duration, Duration),
    Loss(f64, f64),
}

/// A schedule on its way.
#[derive(Debug)]
pub(crate) struct Playing {
    began: Instant,
    /// Changes at one time each, by their times.
    single: Vec<(Duration, Change)>,
    next_single: usize,
    waves: Vec<WaveState>,
}

#[derive(Debug)]
struct WaveState {
    wave: Wave,
    /// Steps that were made.
    steps: u64,
    random: Random,
    /// Where a walk is.
    value: f64,
}

impl Schedule {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Playing {
    /// Begins now. What is random in it depends on `key` and on its own seeds.
    pub(crate) fn new(schedule: &Schedule, began: Instant, key: u64) -> Self {
        let mut single = Vec::new();
        let mut waves = Vec::new();
        for (number, entry) in schedule.entries.iter().enumerate() {
            match entry {
                Entry::At { at, change } => single.push((*at, change.clone())),
                Entry::Wave(wave) => {
                    let seed = match wave.shape {
                        Shape::Walk { seed, .. } => seed,
                        _ => 0,
                    };
                    waves.push(WaveState {
                        wave: wave.clone(),
                        steps: 0,
                        random: Random::new(hash([key, number as u64, seed])),
                        value: wave.values.middle(),
                    });
                }
            }
        }
        // Stable: of those at one time the last in the text wins.
        single.sort_by_key(|(at, _)| *at);
        Playing { began, single, next_single: 0, waves }
    }

    /// When the next change is; `None` after the last.
    pub(crate) fn next(&self) -> Option<Instant> {
        let single = self.single.get(self.next_single).map(|(at, _)| *at);
        let waves = self.waves.iter().filter_map(WaveState::next);
        waves.chain(single).min().map(|after| self.began + after)
    }

    /// Makes all changes that are due at `at`: waves in the order of the text, then single changes.
    pub(crate) fn apply(&mut self, at: Instant, settings: &mut Settings) {
        let after = at.since(self.began);
        for wave in &mut self.waves {
            while wave.next().is_some_and(|next| next <= after) {
                wave.step(settings);
            }
        }
        while let Some((due, change)) = self.single.get(self.next_single)
            && *due <= after
        {
            change.apply(settings);
            self.next_single += 1;
        }
    }
}

impl WaveState {
    /// When its next step is, since the start of the schedule.
    fn next(&self) -> Option<Duration> {
        let Wave { shape, from, to, .. } = &self.wave;
        let after = match shape {
            Shape::Ramp { step } => {
                // The last step ends at the end, however long it is.
                let length = to.unwrap_or(*from).saturating_sub(*from);
                if self.steps > 0 && times(*step, self.steps - 1) >= length {
                    return None;
                }
                return Some(*from + times(*step, self.steps).min(length));
            }
            Shape::Square { period } => times(*period, self.steps) / 2,
            Shape::Walk { every, .. } => times(*every, self.steps),
        };
        let next = *from + after;
        to.is_none_or(|to| next < to).then_some(next)
    }

    fn step(&mut self, settings: &mut Settings) {
        let values = self.wave.values;
        match self.wave.shape {
            Shape::Ramp { step } => {
                let length = self.wave.to.unwrap_or_default().saturating_sub(self.wave.from);
                let done = times(step, self.steps);
                if done >= length {
                    values.set(1, settings);
                } else {
                    values.set_between(done.as_nanos(), length.as_nanos(), settings);
                }
            }
            Shape::Square { .. } => values.set(self.steps % 2, settings),
            Shape::Walk { by, .. } => {
                if self.steps > 0 {
                    self.wander(by);
                }
                values.set_value(self.value, settings);
            }
        }
        self.steps += 1;
    }

    /// A step of the walk: up and down by the same factors, and back from the bounds.
    fn wander(&mut self, by: f64) {
        let draw = 2.0 * self.random.next_f64() - 1.0;
        let factor = 1.0 + by * draw.abs();
        let value = if draw >= 0.0 { self.value * factor } else { self.value / factor };
        let (low, high) = self.wave.values.bounds();
        let value = if value > high { high * high / value } else { value };
        let value = if value < low { low * low / value } else { value };
        self.value = value.clamp(low, high);
    }
}

impl Values {
    /// The lower and the upper of the two, in bits a second, nanoseconds or shares.
    pub(crate) fn bounds(&self) -> (f64, f64) {
        let (one, other) = match *self {
            Values::Rate(one, other) => (one as f64, other as f64),
            Values::Delay(one, other) => (one.as_nanos() as f64, other.as_nanos() as f64),
            Values::Loss(one, other) => (one, other),
        };
        (one.min(other), one.max(other))
    }

    /// Where a walk begins: as far from one bound as from the other, by factors.
    fn middle(&self) -> f64 {
        let (low, high) = self.bounds();
        (low * high).sqrt().clamp(low, high)
    }

    /// The first value (0) or the second.
    fn set(&self, which: u64, settings: &mut Settings) {
        match *self {
            Values::Rate(one, other) => {
                settings.rate = Rate::bits_per_second(if which == 0 { one } else { other });
            }
            Values::Delay(one, other) => settings.delay = if which == 0 { one } else { other },
            Values::Loss(one, other) => {
                settings.loss = Loss::Independent(if which == 0 { one } else { other });
            }
        }
    }

    /// A value `part` of `whole` on the way from the first to the second.
    fn set_between(&self, part: u128, whole: u128, settings: &mut Settings) {
        let between = |one: u64, other: u64| {
            let way = u128::from(one.abs_diff(other)) * part / whole;
            let way = u64::try_from(way).unwrap_or(u64::MAX);
            if one <= other { one + way } else { one - way }
        };
        match *self {
            Values::Rate(one, other) => settings.rate = Rate::bits_per_second(between(one, other)),
            Values::Delay(one, other) => {
                let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
                settings.delay = Duration::from_nanos(between(nanos(one), nanos(other)));
            }
            Values::Loss(one, other) => {
                let chance = one + (other - one) * (part as f64 / whole as f64);
                settings.loss = Loss::Independent(chance.clamp(0.0, 1.0));
            }
        }
    }

    fn set_value(&self, value: f64, settings: &mut Settings) {
        match self {
            Values::Rate(..) => settings.rate = Rate::bits_per_second(value.round() as u64),
            Values::Delay(..) => settings.delay = Duration::from_nanos(value.round() as u64),
            Values::Loss(..) => settings.loss = Loss::Independent(value),
        }
    }
}

fn times(span: Duration, count: u64) -> Duration {
    let nanos = span.as_nanos().saturating_mul(u128::from(count));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The least time between two steps.
pub(crate) const STEP_MIN: Span = Span(Duration::from_millis(1));

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings after each change, with the time in milliseconds, up to a time.
    fn played(text: &str, until: u64) -> Vec<(u64, Settings)> {
        let schedule: Schedule = text.parse().expect("it is well formed");
        let mut playing = Playing::new(&schedule, Instant::from_millis(1000), 5);
        let mut settings = Settings::default();
        let mut seen = Vec::new();
        while let Some(at) = playing.next()
            && at <= Instant::from_millis(1000 + until)
        {
            playing.apply(at, &mut settings);
            seen.push((at.as_nanos() / 1_000_000 - 1000, settings.clone()));
        }
        seen
    }

    fn rates(text: &str, until: u64) -> Vec<(u64, u64)> {
        let kbits = |settings: &Settings| match settings.rate {
            Rate::Constant { bits_per_second } => bits_per_second / 1000,
            _ => panic!("there is a rate"),
        };
        played(text, until).iter().map(|(at, settings)| (*at, kbits(settings))).collect()
    }

    #[test]
    fn steps_come_at_their_times_in_any_order_of_the_text() {
        let seen = played("at 2s rate=1mbit; at 1s rate=5mbit loss=1%; at 2s delay=9ms", 9000);
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[0].0, seen[1].0), (1000, 2000));
        assert_eq!(seen[1].1.to_string(), "rate=1mbit delay=9ms loss=1%");
    }

    #[test]
    fn a_ramp_goes_evenly_and_ends_at_its_end() {
        let ramp = "ramp rate 5mbit..1mbit from 1s to 1.9s step 400ms";
        assert_eq!(rates(ramp, 9000), [(1000, 5000), (1400, 3222), (1800, 1444), (1900, 1000)]);
        let ramp = "ramp rate 1mbit..2mbit from 0s to 200ms";
        assert_eq!(rates(ramp, 9000), [(0, 1000), (100, 1500), (200, 2000)]);
    }

    #[test]
    fn a_square_changes_twice_a_period_until_it_ends() {
        let square = "square rate 5mbit/0 every 3s from 1s to 5s";
        assert_eq!(rates(square, 9000), [(1000, 5000), (2500, 0), (4000, 5000)]);
    }

    #[test]
    fn a_walk_stays_within_its_bounds_wanders_and_is_the_same_again() {
        let walk = "walk rate 1mbit..8mbit every 10ms by 20%";
        let seen = rates(walk, 100_000);
        assert!(seen.iter().all(|(_, kbits)| (1000..=8000).contains(kbits)));
        assert!(seen.iter().any(|(_, kbits)| *kbits < 1300));
        assert!(seen.iter().any(|(_, kbits)| *kbits > 6500));
        assert!(seen.windows(2).all(|pair| pair[1].1 * 5 <= pair[0].1 * 6 + 5));
        assert_eq!(seen, rates(walk, 100_000));
        assert_ne!(seen, rates("walk rate 1mbit..8mbit every 10ms by 20% seed 2", 100_000));
    }

    #[test]
    fn delays_and_losses_change_too() {
        let seen = played(
            "square delay 10ms/20ms every 2s; ramp loss 0%..10% from 0s to 1s step 500ms",
            1000,
        );
        let said: Vec<String> = seen.iter().map(|(_, settings)| settings.to_string()).collect();
        assert_eq!(said, ["delay=10ms loss=0%", "delay=10ms loss=5%", "delay=20ms loss=10%"]);
    }
}
