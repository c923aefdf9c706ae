//! Messages: what chunks are put together to, and what the protocol itself says in them.

use bytes::{BufMut, Bytes, BytesMut};

/// A whole message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// What kind it is of.
    pub kind: Kind,
    /// Its time stamp in milliseconds, modulo 2^32.
    pub time_ms: u32,
    /// The message stream that it belongs to: 0 for the connection itself.
    pub stream: StreamId,
    /// What it says.
    pub body: Bytes,
}

impl core::fmt::Debug for Message {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Message { kind, time_ms, stream, body } = self;
        write!(f, "{kind:?} at {time_ms} ms of stream {} ({} bytes)", stream.0, body.len())
    }
}

/// The number of a message stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

impl StreamId {
    /// The connection itself.
    pub const CONNECTION: StreamId = StreamId(0);
    /// The first that a server gives.
    pub const FIRST: StreamId = StreamId(1);
}

/// The kinds of messages (RTMP specification 1.0, sections 5.4, 6.2 and 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Set Chunk Size.
    SetChunkSize,
    /// Abort Message.
    Abort,
    /// Acknowledgement.
    Acknowledgement,
    /// User Control Message.
    UserControl,
    /// Window Acknowledgement Size.
    WindowAckSize,
    /// Set Peer Bandwidth.
    SetPeerBandwidth,
    /// Sound: the data of an FLV tag.
    Audio,
    /// Picture: the data of an FLV tag.
    Video,
    /// Data in AMF 3.
    DataAmf3,
    /// A command in AMF 3.
    CommandAmf3,
    /// Data in AMF 0: metadata.
    DataAmf0,
    /// A command in AMF 0.
    CommandAmf0,
    /// FLV tags one behind the other.
    Aggregate,
    /// Any other: shared objects, and what nobody knows.
    Other(u8),
}

impl Kind {
    /// The kind with this number.
    pub fn from_number(number: u8) -> Self {
        match number {
            1 => Kind::SetChunkSize,
            2 => Kind::Abort,
            3 => Kind::Acknowledgement,
            4 => Kind::UserControl,
            5 => Kind::WindowAckSize,
            6 => Kind::SetPeerBandwidth,
            8 => Kind::Audio,
            9 => Kind::Video,
            15 => Kind::DataAmf3,
            17 => Kind::CommandAmf3,
            18 => Kind::DataAmf0,
            20 => Kind::CommandAmf0,
            22 => Kind::Aggregate,
            other => Kind::Other(other),
        }
    }

    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Kind::SetChunkSize => 1,
            Kind::Abort => 2,
            Kind::Acknowledgement => 3,
            Kind::UserControl => 4,
            Kind::WindowAckSize => 5,
            Kind::SetPeerBandwidth => 6,
            Kind::Audio => 8,
            Kind::Video => 9,
            Kind::DataAmf3 => 15,
            Kind::CommandAmf3 => 17,
            Kind::DataAmf0 => 18,
            Kind::CommandAmf0 => 20,
            Kind::Aggregate => 22,
            Kind::Other(number) => number,
        }
    }
}

/// A message of the protocol about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Chunks from now on are this large.
    SetChunkSize(u32),
    /// So many bytes were received, modulo 2^32.
    Acknowledgement(u32),
    /// An acknowledgement is wanted after so many bytes.
    WindowAckSize(u32),
    /// No more than so many bytes are to be on the way.
    SetPeerBandwidth {
        /// How many.
        window_bytes: u32,
        /// 0 hard, 1 soft, 2 dynamic.
        limit: u8,
    },
    /// Something about a stream.
    User(User),
}

/// What a User Control Message says (section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// A stream begins to be of use.
    StreamBegin(StreamId),
    /// A stream is over.
    StreamEof(StreamId),
    /// Nothing more to send for now.
    StreamDry(StreamId),
    /// The player's buffer.
    SetBufferLength {
        /// Of this stream.
        stream: StreamId,
        /// Its length.
        length_ms: u32,
    },
    /// A stream is a recorded one.
    StreamIsRecorded(StreamId),
    /// A question whether the peer is there, with the asker's time.
    PingRequest(u32),
    /// The answer, with the asker's time.
    PingResponse(u32),
    /// Any other: its number.
    Other(u16),
}

impl Control {
    /// Reads a message of the protocol about itself; `None` for other messages, and for those that
    /// are too short. What stands behind is passed over.
    pub fn read(message: &Message) -> Option<Self> {
        let body = &message.body[..];
        let number = || body.first_chunk().copied().map(u32::from_be_bytes);
        match message.kind {
            Kind::SetChunkSize => Some(Control::SetChunkSize(number()?)),
            Kind::Acknowledgement => Some(Control::Acknowledgement(number()?)),
            Kind::WindowAckSize => Some(Control::WindowAckSize(number()?)),
            Kind::SetPeerBandwidth => {
                // Some leave the type of the limit away.
                let limit = body.get(4).copied().unwrap_or(DYNAMIC);
                Some(Control::SetPeerBandwidth { window_bytes: number()?, limit })
            }
            Kind::UserControl => User::read(body).map(Control::User),
            _ => None,
        }
    }

    /// The message, at time 0.
    pub fn message(self) -> Message {
        let mut body = BytesMut::new();
        let kind = match self {
            Control::SetChunkSize(bytes) => {
                body.put_u32(bytes);
                Kind::SetChunkSize
            }
            Control::Acknowledgement(bytes) => {
                body.put_u32(bytes);
                Kind::Acknowledgement
            }
            Control::WindowAckSize(bytes) => {
                body.put_u32(bytes);
                Kind::WindowAckSize
            }
            Control::SetPeerBandwidth { window_bytes, limit } => {
                body.put_u32(window_bytes);
                body.put_u8(limit);
                Kind::SetPeerBandwidth
            }
            Control::User(user) => {
                user.write(&mut body);
                Kind::UserControl
            }
        };
        Message { kind, time_ms: 0, stream: StreamId::CONNECTION, body: body.freeze() }
    }
}

impl User {
    fn read(body: &[u8]) -> Option<Self> {
        let (number, rest) = body.split_first_chunk::<2>()?;
        let first = || rest.first_chunk().copied().map(u32::from_be_bytes);
        match u16::from_be_bytes(*number) {
            0 => Some(User::StreamBegin(StreamId(first()?))),
            1 => Some(User::StreamEof(StreamId(first()?))),
            2 => Some(User::StreamDry(StreamId(first()?))),
            3 => {
                let length = rest.get(4..)?.first_chunk().copied().map(u32::from_be_bytes);
                Some(User::SetBufferLength { stream: StreamId(first()?), length_ms: length? })
            }
            4 => Some(User::StreamIsRecorded(StreamId(first()?))),
            6 => Some(User::PingRequest(first()?)),
            7 => Some(User::PingResponse(first()?)),
            other => Some(User::Other(other)),
        }
    }

    fn write(self, out: &mut BytesMut) {
        let (number, first) = match self {
            User::StreamBegin(stream) => (0, stream.0),
            User::StreamEof(stream) => (1, stream.0),
            User::StreamDry(stream) => (2, stream.0),
            User::SetBufferLength { stream, .. } => (3, stream.0),
            User::StreamIsRecorded(stream) => (4, stream.0),
            User::PingRequest(time) => (6, time),
            User::PingResponse(time) => (7, time),
            User::Other(number) => return out.put_u16(number),
        };
        out.put_u16(number);
        out.put_u32(first);
        if let User::SetBufferLength { length_ms, .. } = self {
            out.put_u32(length_ms);
        }
    }
}

/// The messages of an aggregate (section 7.1.6): FLV tags, each with its size behind it, which is
/// not looked at. Their times are moved so that the first has the aggregate's. Ends at what is no
/// whole tag.
pub fn aggregated(aggregate: &Message) -> impl Iterator<Item = Message> {
    let Message { time_ms, stream, .. } = *aggregate;
    let mut rest = aggregate.body.clone();
    let mut shift = None;
    core::iter::from_fn(move || {
        let &[kind, l0, l1, l2, t0, t1, t2, t3, _, _, _] = rest.first_chunk::<TAG_HEAD_BYTES>()?;
        let bytes = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let tag_ms = u32::from_be_bytes([t3, t0, t1, t2]);
        let end = TAG_HEAD_BYTES + bytes;
        if end > rest.len() {
            return None;
        }
        let tag = rest.split_to(end);
        let _ = rest.split_to(rest.len().min(TAG_TRAILER_BYTES));
        let shift = *shift.get_or_insert(time_ms.wrapping_sub(tag_ms));
        Some(Message {
            kind: Kind::from_number(kind),
            time_ms: tag_ms.wrapping_add(shift),
            stream,
            body: tag.slice(TAG_HEAD_BYTES..),
        })
    })
}

const DYNAMIC: u8 = 2;
const TAG_HEAD_BYTES: usize = 11;
const TAG_TRAILER_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_about_the_connection_read_as_they_were_written() {
        let user = [
            User::StreamBegin(StreamId(1)),
            User::StreamEof(StreamId(1)),
            User::StreamDry(StreamId(2)),
            User::SetBufferLength { stream: StreamId(1), length_ms: 3000 },
            User::StreamIsRecorded(StreamId(1)),
            User::PingRequest(0x0102_0304),
            User::PingResponse(5),
            User::Other(32),
        ];
        let others = [
            Control::SetChunkSize(4096),
            Control::Acknowledgement(u32::MAX),
            Control::WindowAckSize(2_500_000),
            Control::SetPeerBandwidth { window_bytes: 2_500_000, limit: 2 },
        ];
        for control in user.map(Control::User).into_iter().chain(others) {
            assert_eq!(Control::read(&control.message()), Some(control));
        }
    }

    #[test]
    fn a_bandwidth_without_its_type_is_a_dynamic_one() {
        let mut message = Control::SetPeerBandwidth { window_bytes: 7, limit: 0 }.message();
        message.body.truncate(4);
        let control = Control::SetPeerBandwidth { window_bytes: 7, limit: DYNAMIC };
        assert_eq!(Control::read(&message), Some(control));
        message.body.truncate(3);
        assert_eq!(Control::read(&message), None);
    }

    #[test]
    fn every_kind_has_its_number() {
        for number in 0..=u8::MAX {
            assert_eq!(Kind::from_number(number).number(), number);
        }
    }

    #[test]
    fn an_aggregate_gives_its_messages_with_the_time_of_its_own() {
        let mut body = BytesMut::new();
        for (kind, time_ms, data) in [(9, 5000, "picture"), (8, 5010, "sound")] {
            body.put_u8(kind);
            body.put_uint(data.len() as u64, 3);
            body.put_uint(time_ms, 3);
            body.put_u32(0);
            body.put_slice(data.as_bytes());
            body.put_u32(11 + data.len() as u32);
        }
        body.put_slice(&[9, 0, 0]);
        let body = body.freeze();
        let aggregate = Message { kind: Kind::Aggregate, time_ms: 40, stream: StreamId(1), body };
        let messages: Vec<_> = aggregated(&aggregate).collect();
        let seen: Vec<_> =
            messages.iter().map(|m| (m.kind, m.time_ms, &m.body[..], m.stream.0)).collect();
        assert_eq!(seen, [(Kind::Video, 40, &b"picture"[..], 1), (Kind::Audio, 50, b"sound", 1)]);
    }
}
