//! What is asked of a link, as options.

use weir_emulator::Plan;
use weir_link::{Change, Settings};

/// `--rate 3mbit --delay 40ms --loss 1%`; with `--up-` or `--down-` for one direction alone.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "The link")]
pub(crate) struct Flags {
    /// How fast packets are sent: 800kbit, 5mbit, 1.5gbit.
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
    /// What may wait: 64kb, 100p.
    #[arg(long, value_name = "SIZE")]
    queue: Option<String>,
    /// Propagation delay: 40ms.
    #[arg(long, value_name = "TIME")]
    delay: Option<String>,
    /// Variation of the delay.
    #[arg(long, value_name = "TIME")]
    jitter: Option<String>,
    /// Which packets are lost.
    #[arg(long, value_name = "SHARE")]
    loss: Option<String>,
    #[arg(long, value_name = "RATE")]
    down_rate: Option<String>,
    #[arg(long, value_name = "SHARE")]
    up_loss: Option<String>,
    #[arg(long, value_name = "SHARE")]
    down_loss: Option<String>,
    /// Where the same seed meets the same packets, they have the same fates.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

impl Flags {
    /// What is asked of each direction: up, then down.
    pub(crate) fn settings(&self) -> Result<(Settings, Settings), weir_link::Error> {
        let plan = self.plan("").map_err(|error| error.downcast::<weir_link::Error>());
        match plan {
            Ok(plan) => Ok((plan.up, plan.down)),
            Err(Ok(error)) => Err(error),
            Err(Err(_)) => unreachable!("settings alone can be refused"),
        }
    }

    /// A link of this name.
    pub(crate) fn plan(&self, name: &str) -> anyhow::Result<Plan> {
        let mut both = Change::default();
        for (key, value) in [
            ("rate", &self.rate),
            ("queue", &self.queue),
            ("delay", &self.delay),
            ("jitter", &self.jitter),
            ("loss", &self.loss),
        ] {
            if let Some(value) = value {
                both.read(key, value)?;
            }
        }
        let (mut up, mut down) = (Settings::default(), Settings::default());
        both.apply(&mut up);
        both.apply(&mut down);
        for (is_up, key, value) in [
            (false, "rate", &self.down_rate),
            (true, "loss", &self.up_loss),
            (false, "loss", &self.down_loss),
        ] {
            let settings = if is_up { &mut up } else { &mut down };
            if let Some(value) = value {
                let mut change = Change::default();
                change.read(key, value)?;
                change.apply(settings);
            }
        }
        up.check()?;
        down.check()?;
        Ok(Plan { name: name.to_owned(), up, down })
    }
}
