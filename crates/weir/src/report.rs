//! `weir report`: what a file of records says.

use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Serialize;
use weir_net::open_regular;
use weir_player::show;
use weir_record::stats::{PlaySummaryBuilder, ServeSummaryBuilder};
use weir_record::{Line, Reader, Role};

use crate::log;

/// Say what a file of records says: the figures of a player, or a server's viewers.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A file that --record wrote; one that is being written, or was cut off, is read up to its end
    pub file: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  weir play rtsp://127.0.0.1:8554/movie --record run.jsonl
  weir report run.jsonl                what the player said at its end
  weir report server.jsonl --json      who watched what, from a server's records";

/// Reads the file, and prints its summary.
///
/// # Errors
/// When the file cannot be read or is no file of records; the message names the line.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = args.file.display();
    let file = open_regular(&args.file).with_context(|| format!("cannot read {name}"))?;
    let mut reader = Reader::new(BufReader::new(file)).with_context(|| name.to_string())?;
    let text = match reader.header().role {
        Role::Player => {
            let mut builder = PlaySummaryBuilder::new();
            while let Some(line) = reader.read().with_context(|| name.to_string())? {
                if let Line::Known(record) = line {
                    builder.push(&record);
                }
            }
            args.text(&builder.finish(), show::summary)?
        }
        Role::Server => {
            let mut builder = ServeSummaryBuilder::default();
            while let Some(line) = reader.read().with_context(|| name.to_string())? {
                if let Line::Known(record) = line {
                    builder.push(&record);
                }
            }
            args.text(&builder.finish(), show::served)?
        }
        other => bail!("{name} was written by a {other:?}: only players and servers are reported"),
    };
    log::print(&text)?;
    if reader.cut_off() {
        log::say(&format!("weir: {name}: its last line is cut off and left out"));
    }
    if reader.unknown_events() > 0 {
        let count = reader.unknown_events();
        log::say(&format!("weir: {name}: {count} events of a newer version were passed over"));
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn text<S: Serialize>(&self, summary: &S, show: fn(&S) -> String) -> anyhow::Result<String> {
        Ok(match self.json {
            true => format!("{}\n", serde_json::to_string_pretty(summary)?),
            false => show(summary),
        })
    }
}
