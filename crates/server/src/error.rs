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
    /// Several movies would bear this name.
    #[error("{stream:?} is the name of several movies: ask for {}", quoted(names))]
    Ambiguous {
        /// The name that was asked for.
        stream: String,
        /// The full names of those movies.
        names: Vec<String>,
    },
    /// A path of the library that leads out of its folders.
    #[error("{}: the link leads out of the folder", path.display())]
    Outside {
        /// The path.
        path: PathBuf,
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
    /// A movie none of whose frames can be read, although its index can.
    #[error("{}: none of its frames can be read any more", path.display())]
    Unreadable {
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
    /// There is no stream of this name, which a peer has given.
    pub(crate) fn not_found(name: &str) -> Self {
        Error::NotFound { stream: shortened(name) }
    }

    pub(crate) fn open(path: &Path, source: io::Error) -> Self {
        Error::File { path: path.to_owned(), source }
    }
}

/// What a peer has said, cut to what people read.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS_SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}

const CHARACTERS_SHOWN: usize = 100;

fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_thousands_of_characters_is_cut_to_a_hundred() {
        let Error::NotFound { stream } = Error::not_found(&"\u{e9}".repeat(5_000)) else {
            panic!("it is not found")
        };
        assert_eq!(stream, "\u{e9}".repeat(100) + "...");
        assert_eq!(shortened("movie"), "movie");
    }
}
