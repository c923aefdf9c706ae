//! The driver's answers to questions.

use bytes::Bytes;

use super::commands::Question;
use super::connection::{Connection, Pending};
use super::{EndReason, Error, Refusal, Role, Token};
use crate::amf::amf0::Value;
use crate::rtmp::command::{Command, Status};
use crate::rtmp::link::WINDOW_BYTES;
use crate::rtmp::message::{Control, StreamId, User};
use crate::rtmp::metadata::CODECS;
use crate::rtmp::pack::FAN_OUT_CHUNK_BYTES;

impl Connection {
    /// Answers [`super::Event::Connect`]. A client that is refused has a while to close.
    ///
    /// # Errors
    /// When no such question is pending.
    pub fn connect(&mut self, token: Token, answer: Result<(), Refusal>) -> Result<(), Error> {
        let pending = self.take_pending(token, |q| matches!(q, Question::Connect { .. }))?;
        let Question::Connect { transaction, object_encoding, client } = pending.question else {
            return Err(Error::NotPending(token));
        };
        if let Err(refusal) = answer {
            let answer = Command::new("_error", transaction, [refusal.status().value()]);
            self.send(&answer, StreamId::CONNECTION);
            self.refused_at = Some(self.now);
            return Ok(());
        }
        self.link.control(Control::WindowAckSize(WINDOW_BYTES));
        self.link.control(Control::SetPeerBandwidth { window_bytes: WINDOW_BYTES, limit: DYNAMIC });
        self.link.set_chunk_bytes(FAN_OUT_CHUNK_BYTES);
        let (name, arguments) = ("_result".to_owned(), self.welcome(object_encoding));
        self.send(&Command { name, transaction, arguments }, StreamId::CONNECTION);
        self.client = Some(client);
        Ok(())
    }

    /// Answers [`super::Event::Publish`]. A client that is refused has a while to close.
    ///
    /// # Errors
    /// When no such question is pending.
    pub fn publish(&mut self, token: Token, answer: Result<(), Refusal>) -> Result<(), Error> {
        let pending = self.take_pending(token, |q| matches!(q, Question::Publish { .. }))?;
        let Question::Publish { stream } = pending.question else {
            return Err(Error::NotPending(token));
        };
        match answer {
            Ok(()) => {
                self.streams.set(stream, Some(Role::Publisher));
                self.link.control(Control::User(User::StreamBegin(stream)));
                self.status(&Status::new("NetStream.Publish.Start", "publishing"), stream);
            }
            Err(refusal) => self.turn_away(&refusal, stream),
        }
        Ok(())
    }

    /// Answers [`super::Event::Play`]. `opening` is what comes before all media: metadata and the
    /// decoders' configurations, as [`crate::rtmp::pack::Packer::opening`] makes them. A client
    /// that is refused has a while to close.
    ///
    /// # Errors
    /// When no such question is pending.
    pub fn play(&mut self, token: Token, opening: Result<Bytes, Refusal>) -> Result<(), Error> {
        let pending = self.take_pending(token, |q| matches!(q, Question::Play { .. }))?;
        let Question::Play { stream, reset } = pending.question else {
            return Err(Error::NotPending(token));
        };
        match opening {
            Ok(opening) => {
                self.streams.set(stream, Some(Role::Player));
                self.link.control(Control::User(User::StreamBegin(stream)));
                if reset {
                    self.status(&Status::new("NetStream.Play.Reset", "a new list"), stream);
                }
                self.status(&Status::new("NetStream.Play.Start", "playing"), stream);
                self.link.packed(&opening);
            }
            Err(refusal) => self.turn_away(&refusal, stream),
        }
        Ok(())
    }

    /// Ends a stream from this side: a player is told that it is over, a publisher why. The client
    /// then closes as a rule. [`super::Event::Ended`] follows.
    ///
    /// # Errors
    /// When the stream is neither published nor played.
    pub fn finish(&mut self, stream: StreamId, why: &Refusal) -> Result<(), Error> {
        let role = self.streams.role(stream).ok_or(Error::NoStream(stream))?;
        match role {
            Role::Player => {
                let gone = Status::new("NetStream.Play.UnpublishNotify", &why.detail);
                self.status(&gone, stream);
                self.link.control(Control::User(User::StreamEof(stream)));
                self.status(&Status::new("NetStream.Play.Stop", &why.detail), stream);
            }
            Role::Publisher => self.turn_away(why, stream),
        }
        self.end_role(stream, EndReason::Told);
        self.answered = true;
        Ok(())
    }

    fn turn_away(&mut self, refusal: &Refusal, stream: StreamId) {
        self.status(&refusal.status(), stream);
        self.refused_at = Some(self.now);
    }

    fn take_pending(
        &mut self,
        token: Token,
        is_kind: fn(&Question) -> bool,
    ) -> Result<Pending, Error> {
        let found = self.pending.take_if(|p| p.token == token && is_kind(&p.question));
        self.answered |= found.is_some();
        found.ok_or(Error::NotPending(token))
    }

    /// What follows `_result` for connect.
    fn welcome(&self, object_encoding: f64) -> Vec<Value> {
        let server = Value::object([
            // Clients read the version of a product out of this.
            ("fmsVer", "FMS/3,5,1,516".into()),
            ("capabilities", 31.0.into()),
            ("mode", 1.0.into()),
            ("server", self.config.software.as_str().into()),
        ]);
        let codecs = CODECS.map(Value::from).to_vec();
        let success = Status::new("NetConnection.Connect.Success", "connected");
        let mut info = success.value();
        if let Value::Object(properties) = &mut info {
            properties.push(("objectEncoding".into(), object_encoding.into()));
            properties.push(("fourCcList".into(), Value::StrictArray(codecs)));
            properties.push(("capsEx".into(), CAPS_MOD_EX.into()));
        }
        vec![server, info]
    }
}

const DYNAMIC: u8 = 2;
/// `capsEx`: ModEx is understood; reconnecting and several tracks are not offered.
const CAPS_MOD_EX: f64 = 4.0;
