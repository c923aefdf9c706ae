//! The floor under a media server's cost, and the receivers that measure it.
//!
//! - `send` sends the frames of a trace at their times to every viewer that has come: one
//!   `writev` a frame over TCP, one `sendmmsg` with segmentation offload a frame over UDP. It
//!   speaks no protocol, so what it costs is what the kernel costs.
//! - `receive` is N viewers in one process, of the bare sender or of any RTSP server. It throws
//!   the bytes away as cheaply as it can and says what each viewer got.
//! - `forward`, `load` and `sink` are for relays of datagrams: a forwarder that does nothing else,
//!   datagrams that bear their time, and whoever says how late they came.
//! - `churn` connects to an RTSP server, plays for a moment and leaves, many times over.
//!
//! Standard output carries one JSON object a line.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "sockets, clocks and lines on standard output are what this program is for"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod churn;
mod count;
mod datagrams;
mod forward;
mod greeting;
mod receive;
mod rtsp;
mod send;
mod sys;
mod trace;

use clap::{Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(name = "floor", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send a trace's frames to every viewer that comes, with no protocol
    Send(send::Args),
    /// Be N viewers that count what they get
    Receive(receive::Args),
    /// Connect, play for a moment and leave, many times
    Churn(churn::Args),
    /// Send datagrams on, many in a call, with nothing between
    Forward(forward::Args),
    /// Send numbered and dated datagrams at a steady rate
    Load(datagrams::LoadArgs),
    /// Count such datagrams, and say how late they came
    Sink(datagrams::SinkArgs),
}

/// How media travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    /// One connection a viewer; RTSP interleaves RTP on its own connection.
    Tcp,
    /// Datagrams.
    Udp,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Send(args) => send::run(&args),
        Command::Receive(args) => receive::run(&args),
        Command::Churn(args) => churn::run(&args),
        Command::Forward(args) => forward::run(&args),
        Command::Load(args) => datagrams::load(&args),
        Command::Sink(args) => datagrams::sink(&args),
    }
}
