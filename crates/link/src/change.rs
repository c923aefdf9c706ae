//! A change of some settings, as text and as a value.

use core::str::FromStr;

use crate::settings::{Error, Jitter, Loss, Queue, Rate, Settings};
use crate::text::Span;

/// Some of [`Settings`]: what is absent stays as it is. As text, `rate=2mbit delay=50ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    /// How fast packets are sent.
    pub rate: Option<Rate>,
    /// How much may wait.
    pub queue: Option<Queue>,
    /// Propagation delay.
    pub delay: Option<Span>,
    /// Variation of the delay.
    pub jitter: Option<Jitter>,
    /// Which packets chance takes.
    pub loss: Option<Loss>,
}

impl Change {
    /// Takes one setting over: its name and its value as people write it.
    pub fn read(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "rate" => self.rate = Some(value.parse()?),
            "queue" => self.queue = Some(value.parse()?),
            "delay" => self.delay = Some(value.parse()?),
            "jitter" => self.jitter = Some(value.parse()?),
            "loss" => self.loss = Some(value.parse()?),
            _ => {
                let expected = "rate, queue, delay, jitter or loss";
                return Err(Error::setting("setting", name, expected, "rate=2mbit"));
            }
        }
        Ok(())
    }

    /// Makes the change.
    pub fn apply(&self, settings: &mut Settings) {
        let Change { rate, queue, delay, jitter, loss } = *self;
        settings.rate = rate.unwrap_or(settings.rate);
        settings.queue = queue.unwrap_or(settings.queue);
        settings.delay = delay.map_or(settings.delay, |Span(delay)| delay);
        settings.jitter = jitter.unwrap_or(settings.jitter);
        settings.loss = loss.unwrap_or(settings.loss);
    }
}

impl FromStr for Change {
    type Err = Error;

    /// `NAME=VALUE` pairs with white space between them.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut change = Change::default();
        for pair in text.split_whitespace() {
            let Some((name, value)) = pair.split_once('=') else {
                let expected = "NAME=VALUE pairs";
                return Err(Error::setting("settings", pair, expected, "rate=2mbit delay=50ms"));
            };
            change.read(name, value)?;
        }
        Ok(change)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn what_is_not_named_stays_as_it_is() {
        let mut settings = Settings { delay: Duration::from_millis(10), ..Settings::default() };
        let change: Change = "rate=2mbit loss=1%".parse().expect("it is well formed");
        change.apply(&mut settings);
        assert_eq!(settings.rate, Rate::bits_per_second(2_000_000));
        assert_eq!(settings.loss, Loss::Independent(0.01));
        assert_eq!(settings.delay, Duration::from_millis(10));
    }

    #[test]
    fn unknown_names_and_lone_words_are_refused() {
        assert!("speed=2mbit".parse::<Change>().is_err());
        assert!("rate".parse::<Change>().is_err());
    }
}
