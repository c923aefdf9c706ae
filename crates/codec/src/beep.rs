//! The beep of the test pattern: 1 kHz during the first 100 ms of each whole second
//! (`docs/timecode.md`).

use std::collections::VecDeque;
use std::f32::consts::TAU;

use weir_media::MediaTime;

/// The beep's tone.
pub const TONE_HZ: u32 = 1_000;
/// Its amplitude: 12 dB below full scale.
pub const AMPLITUDE: f32 = 0.25;

/// Finds where beeps begin, to the millisecond.
///
/// It follows how strong the tone is in a window of two of its periods. A beep has begun where
/// half of its strength was reached: there the window stands half in silence, half in the tone.
#[derive(Debug)]
pub struct Detector {
    rate_hz: u32,
    /// When the next sample is heard, and how many came since that was said.
    origin: MediaTime,
    since_origin: i64,
    window: VecDeque<Term>,
    sum: Term,
    /// The newest samples of the tone's strength, one each [`HOP_HZ`].
    strengths: VecDeque<Strength>,
    until_hop: u32,
    /// Nothing is looked for until the tone has been away.
    is_armed: bool,
    quiet_hops: u32,
}

/// A sample times the tone, and its square.
#[derive(Clone, Copy, Debug, Default)]
struct Term {
    cosine: f64,
    sine: f64,
    square: f64,
}

#[derive(Clone, Copy, Debug)]
struct Strength {
    /// Samples since the origin, of the window's middle.
    at: i64,
    amplitude: f64,
    /// Which part of the window's energy the tone has.
    purity: f64,
}

impl Detector {
    /// A detector of sound with so many samples a second, 8,000 or more.
    pub fn new(rate_hz: u32) -> Self {
        Detector {
            rate_hz: rate_hz.max(RATE_MIN_HZ),
            origin: MediaTime::ZERO,
            since_origin: 0,
            window: VecDeque::new(),
            sum: Term::default(),
            strengths: VecDeque::new(),
            until_hop: 0,
            is_armed: false,
            quiet_hops: 0,
        }
    }

    /// Takes the next samples of one channel, of which the first is heard at `pts`; gives back
    /// when beeps began. A beep is told some 20 ms after it began. Sound that does not follow
    /// what came before starts anew: a beep in which it begins is not told.
    pub fn push(&mut self, pts: MediaTime, samples: &[f32]) -> Vec<MediaTime> {
        let expected = self.time_of(self.since_origin);
        if (pts - expected).as_nanos().unsigned_abs() > GAP_NANOS {
            *self = Detector { origin: pts, ..Detector::new(self.rate_hz) };
        }
        let mut begun = Vec::new();
        for &sample in samples {
            self.add(sample);
            self.since_origin += 1;
            if self.until_hop == 0 {
                self.until_hop = (self.rate_hz / HOP_HZ).max(1);
                begun.extend(self.hop());
            }
            self.until_hop -= 1;
        }
        begun
    }

    fn time_of(&self, sample: i64) -> MediaTime {
        self.origin + MediaTime::from_ticks(sample, self.rate_hz)
    }

    fn window_len(&self) -> usize {
        (self.rate_hz * PERIODS / TONE_HZ) as usize
    }

    fn add(&mut self, sample: f32) {
        let sample = if sample.is_finite() { sample } else { 0.0 };
        let place = self.since_origin.rem_euclid(i64::from(self.rate_hz)) as f32;
        // The tone has a whole number of periods in each second.
        let turn = (place * TONE_HZ as f32 / self.rate_hz as f32).fract() * TAU;
        let wide = f64::from(sample);
        let term = Term {
            cosine: wide * f64::from(turn.cos()),
            sine: wide * f64::from(turn.sin()),
            square: wide * wide,
        };
        self.window.push_back(term);
        self.sum.cosine += term.cosine;
        self.sum.sine += term.sine;
        self.sum.square += term.square;
        if self.window.len() > self.window_len() {
            let old = self.window.pop_front().unwrap_or_default();
            self.sum.cosine -= old.cosine;
            self.sum.sine -= old.sine;
            self.sum.square -= old.square;
        }
    }

    /// Looks at the tone's strength now; gives back when a beep began, if that is clear now.
    fn hop(&mut self) -> Option<MediaTime> {
        let len = self.window_len() as f64;
        let amplitude = 2.0 * self.sum.cosine.hypot(self.sum.sine) / len;
        let energy = self.sum.square.max(f64::MIN_POSITIVE);
        let purity = amplitude * amplitude * len / 2.0 / energy;
        let at = self.since_origin - self.window_len() as i64 / 2;
        self.strengths.push_back(Strength { at, amplitude, purity });
        if self.strengths.len() > HISTORY_HOPS {
            self.strengths.pop_front();
        }
        if amplitude < AMPLITUDE_MIN {
            self.quiet_hops += 1;
            self.is_armed |= self.quiet_hops >= QUIET_HOPS;
            return None;
        }
        let sustained = self.strengths.iter().rev().take(SUSTAINED_HOPS);
        let is_tone = |strength: &Strength| {
            strength.amplitude >= AMPLITUDE_MIN && strength.purity >= PURITY_MIN
        };
        if !self.is_armed || sustained.filter(|strength| is_tone(strength)).count() < SUSTAINED_HOPS
        {
            if self.quiet_hops > 0 && !self.is_armed {
                self.quiet_hops = 0;
            }
            return None;
        }
        self.is_armed = false;
        self.quiet_hops = 0;
        self.onset().map(|sample| self.time_of(sample))
    }

    /// Where the strength passed half of what it has now.
    fn onset(&self) -> Option<i64> {
        let half = self.strengths.back()?.amplitude / 2.0;
        let first = self.strengths.iter().rposition(|strength| strength.amplitude < half)?;
        let (before, after) = (self.strengths.get(first)?, self.strengths.get(first + 1)?);
        let part = (half - before.amplitude) / (after.amplitude - before.amplitude);
        Some(before.at + ((after.at - before.at) as f64 * part).round() as i64)
    }
}

const RATE_MIN_HZ: u32 = 8_000;
/// Periods of the tone in a window.
const PERIODS: u32 = 2;
/// How often the strength is looked at: each quarter of a millisecond.
const HOP_HZ: u32 = 4_000;
/// What is remembered of the strength: 40 ms.
const HISTORY_HOPS: usize = 160;
/// A beep is told once it has lasted 20 ms.
const SUSTAINED_HOPS: usize = 80;
/// Silence before a beep: 100 ms in all.
const QUIET_HOPS: u32 = 400;
/// 36 dB below full scale.
const AMPLITUDE_MIN: f64 = 0.016;
const PURITY_MIN: f64 = 0.6;
/// Sound that comes a millisecond off does not follow what came before.
const GAP_NANOS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn beeps(rate_hz: u32, seconds: f64, amplitude: f32, starts: &[f64]) -> Vec<f32> {
        let count = (seconds * f64::from(rate_hz)) as usize;
        let sample = |at: usize| {
            let now = at as f64 / f64::from(rate_hz);
            let within = starts.iter().map(|start| now - start).find(|t| (0.0..0.1).contains(t));
            let turns = |t: f64| (t * f64::from(TONE_HZ)).fract() as f32;
            within.map_or(0.0, |t| amplitude * (turns(t) * TAU).sin())
        };
        (0..count).map(sample).collect()
    }

    fn found(rate_hz: u32, samples: &[f32], block: usize) -> Vec<f64> {
        let mut detector = Detector::new(rate_hz);
        let blocks = samples.chunks(block).enumerate();
        let found = blocks.flat_map(|(number, samples)| {
            detector.push(MediaTime::from_ticks((number * block) as i64, rate_hz), samples)
        });
        found.map(MediaTime::as_secs_f64).collect()
    }

    #[test]
    fn a_beep_is_found_to_the_millisecond_at_any_rate_and_strength() {
        for rate_hz in [8_000, 16_000, 22_050, 44_100, 48_000] {
            for amplitude in [0.05, 0.25, 1.0] {
                let starts = [0.2503, 1.0, 1.9996];
                let samples = beeps(rate_hz, 2.5, amplitude, &starts);
                let found = found(rate_hz, &samples, 480);
                assert_eq!(found.len(), 3, "{rate_hz} Hz, {amplitude}: {found:?}");
                for (found, start) in found.iter().zip(starts) {
                    assert!((found - start).abs() < 0.0007, "{rate_hz} Hz: {found} for {start}");
                }
            }
        }
    }

    #[test]
    fn noise_and_other_tones_are_no_beep() {
        let mut random = weir_time::Random::new(1);
        let noise: Vec<f32> = (0..96_000).map(|_| random.next_f64() as f32 - 0.5).collect();
        assert_eq!(found(48_000, &noise, 960), [0.0; 0]);
        let tone: Vec<f32> =
            (0..96_000).map(|at| (at as f32 * 440.0 / 48_000.0 * TAU).sin()).collect();
        assert_eq!(found(48_000, &tone, 960), [0.0; 0]);
    }

    #[test]
    fn a_gap_starts_anew_and_a_beep_cut_into_is_not_told() {
        let samples = beeps(48_000, 1.5, 0.25, &[0.0, 1.0]);
        let mut detector = Detector::new(48_000);
        // From the middle of the first beep on.
        let begun = detector.push(MediaTime::from_ticks(2_400, 48_000), &samples[2_400..24_000]);
        assert_eq!(begun, []);
        let begun = detector.push(MediaTime::from_nanos(7_000_000_000), &samples[24_000..]);
        assert_eq!(begun.len(), 1);
        assert!((begun[0].as_secs_f64() - 7.5).abs() < 0.001, "{begun:?}");
    }
}
