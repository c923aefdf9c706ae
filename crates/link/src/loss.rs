//! Which packets chance takes.

use weir_time::hash;

use crate::settings::{GilbertElliott, Loss};

/// The loss of one pipe. The state at a packet's index depends on draws at that index and before.
#[derive(Debug)]
pub(crate) struct Chance {
    loss_key: u64,
    step_key: u64,
    /// Whether the chain is bad; absent until its first step.
    bad: Option<bool>,
    /// The index whose step comes next.
    next: u64,
}

impl Chance {
    pub(crate) fn new(loss_key: u64, step_key: u64) -> Self {
        Chance { loss_key, step_key, bad: None, next: 0 }
    }

    /// Lets a new chain begin at packet `index`, in its long-run state.
    pub(crate) fn restart(&mut self, index: u64) {
        self.bad = None;
        self.next = index;
    }

    /// Whether packet `index` is lost. Indices must grow; those left out are stepped over.
    pub(crate) fn takes(&mut self, loss: &Loss, index: u64) -> bool {
        let survives = match loss {
            Loss::None => return false,
            Loss::Independent(chance) => 1.0 - chance,
            Loss::GilbertElliott(model) => {
                if self.is_bad(model, index) {
                    model.h
                } else {
                    model.k
                }
            }
            Loss::Every(number) => return (index + 1).is_multiple_of(*number),
            Loss::Packets(numbers) => return numbers.contains(index),
        };
        unit(hash([self.loss_key, index])) >= survives
    }

    fn is_bad(&mut self, model: &GilbertElliott, index: u64) -> bool {
        while self.next <= index {
            let turn_bad = match self.bad {
                None => model.bad_share(),
                Some(false) => model.p,
                Some(true) => 1.0 - model.r,
            };
            self.bad = Some(unit(hash([self.step_key, self.next])) < turn_bad);
            self.next += 1;
        }
        self.bad == Some(true)
    }
}

/// A number from 0 (included) to 1 (excluded).
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKETS: u64 = 400_000;

    fn fates(loss: Loss, seed: u64) -> Vec<bool> {
        let mut chance = Chance::new(hash([seed, 1]), hash([seed, 2]));
        (0..PACKETS).map(|index| chance.takes(&loss, index)).collect()
    }

    fn mean(fates: &[bool]) -> f64 {
        fates.iter().filter(|lost| **lost).count() as f64 / fates.len() as f64
    }

    #[test]
    fn independent_loss_stays_within_its_binomial_confidence_interval() {
        for chance in [0.0, 0.001, 0.01, 0.3, 1.0] {
            let deviation = (chance * (1.0 - chance) / PACKETS as f64).sqrt();
            let got = mean(&fates(Loss::Independent(chance), 3));
            assert!((got - chance).abs() <= 3.3 * deviation, "asked {chance}, got {got}");
        }
    }

    #[test]
    fn gilbert_elliott_loss_has_the_mean_and_the_burst_length_asked_for() {
        for (asked, burst) in [(0.01, 3.0), (0.05, 8.0), (0.3, 2.0)] {
            let model = GilbertElliott::from_mean_and_burst(asked, burst).expect("possible");
            let fates = fates(Loss::GilbertElliott(model), 5);
            let bursts = fates.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
            let got = mean(&fates);
            let length = got * PACKETS as f64 / bursts;
            assert!((got / asked - 1.0).abs() < 0.1, "mean: asked {asked}, got {got}");
            assert!((length / burst - 1.0).abs() < 0.1, "burst: asked {burst}, got {length}");
        }
    }

    #[test]
    fn all_four_parameters_count() {
        let model = GilbertElliott { p: 0.02, r: 0.2, h: 0.4, k: 0.99 };
        let got = mean(&fates(Loss::GilbertElliott(model), 9));
        assert!((got / model.mean_loss() - 1.0).abs() < 0.05, "{got} {}", model.mean_loss());
    }

    #[test]
    fn periodic_loss_takes_the_last_of_each_so_many_and_a_list_takes_its_numbers() {
        let lost = |loss| {
            let fates = fates(loss, 1);
            (0..250).filter(|index| fates[*index]).collect::<Vec<_>>()
        };
        assert_eq!(lost(Loss::Every(100)), [99, 199]);
        let numbers = crate::settings::Numbers::new(vec![(0, 0), (7, 9)]);
        assert_eq!(lost(Loss::Packets(numbers)), [0, 7, 8, 9]);
    }

    #[test]
    fn indices_left_out_change_no_other_fate() {
        let model = GilbertElliott::from_mean_and_burst(0.2, 5.0).expect("possible");
        let loss = Loss::GilbertElliott(model);
        let all = fates(loss.clone(), 1);
        let mut chance = Chance::new(hash([1, 1]), hash([1, 2]));
        for index in (0..PACKETS).filter(|index| index % 7 < 3) {
            assert_eq!(chance.takes(&loss, index), all[index as usize]);
        }
    }
}
