//! What is asked of a link, as options.

use weir_link::{Change, Settings};

/// `--rate 3mbit --delay 40ms --loss 1%`; with `--up-` or `--down-` for one direction alone.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "The link")]
pub(crate) struct Flags {
    /// How fast packets are sent: 800kbit, 5mbit, 1.5gbit.
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
    /// Where the same seed meets the same packets, they have the same fates.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

impl Flags {
    /// What is asked of each direction: up, then down.
    pub(crate) fn settings(&self) -> Result<(Settings, Settings), weir_link::Error> {
        let mut both = Change::default();
        if let Some(rate) = &self.rate {
            both.read("rate", rate)?;
        }
        let mut settings = Settings::default();
        both.apply(&mut settings);
        settings.check()?;
        Ok((settings, settings))
    }
}
