//! A change of some settings, as text and as a value.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::error::{Error, quote};
use crate::settings::{
    Blackout, Discipline, Jitter, Loss, Policer, Queue, Rate, Reorder, Settings,
};
use crate::table::Table;
use crate::text::{Share, Span, read_rate};
use crate::trace::Trace;

/// Some of [`Settings`]: what is absent stays as it is. As text, `rate=2mbit delay=50ms`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// How fast packets are sent.
    pub rate: Option<Rate>,
    /// How much may wait.
    pub queue: Option<Queue>,
    /// Which packets give way.
    pub discipline: Option<Discipline>,
    /// Propagation delay.
    pub delay: Option<Span>,
    /// Variation of the delay.
    pub jitter: Option<Jitter>,
    /// Which packets others may overtake.
    pub reorder: Option<Reorder>,
    /// Which packets chance takes.
    pub loss: Option<Loss>,
    /// The share of packets that come out twice.
    pub duplicate: Option<Share>,
    /// The share of packets that come out changed.
    pub corrupt: Option<Share>,
    /// When nothing comes through.
    pub blackout: Option<Blackout>,
    /// What is let in.
    pub policer: Option<Policer>,
}

/// Gives the text of a file that a setting names, or says why not.
pub type Load<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// A setting, for lists of options and for help.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What stands for its value.
    pub value: &'static str,
    /// What it is, in one sentence.
    pub help: &'static str,
}

impl Change {
    /// Takes one setting over: its name and its value as people write it.
    ///
    /// # Errors
    /// If there is no such setting or no such value. Values that name a file are refused:
    /// [`read_with`](Self::read_with) reads them.
    pub fn read(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.read_with(name, value, NO_FILES)
    }

    /// As [`read`](Self::read); files that the value names are had from `load`.
    ///
    /// # Errors
    /// As there, and if the file cannot be had or read.
    pub fn read_with(&mut self, name: &str, value: &str, load: Load<'_>) -> Result<(), Error> {
        match name {
            "rate" => self.rate = Some(value.parse()?),
            "trace" => self.rate = Some(read_trace(value, load)?),
            "queue" => self.queue = Some(value.parse()?),
            "discipline" => self.discipline = Some(value.parse()?),
            "delay" => self.delay = Some(span("delay", value)?),
            "jitter" => self.jitter = Some(read_jitter(value, load)?),
            "reorder" => self.reorder = Some(value.parse()?),
            "loss" => self.loss = Some(value.parse()?),
            "duplicate" => self.duplicate = Some(share("duplicate", value)?),
            "corrupt" => self.corrupt = Some(share("corrupt", value)?),
            "blackout" => self.blackout = Some(value.parse()?),
            "policer" => self.policer = Some(value.parse()?),
            _ => {
                let expected = "rate, trace, queue, discipline, delay, jitter, reorder, loss, \
                                duplicate, corrupt, blackout or policer";
                return Err(Error::setting("setting", quote(name), expected, "rate=2mbit"));
            }
        }
        Ok(())
    }

    /// Reads `NAME=VALUE` pairs with white space between them; a word without `=` belongs to the
    /// value before it. Files that values name are had from `load`.
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with), and if the text does not begin with a name.
    pub fn from_text(text: &str, load: Load<'_>) -> Result<Self, Error> {
        let mut change = Change::default();
        change.take(text, |change, name, value| change.read_with(name, value, load))?;
        Ok(change)
    }

    /// As the text of a schedule's entry: there a rate may be 0.
    pub(crate) fn from_schedule(text: &str, load: Load<'_>) -> Result<Self, Error> {
        let mut change = Change::default();
        change.take(text, |change, name, value| match name {
            "rate" => {
                change.rate = Some(read_rate(value, true)?);
                Ok(())
            }
            _ => change.read_with(name, value, load),
        })?;
        Ok(change)
    }

    fn take(
        &mut self,
        text: &str,
        mut read: impl FnMut(&mut Self, &str, &str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut pair: Option<(&str, String)> = None;
        for word in text.split_whitespace() {
            match (word.split_once('='), &mut pair) {
                (Some((name, value)), _) => {
                    if let Some((name, value)) = pair.replace((name, value.to_owned())) {
                        read(self, name, &value)?;
                    }
                }
                (None, Some((_, value))) => {
                    value.push(' ');
                    value.push_str(word);
                }
                (None, None) => {
                    let example = "rate=2mbit delay=50ms";
                    return Err(Error::setting("settings", quote(word), "NAME=VALUE", example));
                }
            }
        }
        match pair {
            Some((name, value)) => read(self, name, &value),
            None => Ok(()),
        }
    }

    /// Makes the change.
    pub fn apply(&self, settings: &mut Settings) {
        let Change { rate, queue, discipline, delay, jitter, reorder, loss, .. } = self;
        let Change { duplicate, corrupt, blackout, policer, .. } = *self;
        take(&mut settings.rate, rate);
        take(&mut settings.queue, queue);
        take(&mut settings.discipline, discipline);
        take(&mut settings.delay, &delay.map(|Span(delay)| delay));
        take(&mut settings.jitter, jitter);
        take(&mut settings.reorder, reorder);
        take(&mut settings.loss, loss);
        take(&mut settings.duplicate, &duplicate.map(|Share(share)| share));
        take(&mut settings.corrupt, &corrupt.map(|Share(share)| share));
        take(&mut settings.blackout, &blackout);
        take(&mut settings.policer, &policer);
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Change::default()
    }

    /// What makes settings that ask nothing into these; what they ask nothing of is absent.
    pub fn to(settings: &Settings) -> Self {
        fn unless<T: PartialEq + Clone>(value: &T, default: &T) -> Option<T> {
            (value != default).then(|| value.clone())
        }
        let plain = Settings::default();
        Change {
            rate: unless(&settings.rate, &plain.rate),
            queue: unless(&settings.queue, &plain.queue),
            discipline: unless(&settings.discipline, &plain.discipline),
            delay: unless(&settings.delay, &Duration::ZERO).map(Span),
            jitter: unless(&settings.jitter, &plain.jitter),
            reorder: unless(&settings.reorder, &plain.reorder),
            loss: unless(&settings.loss, &plain.loss),
            duplicate: unless(&settings.duplicate, &0.0).map(Share),
            corrupt: unless(&settings.corrupt, &0.0).map(Share),
            blackout: unless(&settings.blackout, &plain.blackout),
            policer: unless(&settings.policer, &plain.policer),
        }
    }

    /// Each setting that is there: its name and its value as people write it.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        let mut add = |name, value: Option<String>| pairs.extend(value.map(|value| (name, value)));
        match &self.rate {
            Some(Rate::Trace(trace)) => add("trace", Some(trace.name().to_owned())),
            rate => add("rate", said(rate)),
        }
        add("queue", said(&self.queue));
        add("discipline", said(&self.discipline));
        add("delay", said(&self.delay));
        add("jitter", said(&self.jitter));
        add("reorder", said(&self.reorder));
        add("loss", said(&self.loss));
        add("duplicate", said(&self.duplicate));
        add("corrupt", said(&self.corrupt));
        add("blackout", said(&self.blackout));
        add("policer", said(&self.policer));
        pairs
    }
}

impl FromStr for Change {
    type Err = Error;

    /// [`from_text`](Change::from_text), without files.
    fn from_str(text: &str) -> Result<Self, Error> {
        Change::from_text(text, NO_FILES)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.pairs().iter().enumerate() {
            let space = if number > 0 { " " } else { "" };
            write!(f, "{space}{name}={value}")?;
        }
        Ok(())
    }
}

impl FromStr for Settings {
    type Err = Error;

    /// A [`Change`] of settings that ask nothing.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut settings = Settings::default();
        text.parse::<Change>()?.apply(&mut settings);
        settings.check()?;
        Ok(settings)
    }
}

impl fmt::Display for Settings {
    /// What they ask; `rate=unlimited` if that is nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = Change::to(self);
        if change.is_empty() { f.write_str("rate=unlimited") } else { write!(f, "{change}") }
    }
}

fn take<T: Clone>(to: &mut T, from: &Option<T>) {
    if let Some(value) = from {
        *to = value.clone();
    }
}

fn said<T: ToString>(value: &Option<T>) -> Option<String> {
    value.as_ref().map(T::to_string)
}

/// A value whose type does not know which setting it is for.
fn span(field: &'static str, text: &str) -> Result<Span, Error> {
    text.parse().map_err(|error| named(error, field))
}

fn share(field: &'static str, text: &str) -> Result<Share, Error> {
    text.parse().map_err(|error| named(error, field))
}

fn named(error: Error, name: &'static str) -> Error {
    match error {
        Error::Setting { got, expected, example, .. } => {
            Error::Setting { field: name, got, expected, example }
        }
        other => other,
    }
}

fn read_trace(file: &str, load: Load<'_>) -> Result<Rate, Error> {
    let file = file.trim();
    let text = loaded("trace", file, load)?;
    Ok(Rate::Trace(Trace::read(file, &text)?.into()))
}

fn read_jitter(value: &str, load: Load<'_>) -> Result<Jitter, Error> {
    match value.trim().strip_prefix("table ") {
        Some(file) => {
            let text = loaded("jitter", file.trim(), load)?;
            Ok(Jitter::Table(Table::read(file.trim(), &text)?.into()))
        }
        None => value.parse(),
    }
}

fn loaded(field: &'static str, file: &str, load: Load<'_>) -> Result<String, Error> {
    if file.is_empty() {
        return Err(Error::setting(field, "nothing", "the name of a file", "drive.txt"));
    }
    load(file).map_err(|reason| Error::File { field, file: quote(file), reason })
}

pub(crate) const NO_FILES: Load<'static> =
    &|_| Err("files are read at the start of a link alone, not here".to_owned());

/// All settings, in the order in which they are written.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "rate",
        value: "RATE",
        help: "How fast packets are sent: 800kbit, 5mbit, 1.5gbit, unlimited",
    },
    Setting {
        name: "trace",
        value: "FILE",
        help: "Send as a trace of rates says: Mahimahi, time and rate, JSON or CSV",
    },
    Setting {
        name: "queue",
        value: "SIZE",
        help: "How much may wait to be sent: 64kb, 100p (packets), 200ms (at the rate)",
    },
    Setting {
        name: "discipline",
        value: "NAME",
        help: "Which packets give way: drop-tail, drop-head, codel, pie",
    },
    Setting { name: "delay", value: "TIME", help: "Propagation delay, one way: 40ms" },
    Setting {
        name: "jitter",
        value: "JITTER",
        help: "Variation of the delay: 5ms, 5ms normal, 5ms pareto, 'table FILE'",
    },
    Setting {
        name: "reorder",
        value: "REORDER",
        help: "Packets overtake: jitter (as it says), or '1% by 10ms' (held back so long)",
    },
    Setting {
        name: "loss",
        value: "LOSS",
        help: "Loss: 1%, '1% burst 3', 'gilbert p 1% r 30%', 'every 100', 'packets 3,7-9'",
    },
    Setting { name: "duplicate", value: "SHARE", help: "Packets that come out twice: 0.1%" },
    Setting { name: "corrupt", value: "SHARE", help: "Packets with a bit changed: 0.1%" },
    Setting {
        name: "blackout",
        value: "TIMES",
        help: "When nothing comes through: '500ms every 10s', on, off",
    },
    Setting {
        name: "policer",
        value: "RATE",
        help: "Drop what exceeds a token bucket before the queue: '2mbit burst 32kb'",
    },
];

#[cfg(test)]
mod tests {
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
    fn words_without_a_name_belong_to_the_value_before() {
        let change: Change = "jitter=5ms normal loss=1% burst 3".parse().expect("well formed");
        assert_eq!(change.to_string(), "jitter=5ms normal loss=1% burst 3");
    }

    #[test]
    fn unknown_names_and_lone_words_are_refused() {
        assert!("speed=2mbit".parse::<Change>().is_err());
        assert!("rate".parse::<Change>().is_err());
        let error = "delay=40".parse::<Change>().expect_err("no unit").to_string();
        assert!(error.starts_with("delay: ") && error.contains("example: 40ms"), "{error}");
    }

    #[test]
    fn files_are_read_where_they_can_be_had() {
        let load = |name: &str| match name {
            "a trace.txt" => Ok("0 5\n10 2\n".to_owned()),
            "delays" => Ok("1\n2\n".to_owned()),
            _ => Err("no such file".to_owned()),
        };
        let text = "trace=a trace.txt jitter=table delays";
        let change = Change::from_text(text, &load).expect("both are there");
        assert_eq!(change.to_string(), text);
        let error = Change::from_text("trace=x", &load).expect_err("not there").to_string();
        assert_eq!(error, "trace: \"x\": no such file");
        assert!(text.parse::<Change>().is_err());
    }

    #[test]
    fn every_setting_has_a_line_of_help_and_is_read() {
        for setting in SETTINGS {
            let error = Change::default().read(setting.name, "?").expect_err("no value");
            assert!(!error.to_string().starts_with("setting: "), "{error}");
        }
    }

    #[test]
    fn settings_that_ask_nothing_say_so() {
        assert_eq!(Settings::default().to_string(), "rate=unlimited");
        assert_eq!("rate=unlimited".parse(), Ok(Settings::default()));
    }
}
