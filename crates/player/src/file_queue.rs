//! A file that is written away from the packets.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use weir_net::{Doorbell, File, Host};

/// Writes chunks to a file in their order. They wait in a bounded queue for a task that writes
/// them; what finds no room is left out, and counted.
pub(crate) struct FileQueue {
    shared: Rc<Shared>,
    chunks_dropped: u64,
}

#[derive(Default)]
struct Shared {
    state: RefCell<State>,
    /// Rung when there is something to write, and at the end.
    filled: Doorbell,
    /// Rung when all is written.
    emptied: Doorbell,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    closing: bool,
    written_bytes: u64,
    failed: Option<String>,
}

/// What became of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileEnd {
    pub(crate) bytes: u64,
    pub(crate) chunks_dropped: u64,
    pub(crate) failed: Option<String>,
}

/// Chunks that wait to be written.
const QUEUE_BYTES_MAX: usize = 64 << 20;

impl FileQueue {
    /// Makes the file, or empties the one that is there.
    pub(crate) async fn create(host: &Host, path: &Path) -> io::Result<Self> {
        let file = File::create(host, path).await?;
        let shared = Rc::new(Shared::default());
        host.spawn(write_chunks(host.clone(), file, Rc::clone(&shared)));
        Ok(FileQueue { shared, chunks_dropped: 0 })
    }

    /// Appends a chunk; whether there was room.
    pub(crate) fn put(&mut self, chunk: Bytes) -> bool {
        let mut state = self.shared.state.borrow_mut();
        if state.bytes + chunk.len() > QUEUE_BYTES_MAX {
            self.chunks_dropped += 1;
            return false;
        }
        state.bytes += chunk.len();
        state.chunks.push_back(chunk);
        self.shared.filled.ring(0);
        true
    }

    /// Waits until all is written.
    pub(crate) async fn finish(self) -> FileEnd {
        self.shared.state.borrow_mut().closing = true;
        self.shared.filled.ring(0);
        self.shared.emptied.rung(&mut Vec::new()).await;
        let state = self.shared.state.borrow();
        FileEnd {
            bytes: state.written_bytes,
            chunks_dropped: self.chunks_dropped,
            failed: state.failed.clone(),
        }
    }
}

/// Writes chunks in their order until there are no more.
async fn write_chunks(host: Host, file: File, queue: Rc<Shared>) {
    let mut keys = Vec::new();
    loop {
        queue.filled.rung(&mut keys).await;
        loop {
            let next = queue.state.borrow_mut().chunks.pop_front();
            let Some(chunk) = next else { break };
            let bytes = chunk.len();
            let failed_before = queue.state.borrow().failed.is_some();
            let written = match failed_before {
                true => Ok(()),
                false => file.append(&host, chunk).await,
            };
            let mut state = queue.state.borrow_mut();
            state.bytes -= bytes;
            match written {
                Err(error) => state.failed = Some(error.to_string()),
                Ok(()) if !failed_before => state.written_bytes += bytes as u64,
                Ok(()) => {}
            }
        }
        if queue.state.borrow().closing {
            return queue.emptied.ring(0);
        }
    }
}
