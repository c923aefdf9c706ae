//! `--record`: records on their way into a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::cell::Cell;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::ValueEnum;
use serde_json::Value;
use weir_net::{File, Host};
use weir_record::{Drain, Header, Level, Role, Sink};
use weir_time::Utc;

/// How much is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RecordLevel {
    /// What happens, and totals.
    Event,
    /// And summaries of each second.
    #[default]
    Second,
    /// And each packet.
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

/// Records that may wait to be written.
const RECORDS_MAX: usize = 65_536;
const WRITE_INTERVAL: Duration = Duration::from_millis(100);

/// A file that records are written to.
pub(crate) struct Recording {
    sink: Sink,
    finished: Rc<Cell<bool>>,
    ended: weir_net::Doorbell,
}

impl Recording {
    /// Creates the file, writes its header, and goes on writing in the background.
    pub(crate) async fn start(
        host: &Host,
        path: &Path,
        level: Level,
        role: Role,
        asked: BTreeMap<String, Value>,
    ) -> anyhow::Result<Recording> {
        let describe = || format!("cannot record to {}", path.display());
        let file = File::create(host, path).await.with_context(describe)?;
        let header = header(host, role, asked);
        let mut line = Vec::new();
        header.encode(&mut line);
        file.append(host, Bytes::from(line)).await.with_context(describe)?;
        let (sink, drain) = weir_record::queue(level, RECORDS_MAX);
        let finished = Rc::new(Cell::new(false));
        let ended = weir_net::Doorbell::new();
        host.spawn(write(host.clone(), file, drain, path.to_owned(), Rc::clone(&finished), ended.clone()));
        Ok(Recording { sink, finished, ended })
    }

    /// Where events are emitted.
    pub(crate) fn sink(&self) -> Sink {
        self.sink.clone()
    }

    /// Writes what is left.
    pub(crate) async fn finish(self) {
        self.finished.set(true);
        self.ended.rung(&mut Vec::new()).await;
    }
}

/// The header of a run on this host.
fn header(host: &Host, role: Role, asked: BTreeMap<String, Value>) -> Header {
    let zero = host.utc().as_nanos().saturating_sub(host.now().as_nanos());
    let session = format!("{:016x}", host.random_u64());
    let mut header = Header::new(session, role, Utc::from_nanos(zero));
    header.asked = asked;
    header
}

async fn write(
    host: Host,
    file: File,
    mut drain: Drain,
    path: PathBuf,
    finished: Rc<Cell<bool>>,
    ended: weir_net::Doorbell,
) {
    loop {
        let is_last = finished.get();
        let mut lines = Vec::new();
        drain.drain(&mut lines);
        if !lines.is_empty()
            && let Err(error) = file.append(&host, Bytes::from(lines)).await
        {
            tracing::error!("recording to {} has stopped: {error}", path.display());
            return ended.ring(0);
        }
        if is_last {
            return ended.ring(0);
        }
        host.sleep(WRITE_INTERVAL).await;
    }
}
