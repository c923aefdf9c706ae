//! `--record` and `--record-level`: where records go, and how much is recorded.

use std::io;
use std::path::{Path, PathBuf};

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

/// Whether a file stands there that is not empty.
pub(crate) fn holds_data(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0)
}

/// Makes room for new records: a file that stands there gets the next free number behind its
/// name. Gives its new name.
pub(crate) fn move_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    if !holds_data(path) {
        return Ok(None);
    }
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let free = (1..=NUMBER_MAX).map(numbered).find(|name| name.symlink_metadata().is_err());
    let free = free.ok_or_else(|| io::Error::other("too many older records beside it"))?;
    std::fs::rename(path, &free)?;
    Ok(Some(free))
}

const NUMBER_MAX: u32 = 9_999;
