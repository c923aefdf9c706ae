//! Links by name.
//!
//! The figures are our own: round ones that are typical of each kind of access, not measurements of
//! any one network. docs/link.md says the reason for each.

use crate::error::{Error, quote};
use crate::schedule::Schedule;
use crate::settings::{Direction, Settings};

/// A link by name. Down is towards the user.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it stands for, in a few words.
    pub summary: &'static str,
    up: &'static str,
    down: &'static str,
    up_schedule: &'static str,
    down_schedule: &'static str,
}

impl Preset {
    /// The preset of this name.
    ///
    /// # Errors
    /// With the names that there are.
    pub fn find(name: &str) -> Result<&'static Preset, Error> {
        let found = PRESETS.iter().find(|preset| preset.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| Error::setting("preset", quote(name), NAMES, "lte"))
    }

    /// What it asks of one direction.
    pub fn settings(&self, direction: Direction) -> Settings {
        let text = match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        };
        text.parse().expect("a test reads all presets")
    }

    /// What changes in one direction while time passes; nothing, for most.
    pub fn schedule(&self, direction: Direction) -> Option<Schedule> {
        let text = match direction {
            Direction::Up => self.up_schedule,
            Direction::Down => self.down_schedule,
        };
        let schedule: Schedule = text.parse().expect("a test reads all presets");
        (!schedule.is_empty()).then_some(schedule)
    }
}

const NAMES: &str = "3g, lte, lte-driving, dsl, cable, wifi-busy, satellite or geo";

/// All presets.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "3g",
        summary: "a phone on HSPA, good signal",
        up: "rate=1mbit queue=1s delay=60ms jitter=10ms normal loss=0.1%",
        down: "rate=4mbit queue=500ms delay=60ms jitter=10ms normal loss=0.1%",
        up_schedule: "",
        down_schedule: "",
    },
    Preset {
        name: "lte",
        summary: "a phone on LTE that stands still",
        up: "rate=10mbit queue=300ms delay=25ms jitter=4ms normal loss=0.05%",
        down: "rate=30mbit queue=200ms delay=25ms jitter=4ms normal loss=0.05%",
        up_schedule: "",
        down_schedule: "",
    },
    Preset {
        name: "lte-driving",
        summary: "a phone on LTE in a car",
        up: "rate=4mbit queue=500ms delay=30ms jitter=5ms pareto loss=0.1% \
             blackout=150ms every 30s",
        down: "rate=8mbit queue=400ms delay=30ms jitter=5ms pareto loss=0.1% \
               blackout=150ms every 30s",
        up_schedule: "walk rate 400kbit..12mbit every 500ms by 40%",
        down_schedule: "walk rate 1mbit..40mbit every 500ms by 40%",
    },
    Preset {
        name: "dsl",
        summary: "a home on ADSL2+",
        up: "rate=1mbit queue=500ms delay=12ms jitter=1ms uniform",
        down: "rate=16mbit queue=100ms delay=12ms jitter=1ms uniform",
        up_schedule: "",
        down_schedule: "",
    },
    Preset {
        name: "cable",
        summary: "a home on DOCSIS 3.1 cable",
        up: "rate=10mbit queue=250ms discipline=pie delay=6ms jitter=2ms uniform",
        down: "rate=100mbit queue=100ms delay=6ms jitter=1ms uniform",
        up_schedule: "",
        down_schedule: "",
    },
    Preset {
        name: "wifi-busy",
        summary: "a Wi-Fi that many share",
        up: "rate=8mbit queue=150p delay=2ms jitter=4ms pareto loss=1% burst 4",
        down: "rate=12mbit queue=300p delay=2ms jitter=4ms pareto loss=1% burst 4",
        up_schedule: "walk rate 1mbit..25mbit every 100ms by 50%",
        down_schedule: "walk rate 2mbit..40mbit every 100ms by 50%",
    },
    Preset {
        name: "satellite",
        summary: "satellites in low orbit",
        up: "rate=12mbit queue=100ms delay=20ms jitter=5ms normal loss=0.3% burst 5 \
             blackout=60ms every 15s",
        down: "rate=120mbit queue=60ms delay=20ms jitter=5ms normal loss=0.3% burst 5 \
               blackout=60ms every 15s",
        up_schedule: "",
        down_schedule: "",
    },
    Preset {
        name: "geo",
        summary: "a satellite in geostationary orbit",
        up: "rate=3mbit queue=600ms delay=290ms jitter=8ms normal loss=0.1%",
        down: "rate=25mbit queue=300ms delay=290ms jitter=4ms normal loss=0.1%",
        up_schedule: "",
        down_schedule: "",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_presets_are_read_and_found_by_their_names() {
        for preset in PRESETS {
            assert!(NAMES.contains(preset.name), "{}", preset.name);
            assert_eq!(Preset::find(preset.name).map(|found| found.name), Ok(preset.name));
            for direction in [Direction::Up, Direction::Down] {
                assert_eq!(preset.settings(direction).check(), Ok(()), "{}", preset.name);
                let _ = preset.schedule(direction);
            }
        }
        let error = Preset::find("5g").expect_err("there is none").to_string();
        assert!(error.contains("3g, lte, lte-driving"), "{error}");
    }
}
