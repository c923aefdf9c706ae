//! What can go wrong with streams.

use std::io;
use std::path::{Path, PathBuf};

use weir_media::TrackId;

/// Why a stream cannot be served or published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no stream of this name.
    #[error("there is no stream {stream:?}")]
    NotFound {
        /// The name that was asked for.
        stream: String,
    },
    /// A live stream has the name already.
    #[error("a live stream {stream:?} is there already")]
    NameTaken {
        /// The name.
        stream: String,
    },
    /// A stream has no track, or more than are carried.
    #[error("stream {stream:?} has {count} tracks: expected 1 to {}", crate::hub::TRACKS_MAX)]
    TrackCount {
        /// The stream's name.
        stream: String,
        /// How many it has.
        count: usize,
    },
    /// A frame names a track that its stream does not have.
    #[error("the stream has no track {}", .0.0)]
    UnknownTrack(TrackId),
    /// A frame or track that no packer takes.
    #[error(transparent)]
    Pack(#[from] weir_proto::rtp::pack::Error),
    /// The encoder of the test pattern.
    #[error(transparent)]
    Codec(#[from] weir_codec::Error),
    /// A movie that is not what its name says.
    #[error("{}: {source}", path.display())]
    Movie {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: weir_media::Error,
    },
    /// A file that the system does not give.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A movie without any frame.
    #[error("{}: has no frames", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A movie that ends before something that its index names.
    #[error("{}: does not hold the whole frame at byte {offset} any more; it was {file_bytes} bytes long when it was opened", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// Where the frame begins.
        offset: u64,
        /// How long the file was when it was opened.
        file_bytes: u64,
    },
}

impl Error {
    pub(crate) fn open(path: &Path, source: io::Error) -> Self {
        Error::File { path: path.to_owned(), source }
    }
}
