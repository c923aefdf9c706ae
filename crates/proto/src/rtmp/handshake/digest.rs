//! Digests in the random bytes of C1, S1, C2 and S2.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{PART_BYTES, Part};

/// Who made a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// Where the digest of a part lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Among the first 764 random bytes.
    Front,
    /// Among the second.
    Back,
}

pub(super) type Digest = [u8; DIGEST_BYTES];

/// The digest that `side` has put into its first part, and where.
pub(super) fn find(part: &Part, side: Side) -> Option<(Scheme, Digest)> {
    [Scheme::Back, Scheme::Front].into_iter().find_map(|scheme| {
        let at = place(part, scheme);
        let digest = made(part, at, side);
        (part.get(at..at + DIGEST_BYTES) == Some(&digest[..])).then_some((scheme, digest))
    })
}

/// Puts the digest of `side` into its first part.
pub(super) fn imprint(part: &mut Part, scheme: Scheme, side: Side) -> Digest {
    let at = place(part, scheme);
    let digest = made(part, at, side);
    part[at..at + DIGEST_BYTES].copy_from_slice(&digest);
    digest
}

/// Makes the end of the second part of `side` its answer to the digest of the other side.
pub(super) fn answer(part: &mut Part, to: &Digest, side: Side) {
    let key = hmac(&[side.key(), &KEY_TAIL].concat(), &[to]);
    let (random, end) = part.split_at_mut(PART_BYTES - DIGEST_BYTES);
    end.copy_from_slice(&hmac(&key, &[random]));
}

/// Four bytes say where in the 728 bytes behind them it begins.
fn place(part: &Part, scheme: Scheme) -> usize {
    let start = match scheme {
        Scheme::Front => 8,
        Scheme::Back => 8 + BLOCK_BYTES,
    };
    let sum: usize = part[start..start + 4].iter().map(|byte| usize::from(*byte)).sum();
    start + 4 + sum % (BLOCK_BYTES - 4 - DIGEST_BYTES)
}

/// The digest of a part but for the bytes at its own place.
fn made(part: &Part, at: usize, side: Side) -> Digest {
    hmac(side.key(), &[&part[..at], &part[at + DIGEST_BYTES..]])
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Digest {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

impl Side {
    fn key(self) -> &'static [u8] {
        match self {
            Side::Client => b"Genuine Adobe Flash Player 001",
            Side::Server => b"Genuine Adobe Flash Media Server 001",
        }
    }
}

const DIGEST_BYTES: usize = 32;
/// The random bytes are two blocks.
const BLOCK_BYTES: usize = 764;
/// What stands behind both keys for answers.
const KEY_TAIL: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57,
    0x6e, 0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];
