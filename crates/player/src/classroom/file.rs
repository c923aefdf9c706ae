//! The classroom MJPEG file that a player writes of what came.

use std::io;
use std::path::Path;

use bytes::Bytes;
use weir_net::{File, Host};

use crate::rtsp::Written;

/// Writes images to a file, each behind its length in five decimal digits.
pub(super) struct MjpegFile {
    file: File,
    /// What is to be written next.
    waiting: Vec<u8>,
    written: Written,
}

/// Written at once, so that the file system is seldom waited for.
const WAITING_BYTES: usize = 256 * 1024;
/// The most that five digits say.
const IMAGE_BYTES_MAX: usize = 99_999;

impl MjpegFile {
    /// Makes the file, or empties the one that is there.
    pub(super) async fn create(host: &Host, path: &Path) -> io::Result<Self> {
        let file = File::create(host, path).await?;
        Ok(MjpegFile { file, waiting: Vec::new(), written: Written::default() })
    }

    /// Adds an image. Datagrams hold none that five digits cannot say.
    pub(super) fn push(&mut self, image: &[u8]) {
        if self.written.failed.is_none() && image.len() <= IMAGE_BYTES_MAX {
            self.waiting.extend_from_slice(format!("{:05}", image.len()).as_bytes());
            self.waiting.extend_from_slice(image);
            self.written.frames += 1;
        }
    }

    /// Writes what waits, if it is enough or `all` is asked for.
    pub(super) async fn flush(&mut self, host: &Host, all: bool) {
        if self.waiting.is_empty() || !all && self.waiting.len() < WAITING_BYTES {
            return;
        }
        let chunk = Bytes::from(std::mem::take(&mut self.waiting));
        let bytes = chunk.len() as u64;
        match self.file.append(host, chunk).await {
            Ok(()) => self.written.bytes += bytes,
            Err(error) => self.written.failed = Some(error.to_string()),
        }
    }

    /// What became of it.
    pub(super) fn written(self) -> Written {
        self.written
    }
}
