//! The handshake before the chunk stream: three parts from each side (RTMP specification 1.0,
//! section 5.2), plain or with digests.
//!
//! Digests are not in the specification. A client of the digest form puts a version into the
//! second field of C1 and an HMAC-SHA-256 somewhere into its random bytes; the server answers in
//! the same form. Players and old servers want it before they carry H.264; a peer that knows only
//! the plain form takes the rest as random. What a peer answers to our own part is not judged:
//! several implementations in use answer with something else.

mod client;
mod digest;
mod server;

pub use client::Client;
pub use server::Server;

use weir_time::Random;

/// Bytes of C1, S1, C2 and S2.
const PART_BYTES: usize = 1536;
/// The version of the protocol that is spoken (C0, S0).
const VERSION: u8 = 3;

/// One part of a handshake.
type Part = [u8; PART_BYTES];

/// How a handshake is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As the specification has it.
    Plain,
    /// With digests.
    Digest,
}

/// Why there is no handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first byte says another version.
    #[error("RTMP version 3 expected, {} came{}", .0, encrypted(.0))]
    Version(u8),
    /// The peer speaks HTTP.
    #[error("RTMP expected, HTTP came: use the port of HTTP, or an address that starts with rtmp:")]
    Http,
    /// The peer speaks TLS.
    #[error("RTMP expected, TLS came: use the port of RTMPS, or an address that starts with rtmp:")]
    Tls,
}

fn encrypted(version: &u8) -> &'static str {
    match version {
        6 | 8 => ": encrypted RTMP (RTMPE), which is not spoken here",
        _ => "",
    }
}

fn check_version(version: u8) -> Result<(), Error> {
    match version {
        VERSION => Ok(()),
        // The first letter of a method or of a response.
        b'A'..=b'Z' => Err(Error::Http),
        // A handshake record.
        0x16 => Err(Error::Tls),
        other => Err(Error::Version(other)),
    }
}

fn random_part(random: &mut Random) -> Part {
    let mut part = [0; PART_BYTES];
    for eight in part.chunks_mut(8) {
        eight.copy_from_slice(&random.next_u64().to_be_bytes()[..eight.len()]);
    }
    part
}

/// Writes the time and the second field.
fn stamp(part: &mut Part, second: [u8; 4]) {
    part[..4].fill(0);
    part[4..8].copy_from_slice(&second);
}

#[cfg(test)]
mod tests;
