//! Cuts messages into chunks.

use bytes::{BufMut, BytesMut};

use super::ChunkStreamId;
use super::header::{Basic, EXTENDED};
use crate::rtmp::message::{Kind, Message, StreamId};

/// The chunk size before anybody sets one (section 5.4.1).
pub const CHUNK_BYTES_FIRST: u32 = 128;

/// Cuts messages into chunks of a size that can change.
///
/// Every message begins with a header of type 0, with its whole time, so that it can be read
/// whatever was sent before it on its chunk stream; its other chunks are of type 3.
#[derive(Clone, Debug)]
pub struct Writer {
    chunk_bytes: u32,
}

impl Writer {
    /// A writer behind the handshake.
    pub fn new() -> Self {
        Writer { chunk_bytes: CHUNK_BYTES_FIRST }
    }

    /// Writes Set Chunk Size, and keeps to it from then on.
    pub fn set_chunk_bytes(&mut self, chunk_bytes: u32, out: &mut BytesMut) {
        let message = crate::rtmp::message::Control::SetChunkSize(chunk_bytes).message();
        self.write(ChunkStreamId::CONTROL, &message, out);
        self.chunk_bytes = chunk_bytes;
    }

    /// Writes a message behind what is there.
    pub fn write(&self, on: ChunkStreamId, message: &Message, out: &mut BytesMut) {
        let Message { kind, time_ms, stream, .. } = *message;
        let chunks = Chunks { on, kind, time_ms, stream, chunk_bytes: self.chunk_bytes };
        chunks.write(&[&message.body], out);
    }
}

impl Default for Writer {
    fn default() -> Self {
        Writer::new()
    }
}

/// How one message is cut.
#[derive(Clone, Copy, Debug)]
pub struct Chunks {
    /// The chunk stream.
    pub on: ChunkStreamId,
    /// The message's kind.
    pub kind: Kind,
    /// Its time stamp.
    pub time_ms: u32,
    /// Its message stream.
    pub stream: StreamId,
    /// The size of chunks.
    pub chunk_bytes: u32,
}

impl Chunks {
    /// Writes a message whose body is these parts one behind the other. The body is shorter than
    /// 2^24 bytes.
    pub fn write(&self, parts: &[&[u8]], out: &mut BytesMut) {
        let body_bytes: usize = parts.iter().map(|part| part.len()).sum();
        let is_extended = self.time_ms >= EXTENDED;
        out.reserve(chunked_bytes(body_bytes, self.chunk_bytes, self.time_ms));
        Basic::write(0, self.on, out);
        out.put_uint(self.time_ms.min(EXTENDED).into(), 3);
        out.put_uint(body_bytes as u64, 3);
        out.put_u8(self.kind.number());
        out.put_u32_le(self.stream.0);
        if is_extended {
            out.put_u32(self.time_ms);
        }
        let chunk_bytes = self.chunk_bytes.max(1) as usize;
        let mut left = chunk_bytes;
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                if left == 0 {
                    Basic::write(3, self.on, out);
                    if is_extended {
                        out.put_u32(self.time_ms);
                    }
                    left = chunk_bytes;
                }
                let (now, later) = rest.split_at(rest.len().min(left));
                out.put_slice(now);
                left -= now.len();
                rest = later;
            }
        }
    }
}

/// How many bytes a message takes at most in chunks, headers included, on one of the chunk streams
/// up to 63.
pub fn chunked_bytes(body_bytes: usize, chunk_bytes: u32, time_ms: u32) -> usize {
    let extended_bytes = if time_ms >= EXTENDED { 4 } else { 0 };
    let more = body_bytes.saturating_sub(1) / chunk_bytes.max(1) as usize;
    12 + extended_bytes + body_bytes + more * (1 + extended_bytes)
}
