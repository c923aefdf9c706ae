//! What is said on a connection before the stream.
//!
//! A connection on which the receiver has asked and was answered is another one to its kernel than
//! one on which it has only listened: it acknowledges later, and on the sender's core. Viewers of
//! RTSP always ask, so those of the bare sender do too.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// OPTIONS, DESCRIBE, SETUP and PLAY.
const ROUNDS: usize = 4;
/// About as long as a request of RTSP.
const MESSAGE: [u8; 120] = [b'.'; 120];
/// A receiver that does not ask is given up.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The receiver's part.
pub(crate) fn ask(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(WAIT_MAX))?;
    for _ in 0..ROUNDS {
        stream.write_all(&MESSAGE)?;
        stream.read_exact(&mut [0; MESSAGE.len()])?;
    }
    Ok(())
}

/// The sender's part.
pub(crate) fn answer(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(WAIT_MAX))?;
    for _ in 0..ROUNDS {
        stream.read_exact(&mut [0; MESSAGE.len()])?;
        stream.write_all(&MESSAGE)?;
    }
    Ok(())
}
