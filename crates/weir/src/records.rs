//! `--record-level`: how much is recorded.

use clap::ValueEnum;
use weir_record::Level;

/// How much is recorded.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RecordLevel {
    /// What happens seldom, and totals.
    Event,
    /// Summaries of each second as well.
    #[default]
    Second,
    /// Every packet as well.
    Packet,
}

impl From<RecordLevel> for Level {
    fn from(level: RecordLevel) -> Level {
        match level {
            RecordLevel::Event => Level::Event,
            RecordLevel::Second => Level::Second,
            RecordLevel::Packet => Level::Packet,
        }
    }
}
