//! What is asked of a link, as options.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use weir_emulator::Plan;
use weir_link::{Change, Direction, Preset, SETTINGS, Schedule};

/// `--rate 3mbit --delay 40ms --loss 1%`; with `--up-` or `--down-` for one direction alone.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "The link (each also as --up-... and --down-..., for one direction)")]
pub(crate) struct Flags {
    /// Begin with a link by name: 3g, lte, lte-driving, dsl, cable, wifi-busy, satellite, geo
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    #[command(flatten)]
    both: Both,
    /// Change the link while time passes: a file, or text such as 'at 10s rate=1mbit; at 20s
    /// rate=5mbit', 'walk rate 1mbit..8mbit every 500ms by 20%'
    #[arg(long, value_name = "SCHEDULE")]
    schedule: Option<String>,
    /// Where the same seed meets the same packets, they have the same fates
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    up: Up,
    #[arg(long, hide = true)]
    up_schedule: Option<String>,
    #[command(flatten)]
    down: Down,
    #[arg(long, hide = true)]
    down_schedule: Option<String>,
}

impl Flags {
    /// The link of this name as it is asked for. Reads the files that options name.
    pub(crate) fn plan(&self, name: &str) -> anyhow::Result<Plan> {
        let preset = self.preset.as_deref().map(Preset::find).transpose()?;
        let mut plan = Plan { name: name.to_owned(), ..Plan::default() };
        if let Some(preset) = preset {
            plan.up = preset.settings(Direction::Up);
            plan.down = preset.settings(Direction::Down);
            plan.up_schedule = preset.schedule(Direction::Up);
            plan.down_schedule = preset.schedule(Direction::Down);
        }
        let both = change(&self.both.pairs(), "")?;
        let (up, down) = (change(&self.up.pairs(), "up-")?, change(&self.down.pairs(), "down-")?);
        for (settings, changes) in [(&mut plan.up, [&both, &up]), (&mut plan.down, [&both, &down])]
        {
            changes.iter().for_each(|change| change.apply(settings));
            settings.check()?;
        }
        if preset.is_some() {
            // A rate that is asked for does not wander off with the preset's.
            plan.up_schedule =
                plan.up_schedule.filter(|_| both.rate.is_none() && up.rate.is_none());
            plan.down_schedule =
                plan.down_schedule.filter(|_| both.rate.is_none() && down.rate.is_none());
        }
        for (option, text, up, down) in [
            ("--schedule", &self.schedule, true, true),
            ("--up-schedule", &self.up_schedule, true, false),
            ("--down-schedule", &self.down_schedule, false, true),
        ] {
            let Some(text) = text else { continue };
            let schedule = schedule(text).with_context(|| option.to_owned())?;
            if up {
                plan.up_schedule = Some(schedule.clone());
            }
            if down {
                plan.down_schedule = Some(schedule);
            }
        }
        Ok(plan)
    }
}

/// The options of one direction or of both as a change of settings.
fn change(pairs: &[(&'static str, Option<&str>)], prefix: &str) -> anyhow::Result<Change> {
    let mut change = Change::default();
    for (name, value) in pairs {
        let Some(value) = value else { continue };
        let read = change.read_with(name, value, &load);
        read.with_context(|| format!("--{prefix}{name}"))?;
    }
    Ok(change)
}

/// A schedule from a file, if there is one of this name, else from the text itself.
fn schedule(text: &str) -> anyhow::Result<Schedule> {
    let said = if Path::new(text).is_file() {
        load(text).map_err(anyhow::Error::msg).with_context(|| text.to_owned())?
    } else {
        text.to_owned()
    };
    let schedule = Schedule::from_text(&said, &load);
    let words = text.split_whitespace().count();
    schedule.with_context(|| match words {
        1 => format!("there is no file {text}, so it was read as a schedule itself"),
        _ => "the schedule cannot be read".to_owned(),
    })
}

/// The text of a file that a setting names.
pub(super) fn load(file: &str) -> Result<String, String> {
    let open = std::fs::File::open(file).map_err(|error| error.to_string())?;
    let is_file = open.metadata().map_err(|error| error.to_string())?.is_file();
    if !is_file {
        return Err("it is not a file".to_owned());
    }
    let mut text = String::new();
    let read = open.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    match read.map_err(|error| error.to_string())? as u64 {
        FILE_BYTES_MAX.. => Err(format!("it has more than {} MB", FILE_BYTES_MAX / 1_000_000)),
        _ => Ok(text),
    }
}

/// An option for each setting, under a prefix.
macro_rules! side {
    ($type:ident, $prefix:literal, $hide:literal; $($field:ident)*) => {
        #[derive(clap::Args, Clone, Debug, Default)]
        struct $type {
            $(#[arg(
                id = concat!("link-", $prefix, stringify!($field)),
                long = concat!($prefix, stringify!($field)),
                value_name = setting(stringify!($field)).value,
                help = setting(stringify!($field)).help,
                hide = $hide
            )]
            $field: Option<String>,)*
        }

        impl $type {
            fn pairs(&self) -> Vec<(&'static str, Option<&str>)> {
                vec![$((stringify!($field), self.$field.as_deref()),)*]
            }
        }
    };
    ($type:ident, $prefix:literal, $hide:literal) => {
        side! {
            $type, $prefix, $hide;
            rate trace queue discipline delay jitter reorder loss duplicate corrupt blackout policer
        }
    };
}

side! { Both, "", false }
side! { Up, "up-", true }
side! { Down, "down-", true }

fn setting(name: &str) -> &'static weir_link::Setting {
    let found = SETTINGS.iter().find(|setting| setting.name == name);
    found.expect("a test compares the options with the settings")
}

const FILE_BYTES_MAX: u64 = 64_000_000;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        flags: Flags,
    }

    fn plan(options: &str) -> anyhow::Result<Plan> {
        let words = std::iter::once("weir").chain(options.split('|'));
        Command::try_parse_from(words)?.flags.plan("l")
    }

    fn said(options: &str) -> (String, String) {
        let plan = plan(options).expect("possible");
        (plan.up.to_string(), plan.down.to_string())
    }

    #[test]
    fn every_setting_is_an_option_in_three_spellings() {
        let names: Vec<_> = Both::default().pairs().iter().map(|pair| pair.0).collect();
        assert!(SETTINGS.iter().map(|setting| setting.name).eq(names));
        let (up, down) = said("--rate|5mbit|--up-rate|1mbit|--down-loss|1% burst 3|--delay|20ms");
        assert_eq!(up, "rate=1mbit delay=20ms");
        assert_eq!(down, "rate=5mbit delay=20ms loss=1% burst 3");
    }

    #[test]
    fn options_change_presets_and_a_fixed_rate_stays_fixed() {
        let walks = plan("--preset|lte-driving").expect("possible");
        assert!(walks.up_schedule.is_some() && walks.down_schedule.is_some());
        let fixed = plan("--preset|lte-driving|--down-rate|5mbit").expect("possible");
        assert!(fixed.up_schedule.is_some() && fixed.down_schedule.is_none());
        assert!(said("--preset|geo|--delay|10ms").1.contains("rate=25mbit queue=300ms delay=10ms"));
    }

    #[test]
    fn a_schedule_is_text_or_a_file() {
        let both = plan("--schedule|at 10s rate=1mbit").expect("possible");
        assert_eq!(both.up_schedule, both.down_schedule);
        assert!(both.up_schedule.is_some());
        let one = plan("--down-schedule|square rate 5mbit/0 every 2s").expect("possible");
        assert!(one.up_schedule.is_none() && one.down_schedule.is_some());
        let error = format!("{:#}", plan("--schedule|missing.txt").expect_err("there is none"));
        assert!(error.contains("there is no file missing.txt"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_said_with_the_option_and_an_example() {
        let error = |options| format!("{:#}", plan(options).expect_err("it is wrong"));
        assert!(error("--up-rate|5").starts_with("--up-rate: rate: expected a number with bit"));
        assert!(error("--rate|0").contains("got 0 bit/s (example: 5mbit)"));
        assert!(error("--loss|101%").contains("example: 1%"));
        assert!(error("--trace|missing.txt").starts_with("--trace: trace: \"missing.txt\": "));
        assert!(error("--preset|5g").contains("3g, lte"));
    }
}
