//! The movie file that a player writes of what it fetched.

use std::io;
use std::path::Path;

use weir_media::mp4::FragmentWriter;
use weir_media::{Frame, Track, TrackId};
use weir_net::Host;

use crate::file_queue::FileQueue;
use crate::movie_file::Written;

/// Writes frames to a fragmented MP4, once all tracks are known.
pub(super) struct Copy {
    queue: FileQueue,
    writer: Option<FragmentWriter>,
    waiting: Vec<Frame>,
    frames: u64,
    failed: Option<String>,
}

impl Copy {
    pub(super) async fn create(host: &Host, path: &Path) -> io::Result<Self> {
        let queue = FileQueue::create(host, path).await?;
        Ok(Copy { queue, writer: None, waiting: Vec::new(), frames: 0, failed: None })
    }

    /// All tracks are known: the file begins.
    pub(super) fn begin(&mut self, tracks: &[Track]) {
        match FragmentWriter::new(tracks) {
            Ok(writer) => {
                self.queue.put(writer.init_segment());
                self.writer = Some(writer);
                for frame in std::mem::take(&mut self.waiting) {
                    self.push(frame);
                }
            }
            Err(error) => self.failed = Some(error.to_string()),
        }
    }

    /// Takes a frame of the track with a number.
    pub(super) fn push_of(&mut self, track: usize, frame: &Frame) {
        let id = TrackId(u8::try_from(track).unwrap_or(u8::MAX));
        self.push(Frame { track: id, ..frame.clone() });
    }

    fn push(&mut self, frame: Frame) {
        let Some(writer) = self.writer.as_mut() else {
            if self.failed.is_none() {
                self.waiting.push(frame);
            }
            return;
        };
        match writer.push(&frame) {
            Ok(fragment) => {
                self.frames += 1;
                if let Some(fragment) = fragment {
                    self.queue.put(fragment);
                }
            }
            Err(error) => self.failed = Some(self.failed.take().unwrap_or(error.to_string())),
        }
    }

    pub(super) async fn finish(mut self) -> Written {
        if let Some(writer) = &mut self.writer {
            let last = writer.finish();
            self.queue.put(last);
        } else if self.failed.is_none() {
            self.failed = Some("no whole frame came".to_owned());
        }
        let file = self.queue.finish().await;
        Written {
            frames: self.frames,
            bytes: file.bytes,
            fragments_dropped: file.chunks_dropped,
            failed: self.failed.or(file.failed),
        }
    }
}
