//! How a play begins.

use std::io;
use std::path::PathBuf;

use weir_dial::rtsp::{Client, Error};
use weir_net::Host;
use weir_record::Sink;
use weir_record::event::{EndReason, Failure};

use super::{Outcome, Settings};
use crate::measure::Measure;
use crate::movie_file::MovieFile;

/// What could not be begun.
pub(super) enum NotBegun {
    Client(Error),
    Movie(PathBuf, io::Error),
}

/// Finds what is wrong before anything is asked of the server.
pub(super) async fn prepare(
    host: &Host,
    settings: &Settings,
) -> Result<(Client, Option<MovieFile>), NotBegun> {
    let client = Client::new(host, settings.dial.clone()).map_err(NotBegun::Client)?;
    let movie = match &settings.movie {
        None => None,
        Some(path) => {
            let created = MovieFile::create(host, path).await;
            Some(created.map_err(|error| NotBegun::Movie(path.clone(), error))?)
        }
    };
    Ok((client, movie))
}

impl NotBegun {
    /// The end, which is written down.
    pub(super) fn outcome(self, host: &Host, records: &Sink) -> Outcome {
        let (text, error) = match self {
            NotBegun::Client(error) => (error.to_string(), Some(error)),
            NotBegun::Movie(path, error) => {
                (format!("cannot write the movie file {}: {error}", path.display()), None)
            }
        };
        let now = host.now();
        records.emit(now, Failure { text: text.as_str().into() });
        let mut nothing = Measure::new(records.clone(), false);
        nothing.finish(now, EndReason::Failed, Some(&text));
        Outcome { reason: EndReason::Failed, text: Some(text), error, movie: None }
    }
}
