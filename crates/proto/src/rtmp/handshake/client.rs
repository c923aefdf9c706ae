//! The client's side.

use bytes::{BufMut, Bytes, BytesMut};
use weir_time::Random;

use super::digest::{self, Scheme, Side};
use super::{Error, Form, PART_BYTES, VERSION, check_version, random_part, stamp};

/// The client's side of a handshake.
#[derive(Clone, Debug)]
pub struct Client {
    random: Random,
    buffer: BytesMut,
    form: Form,
    answered: bool,
}

impl Client {
    /// A handshake in this form, whose first bytes are written to `out`. Its random bytes depend
    /// on `seed` alone.
    pub fn new(form: Form, seed: u64, out: &mut BytesMut) -> Self {
        let mut random = Random::new(seed);
        let mut first = random_part(&mut random);
        match form {
            Form::Plain => stamp(&mut first, [0; 4]),
            Form::Digest => {
                stamp(&mut first, CLIENT_VERSION);
                digest::imprint(&mut first, Scheme::Front, Side::Client);
            }
        }
        out.put_u8(VERSION);
        out.put_slice(&first);
        Client { random, buffer: BytesMut::new(), form, answered: false }
    }

    /// The form in which the server has answered; before, the one that was asked for.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Takes bytes that came, and writes the answer behind what is in `out`. Gives, at the end of
    /// the handshake, the bytes that stand behind it.
    ///
    /// # Errors
    /// When the peer speaks something else.
    pub fn handle(&mut self, bytes: &[u8], out: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        self.buffer.extend_from_slice(bytes);
        if !self.answered {
            let Some(&version) = self.buffer.first() else {
                return Ok(None);
            };
            check_version(version)?;
            let Some(first) = self.buffer.get(1..).and_then(|rest| rest.first_chunk()) else {
                return Ok(None);
            };
            match digest::find(first, Side::Server).filter(|_| self.form == Form::Digest) {
                Some((_, theirs)) => {
                    let mut answer = random_part(&mut self.random);
                    digest::answer(&mut answer, &theirs, Side::Client);
                    out.put_slice(&answer);
                }
                None => {
                    self.form = Form::Plain;
                    out.put_slice(first);
                }
            }
            self.answered = true;
            let _ = self.buffer.split_to(1 + PART_BYTES);
        }
        if self.buffer.len() < PART_BYTES {
            return Ok(None);
        }
        let _ = self.buffer.split_to(PART_BYTES);
        Ok(Some(core::mem::take(&mut self.buffer).freeze()))
    }
}

/// The version of Flash Player that ffmpeg says too.
const CLIENT_VERSION: [u8; 4] = [9, 0, 124, 2];
