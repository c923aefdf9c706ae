//! Commands and data: a name with values behind it (section 7.2).

use bytes::Bytes;

use super::message::{Kind, Message, StreamId};
use crate::amf::amf0::{self, Value};
use crate::amf::{Error as AmfError, Limits};

/// A command, or the answer to one.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What to do; `_result` or `_error` for answers.
    pub name: String,
    /// The number under which an answer comes; 0 for none. Answers bear that of their command.
    pub transaction: f64,
    /// The command object, and what stands behind it.
    pub arguments: Vec<Value>,
}

/// Data of a stream: metadata for the most part.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// What it is: `onMetaData`. Of `@setDataFrame` what is to be set.
    pub name: String,
    /// What stands behind.
    pub values: Vec<Value>,
}

/// Why a command or data cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its values break their form before anything of use.
    #[error(transparent)]
    Amf(#[from] AmfError),
    /// It does not begin with a name.
    #[error("a command begins with its name, which is text; something else came")]
    NoName,
}

impl Command {
    /// A command with a number, without a command object.
    pub fn new<const N: usize>(name: &str, transaction: f64, behind: [Value; N]) -> Self {
        let arguments = core::iter::once(Value::Null).chain(behind).collect();
        Command { name: name.to_owned(), transaction, arguments }
    }

    /// Reads a command of either format. Values behind one that cannot be read are left out.
    ///
    /// # Errors
    /// When there is no name.
    pub fn read(message: &Message) -> Result<Self, Error> {
        let (name, mut values) = named(message)?;
        let transaction = match values.first().and_then(Value::as_number) {
            Some(number) => {
                values.remove(0);
                number
            }
            // Left away by those that want no answer.
            None => 0.0,
        };
        Ok(Command { name, transaction, arguments: values })
    }

    /// The command object, or that of an answer.
    pub fn object(&self) -> &Value {
        self.argument(0)
    }

    /// What stands behind the command object at this place, counted from 1.
    pub fn argument(&self, place: usize) -> &Value {
        self.arguments.get(place).unwrap_or(&Value::Undefined)
    }

    /// The message, in AMF 0, at time 0.
    pub fn message(&self, stream: StreamId) -> Message {
        let head = [Value::String(self.name.clone()), Value::Number(self.transaction)];
        let values: Vec<Value> = head.into_iter().chain(self.arguments.iter().cloned()).collect();
        let body = amf0::write_all(&values);
        Message { kind: Kind::CommandAmf0, time_ms: 0, stream, body }
    }
}

impl Data {
    /// Reads data of either format. Of values that break off those before are given; without a
    /// name, which some encoders leave away, an object is metadata.
    ///
    /// # Errors
    /// When there is neither a name nor an object.
    pub fn read(message: &Message) -> Result<Self, Error> {
        let mut values = values(message)?;
        let is_setting = values.first().and_then(Value::as_str) == Some("@setDataFrame");
        if is_setting {
            values.remove(0);
        }
        match values.first() {
            Some(value) if value.as_str().is_some() => {
                let name = value.as_str().unwrap_or_default().to_owned();
                values.remove(0);
                Ok(Data { name, values })
            }
            Some(value) if !value.properties().is_empty() => {
                Ok(Data { name: METADATA.to_owned(), values })
            }
            _ => Err(Error::NoName),
        }
    }
}

/// The first value as a name, and those behind it.
fn named(message: &Message) -> Result<(String, Vec<Value>), Error> {
    let mut values = values(message)?;
    let name = values.first().and_then(Value::as_str).ok_or(Error::NoName)?.to_owned();
    values.remove(0);
    Ok((name, values))
}

/// The values of a message, up to one that cannot be read; an error if that is the first.
fn values(message: &Message) -> Result<Vec<Value>, Error> {
    let mut body: &[u8] = &message.body;
    // The AMF 3 kinds have a byte for the format first, and then values of AMF 0, among which
    // those of AMF 3 are marked. Some leave the byte away.
    if matches!(message.kind, Kind::CommandAmf3 | Kind::DataAmf3)
        && let Some((0, rest)) = body.split_first()
    {
        body = rest;
    }
    let mut values = Vec::new();
    for value in amf0::Reader::new(body, Limits::default()) {
        match value {
            Ok(value) => values.push(value),
            Err(error) if values.is_empty() => return Err(error.into()),
            Err(_) => break,
        }
    }
    Ok(values)
}

/// What onStatus says, and the answer to connect (section 7.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `status`, `warning` or `error`.
    pub level: String,
    /// A code: `NetStream.Play.Start`.
    pub code: String,
    /// What it means, for people.
    pub description: String,
}

impl Status {
    /// A status of level `status`.
    pub fn new(code: &str, description: &str) -> Self {
        let level = "status".to_owned();
        Status { level, code: code.to_owned(), description: description.to_owned() }
    }

    /// A status of level `error`.
    pub fn error(code: &str, description: &str) -> Self {
        Status { level: "error".to_owned(), ..Status::new(code, description) }
    }

    /// Reads an information object; what it lacks is empty.
    pub fn read(value: &Value) -> Self {
        let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Status { level: text("level"), code: text("code"), description: text("description") }
    }

    /// Whether it says that something failed.
    pub fn is_error(&self) -> bool {
        self.level == "error"
    }

    /// The information object.
    pub fn value(&self) -> Value {
        Value::object([
            ("level", self.level.as_str().into()),
            ("code", self.code.as_str().into()),
            ("description", self.description.as_str().into()),
        ])
    }

    /// The command onStatus.
    pub fn command(&self) -> Command {
        Command::new("onStatus", 0.0, [self.value()])
    }
}

/// Data with these values as the body of a message.
pub fn data_body(values: &[Value]) -> Bytes {
    amf0::write_all(values)
}

/// The name of metadata.
pub const METADATA: &str = "onMetaData";

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    fn message(kind: Kind, body: Bytes) -> Message {
        Message { kind, time_ms: 0, stream: StreamId::CONNECTION, body }
    }

    fn metadata() -> Value {
        Value::ecma_array([("width", 320.0.into())])
    }

    #[test]
    fn commands_read_as_they_were_written() {
        let command = Command::new("publish", 5.0, ["key".into(), "live".into()]);
        assert_eq!(Command::read(&command.message(StreamId(1))), Ok(command.clone()));
        assert_eq!(command.argument(1).as_str(), Some("key"));
        assert_eq!(command.argument(3), &Value::Undefined);
    }

    #[test]
    fn commands_of_amf_3_may_have_the_byte_of_their_format_or_not() {
        let command = Command::new("createStream", 2.0, []);
        let body = command.message(StreamId(0)).body;
        let mut with = bytes::BytesMut::from(&[0][..]);
        with.put_slice(&body);
        for body in [body, with.freeze()] {
            assert_eq!(Command::read(&message(Kind::CommandAmf3, body)), Ok(command.clone()));
        }
    }

    #[test]
    fn a_command_without_a_number_wants_no_answer() {
        let body = amf0::write_all(&["FCUnpublish".into(), Value::Null, "key".into()]);
        let command = Command::read(&message(Kind::CommandAmf0, body)).unwrap();
        assert_eq!((command.transaction, command.argument(1).as_str()), (0.0, Some("key")));
    }

    #[test]
    fn metadata_is_found_in_each_of_its_forms() {
        let forms: [&[Value]; 4] = [
            &["@setDataFrame".into(), "onMetaData".into(), metadata()],
            &["onMetaData".into(), metadata()],
            &["@setDataFrame".into(), metadata()],
            &[metadata()],
        ];
        for values in forms {
            let data = Data::read(&message(Kind::DataAmf0, data_body(values))).unwrap();
            assert_eq!(data, Data { name: "onMetaData".into(), values: vec![metadata()] });
        }
    }

    #[test]
    fn values_that_break_off_leave_those_before() {
        let body = data_body(&["onMetaData".into(), metadata(), 1.0.into()]);
        let cut = body.slice(..body.len() - 1);
        let data = Data::read(&message(Kind::DataAmf0, cut)).unwrap();
        assert_eq!(data.values, [metadata()]);
        let nothing = Data::read(&message(Kind::DataAmf0, Bytes::from_static(&[0x63])));
        assert!(matches!(nothing, Err(Error::Amf(_))));
        assert_eq!(Data::read(&message(Kind::DataAmf0, Bytes::new())), Err(Error::NoName));
    }
}
