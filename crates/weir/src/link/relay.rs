//! `weir link udp` and `weir link tcp`.

use std::process::ExitCode;

use super::flags::Flags;

/// The options of `weir link udp`.
#[derive(clap::Args)]
pub(crate) struct UdpArgs {
    #[command(flatten)]
    flags: Flags,
}

/// The options of `weir link tcp`.
#[derive(clap::Args)]
pub(crate) struct TcpArgs {
    #[command(flatten)]
    flags: Flags,
}

pub(crate) fn udp(args: &UdpArgs) -> anyhow::Result<ExitCode> {
    let _ = args.flags.settings()?;
    anyhow::bail!("not built yet")
}

pub(crate) fn tcp(args: &TcpArgs) -> anyhow::Result<ExitCode> {
    let _ = args.flags.settings()?;
    anyhow::bail!("not built yet")
}
