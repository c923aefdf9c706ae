//! The server's side.

use bytes::{BufMut, Bytes, BytesMut};
use weir_time::Random;

use super::digest::{self, Scheme, Side};
use super::{Error, Form, PART_BYTES, Part, VERSION, check_version, random_part, stamp};

/// The server's side of a handshake. It answers in the form that the client begins with.
#[derive(Clone, Debug)]
pub struct Server {
    random: Random,
    buffer: BytesMut,
    form: Option<Form>,
}

impl Server {
    /// A handshake whose random bytes depend on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Server { random: Random::new(seed), buffer: BytesMut::new(), form: None }
    }

    /// The form that the client has begun with, once that is known.
    pub fn form(&self) -> Option<Form> {
        self.form
    }

    /// Takes bytes that came, and writes the answer behind what is in `out`. Gives, at the end of
    /// the handshake, the bytes that stand behind it.
    ///
    /// # Errors
    /// When the peer speaks something else.
    pub fn handle(&mut self, bytes: &[u8], out: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        self.buffer.extend_from_slice(bytes);
        if self.form.is_none() {
            let Some(&version) = self.buffer.first() else {
                return Ok(None);
            };
            check_version(version)?;
            let Some(first) = self.buffer.get(1..).and_then(|rest| rest.first_chunk()) else {
                return Ok(None);
            };
            self.form = Some(reply(first, &mut self.random, out));
            let _ = self.buffer.split_to(1 + PART_BYTES);
        }
        if self.buffer.len() < PART_BYTES {
            return Ok(None);
        }
        let _ = self.buffer.split_to(PART_BYTES);
        Ok(Some(core::mem::take(&mut self.buffer).freeze()))
    }
}

/// Writes S0, S1 and S2 in answer to C1.
fn reply(first: &Part, random: &mut Random, out: &mut BytesMut) -> Form {
    let mut own = random_part(random);
    out.put_u8(VERSION);
    let is_plain = first[4..8] == [0; 4];
    let Some((scheme, theirs)) = digest::find(first, Side::Client).filter(|_| !is_plain) else {
        stamp(&mut own, [0; 4]);
        out.put_slice(&own);
        out.put_slice(first);
        return Form::Plain;
    };
    imprint(&mut own, scheme);
    out.put_slice(&own);
    let mut answer = random_part(random);
    digest::answer(&mut answer, &theirs, Side::Server);
    out.put_slice(&answer);
    Form::Digest
}

fn imprint(own: &mut Part, scheme: Scheme) {
    stamp(own, SERVER_VERSION);
    digest::imprint(own, scheme, Side::Server);
}

/// A version whose servers carry H.264 and know digests.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];
