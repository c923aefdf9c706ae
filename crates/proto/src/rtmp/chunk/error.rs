//! What can be wrong with a chunk stream.

use core::fmt;

/// A chunk that cannot be read, and everything behind it: nobody can say where the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chunk stream {stream}, byte {offset} of the connection: {expected}, {came} came")]
pub struct Error {
    /// Where the chunk's header starts, in bytes from the start of the chunk stream.
    pub offset: u64,
    /// The chunk stream that it belongs to.
    pub stream: u32,
    /// What was expected.
    pub expected: Expected,
    /// What came.
    pub came: u64,
}

/// What was expected where something else came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// The first chunk of a chunk stream has a header of type 0 or 1, which says how long its
    /// message is. What came is the type.
    FirstHeader,
    /// A message of sound or picture, or an aggregate, of at most so many bytes.
    MediaBytesMax(usize),
    /// A command, data or a message about the connection of at most so many bytes.
    CommandBytesMax(usize),
    /// At most so many bytes of messages that are not whole yet, over all chunk streams.
    TotalBytesMax(usize),
    /// At most so many chunk streams.
    StreamsMax(usize),
    /// A chunk size from 1 to 2^31 - 1.
    ChunkSize,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::FirstHeader => f.write_str("a first chunk of type 0 or 1 expected"),
            Expected::MediaBytesMax(max) => {
                write!(f, "a message of sound or picture of at most {max} bytes expected")
            }
            Expected::CommandBytesMax(max) => {
                write!(f, "a command or data of at most {max} bytes expected")
            }
            Expected::TotalBytesMax(max) => {
                write!(f, "at most {max} bytes in unfinished messages expected")
            }
            Expected::StreamsMax(max) => write!(f, "at most {max} chunk streams expected"),
            Expected::ChunkSize => f.write_str("a chunk size from 1 to 2147483647 expected"),
        }
    }
}
