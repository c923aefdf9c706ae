//! The other end of a control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Request, Response, place};

/// A connection to a command that runs links.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    input: BufReader<UnixStream>,
}

/// Why a command could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody answers there.
    #[error("nothing answers at {path}; weir link show lists the links that run", path = path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It went away, or does not answer.
    #[error("the command at {path} does not answer", path = path.display())]
    Gone {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It answered something else.
    #[error("{path} is not the control socket of a link: {reason}", path = path.display())]
    Unknown {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It refused.
    #[error("{0}")]
    Refused(String),
}

/// The sockets of this user's commands that run, by name; those that are gone are passed over.
pub fn running() -> Vec<PathBuf> {
    let mut found: Vec<_> =
        place::folders().iter().flat_map(|folder| place::sockets(folder)).collect();
    found.retain(|path| UnixStream::connect(path).is_ok());
    found
}

impl Client {
    /// Connects to a socket.
    ///
    /// # Errors
    /// When nothing answers there.
    pub fn connect(path: &Path) -> Result<Client, Error> {
        let failed = |source| Error::Connect { path: path.to_owned(), source };
        let stream = UnixStream::connect(path).map_err(failed)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(failed)?;
        stream.set_write_timeout(Some(ANSWER_WITHIN)).map_err(failed)?;
        Ok(Client { path: path.to_owned(), input: BufReader::new(stream) })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When it is refused, or nothing sensible comes back.
    pub fn ask(&mut self, request: &Request) -> Result<Response, Error> {
        let gone = |source| Error::Gone { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(request).map_err(|error| gone(error.into()))?;
        line.push(b'\n');
        self.input.get_mut().write_all(&line).map_err(gone)?;
        line.clear();
        let limit = RESPONSE_BYTES_MAX + 1;
        let bytes = (&mut self.input).take(limit).read_until(b'\n', &mut line).map_err(gone)?;
        if bytes == 0 {
            return Err(gone(io::ErrorKind::UnexpectedEof.into()));
        }
        let read = serde_json::from_slice::<Response>(&line);
        let response = read.map_err(|error| Error::Unknown {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        match response.error {
            Some(why) => Err(Error::Refused(why)),
            None => Ok(response),
        }
    }
}

/// The driver itself answers within 5 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
const RESPONSE_BYTES_MAX: u64 = 16 << 20;
