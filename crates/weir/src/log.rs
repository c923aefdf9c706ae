//! The log: standard error, for people.
#![allow(clippy::print_stderr, reason = "standard error is where the log goes")]

use std::io::{IsTerminal, Write};

use anyhow::Context;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log: warnings and errors, with `-v` what happens, with `-vv` everything.
/// `WEIR_LOG` says it finer, as in `WEIR_LOG=weir_server=debug`.
pub(crate) fn start(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let asked = std::env::var("WEIR_LOG").unwrap_or_default();
    let (filter, refused) = match asked.parse::<Targets>() {
        Ok(filter) if !asked.is_empty() => (filter, None),
        Ok(_) => (Targets::new().with_default(level), None),
        Err(error) => (Targets::new().with_default(level), Some(error)),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry().with(lines).with(filter).init();
    if let Some(error) = refused {
        tracing::warn!("WEIR_LOG: {error}; write it as weir_server=debug or warn,weir_net=trace");
    }
}

/// Says why the program ends.
pub(crate) fn fail(error: &anyhow::Error) {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Many errors name their cause themselves.
        if !said.contains(&cause) {
            said += if said.is_empty() { "" } else { ": " };
            said += &cause;
        }
    }
    eprintln!("weir: {said}");
}

/// Says something that is neither data nor an error.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Writes data to standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.context("cannot write to standard output")
}

/// Shows how far something is: no line of its own.
pub(crate) fn show(text: &str) {
    eprint!("{text}");
}
