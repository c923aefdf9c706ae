//! The chunk stream (RTMP specification 1.0, section 5): messages cut into chunks, those of
//! several messages mixed.

mod error;
mod header;
mod reader;
mod writer;

pub use error::{Error, Expected};
pub use reader::{Limits, Reader};
pub use writer::{CHUNK_BYTES_FIRST, Chunks, Writer, chunked_bytes};

/// The number of a chunk stream: 2 for the protocol's own messages, others as one likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkStreamId(pub u32);

impl ChunkStreamId {
    /// What the protocol says about itself.
    pub const CONTROL: ChunkStreamId = ChunkStreamId(2);
    /// Commands.
    pub const COMMAND: ChunkStreamId = ChunkStreamId(3);
    /// Sound.
    pub const AUDIO: ChunkStreamId = ChunkStreamId(4);
    /// Metadata, and commands of a stream.
    pub const DATA: ChunkStreamId = ChunkStreamId(5);
    /// Picture.
    pub const VIDEO: ChunkStreamId = ChunkStreamId(6);
    /// The greatest that there is.
    pub const MAX: ChunkStreamId = ChunkStreamId(65_599);
}

#[cfg(test)]
mod tests;
