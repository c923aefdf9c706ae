//! From the queue of records to a file and to the summary.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use weir_net::{Either, File, Host, select};
use weir_record::stats::{PlaySummary, PlaySummaryBuilder};
use weir_record::{ClockKind, Drain, Header, Level, Record, Role};
use weir_time::Utc;

/// Takes records out of their queue, writes those that are asked for to a file, and makes the
/// summary of all: of a player's, that is; a server's records give an empty one.
pub struct Recorder {
    drain: Drain,
    file: Option<(File, Level)>,
    summary: PlaySummaryBuilder,
    taken: Vec<Record>,
    lines: Vec<u8>,
    failed: Option<io::Error>,
}

/// How often the queue is emptied.
const PERIOD: Duration = Duration::from_millis(200);

impl Recorder {
    /// Takes from `drain`; writes no file.
    pub fn new(drain: Drain) -> Self {
        Recorder {
            drain,
            file: None,
            summary: PlaySummaryBuilder::new(),
            taken: Vec::new(),
            lines: Vec::new(),
            failed: None,
        }
    }

    /// Writes records up to `level` to a new file as well.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub async fn write_to(
        &mut self,
        host: &Host,
        path: &Path,
        header: &Header,
        level: Level,
    ) -> io::Result<()> {
        let file = File::create(host, path).await?;
        header.encode(&mut self.lines);
        self.file = Some((file, level));
        Ok(())
    }

    /// Takes records out while `work` goes on, and the rest when it is done.
    ///
    /// # Errors
    /// When the file could not be written to; with what `work` gave, which went on.
    pub async fn during<T>(
        &mut self,
        host: &Host,
        work: impl Future<Output = T>,
    ) -> (T, io::Result<()>) {
        let mut work = pin!(work);
        let mut done = None;
        while done.is_none() {
            if let Either::First(out) = select(work.as_mut(), host.sleep(PERIOD)).await {
                done = Some(out);
                break;
            }
            // A write that was begun is seen through: what follows must come behind it.
            let mut flush = pin!(self.flush(host));
            poll_fn(|cx| {
                if done.is_none()
                    && let Poll::Ready(out) = work.as_mut().poll(cx)
                {
                    done = Some(out);
                }
                flush.as_mut().poll(cx)
            })
            .await;
        }
        self.flush(host).await;
        let written = self.failed.take().map_or(Ok(()), Err);
        (done.expect("the loop ends with it"), written)
    }

    /// The summary of what has been taken out.
    pub fn summary(&self) -> PlaySummary {
        self.summary.finish()
    }

    async fn flush(&mut self, host: &Host) {
        self.drain.take(&mut self.taken);
        for record in self.taken.drain(..) {
            self.summary.push(&record);
            let wanted =
                self.file.as_ref().is_some_and(|(_, level)| record.event.level() <= *level);
            if wanted {
                record.encode(&mut self.lines);
            }
        }
        let Some((file, _)) = self.file.as_ref().filter(|_| !self.lines.is_empty()) else {
            return;
        };
        let lines = Bytes::from(std::mem::take(&mut self.lines));
        if let Err(error) = file.append(host, lines).await {
            tracing::error!("recording has stopped: {error}");
            self.failed = Some(error);
            self.file = None;
        }
    }
}

/// The first line of a file of records: the run, its clock and what was asked.
pub fn header(host: &Host, role: Role, asked: BTreeMap<String, serde_json::Value>) -> Header {
    let zero = host.utc().as_nanos().saturating_sub(host.now().as_nanos());
    let session = format!("{:016x}", host.random_u64());
    let mut header = Header::new(session, role, Utc::from_nanos(zero));
    if host.is_virtual() {
        header.clock.kind = ClockKind::Virtual;
    }
    for (name, model) in host.models() {
        match name {
            "seed" => header.seed = model.parse().ok(),
            _ => header.models.push(model.into()),
        }
    }
    header.asked = asked;
    header
}
