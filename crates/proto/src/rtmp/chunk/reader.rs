//! Puts messages together out of chunks.

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};

use super::header::{Basic, EXTENDED, MESSAGE_HEADER_BYTES};
use super::{CHUNK_BYTES_FIRST, ChunkStreamId, Error, Expected};
use crate::rtmp::message::{Kind, Message, StreamId};

/// How much a reader takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message of sound or picture, or of an aggregate.
    pub media_bytes_max: usize,
    /// Bytes of any other message.
    pub command_bytes_max: usize,
    /// Bytes of messages that are not whole yet, over all chunk streams.
    pub total_bytes_max: usize,
    /// Chunk streams.
    pub streams_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            media_bytes_max: 8 << 20,
            command_bytes_max: 256 << 10,
            total_bytes_max: 16 << 20,
            streams_max: 64,
        }
    }
}

/// Puts messages together out of a byte stream. Set Chunk Size and Abort Message are followed here
/// and not given out.
///
/// # Peers that keep other rules
/// - The first chunk of a chunk stream may be of type 1 (librtmp, HaishinKit): its message stream
///   is 0 and its time counts from 0.
/// - A header of type 0 to 2 in the middle of a message begins another; the first is dropped and
///   counted.
/// - A message that begins with type 3 behind one of type 0 is later by that one's whole time, as
///   section 5.3.1.2.4 has it and ffmpeg writes it, only where that is less than a second. Else it
///   has the same time, as GStreamer and librtmp mean it.
/// - Chunks of type 3 bear the extended time stamp again (section 5.3.1.3). librtmp and old OBS
///   leave it away: the first such chunk tells, by whether the time stands there.
#[derive(Clone, Debug)]
pub struct Reader {
    limits: Limits,
    buffer: BytesMut,
    /// Bytes that were taken out of the buffer.
    offset: u64,
    chunk_bytes: u32,
    streams: BTreeMap<ChunkStreamId, Stream>,
    /// The chunk that is being read: its stream, and how many bytes of it are to come.
    chunk: Option<(ChunkStreamId, u32)>,
    /// Bytes of messages that are not whole yet.
    held_bytes: usize,
    extended: ExtendedHabit,
    messages_dropped: u64,
}

/// Whether the peer repeats the extended time stamp in chunks of type 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExtendedHabit {
    Unknown,
    Repeats,
    LeavesOut,
}

/// What a chunk stream remembers.
#[derive(Clone, Debug)]
struct Stream {
    time_ms: u32,
    /// How much later a message is that begins with type 3.
    delta_ms: u32,
    length: u32,
    kind: Kind,
    stream: StreamId,
    /// The extended field of the last header that was not of type 3.
    extended: Option<u32>,
    /// That header was of type 0.
    is_absolute: bool,
    body: BytesMut,
    /// A message has begun and is not whole.
    is_open: bool,
}

/// A header that was read whole.
struct Header {
    basic: Basic,
    fields: [u8; 11],
    extended: Option<u32>,
    bytes: usize,
}

/// What the next bytes of the buffer are good for.
enum Step {
    /// More bytes are needed.
    Wait,
    Go,
    Message(Message),
}

impl Reader {
    /// A reader behind the handshake.
    pub fn new(limits: Limits) -> Self {
        Reader {
            limits,
            buffer: BytesMut::new(),
            offset: 0,
            chunk_bytes: CHUNK_BYTES_FIRST,
            streams: BTreeMap::new(),
            chunk: None,
            held_bytes: 0,
            extended: ExtendedHabit::Unknown,
            messages_dropped: 0,
        }
    }

    /// Adds bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message; `None` until more bytes come. Behind an error there is nothing to
    /// be read.
    ///
    /// # Errors
    /// When a chunk cannot be read, or asks for more than the limits allow.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            let step = match self.chunk {
                None => self.header()?,
                Some((stream, left)) => self.payload(stream, left)?,
            };
            match step {
                Step::Wait => return Ok(None),
                Step::Go => {}
                Step::Message(message) => {
                    if let Some(message) = self.follow(message)? {
                        return Ok(Some(message));
                    }
                }
            }
        }
    }

    /// Bytes that were read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that wait to be read, those of unfinished messages included.
    pub fn held_bytes(&self) -> usize {
        self.buffer.len() + self.held_bytes
    }

    /// Messages that were given up in the middle: by Abort Message, or because another began.
    pub fn messages_dropped(&self) -> u64 {
        self.messages_dropped
    }

    /// Reads a chunk's header.
    fn header(&mut self) -> Result<Step, Error> {
        let Some(basic) = Basic::read(&self.buffer) else {
            return Ok(Step::Wait);
        };
        let Some(header) = self.whole(basic) else {
            return Ok(Step::Wait);
        };
        let (offset, number) = (self.offset, basic.stream.0);
        let error = |expected, came| Error { offset, stream: number, expected, came };
        let known = self.streams.len();
        if !self.streams.contains_key(&basic.stream) {
            if basic.format > 1 {
                return Err(error(Expected::FirstHeader, basic.format.into()));
            }
            if known >= self.limits.streams_max {
                return Err(error(Expected::StreamsMax(self.limits.streams_max), known as u64 + 1));
            }
        }
        let stream = self.streams.entry(basic.stream).or_default();
        if stream.is_open && basic.format != 3 {
            self.held_bytes -= stream.body.len();
            stream.give_up();
            self.messages_dropped += 1;
        }
        if !stream.is_open {
            stream.begin(&header);
            let length = stream.length as usize;
            let expected = match stream.kind {
                Kind::Audio | Kind::Video | Kind::Aggregate => {
                    let max = self.limits.media_bytes_max;
                    (length > max).then_some(Expected::MediaBytesMax(max))
                }
                _ => {
                    let max = self.limits.command_bytes_max;
                    (length > max).then_some(Expected::CommandBytesMax(max))
                }
            };
            if let Some(expected) = expected {
                return Err(error(expected, length as u64));
            }
        }
        let left = stream.length - stream.body.len() as u32;
        self.chunk = Some((basic.stream, left.min(self.chunk_bytes)));
        self.consume(header.bytes);
        Ok(Step::Go)
    }

    /// The whole header, if enough of it is there.
    fn whole(&mut self, basic: Basic) -> Option<Header> {
        let behind = self.buffer.get(basic.header_bytes..)?;
        let bytes = *MESSAGE_HEADER_BYTES.get(usize::from(basic.format))?;
        let (message, behind) = behind.split_at_checked(bytes)?;
        let mut fields = [0; 11];
        fields.get_mut(..bytes)?.copy_from_slice(message);
        let bytes = basic.header_bytes + bytes;
        let has_extended = if basic.format < 3 {
            time_field(&fields) == EXTENDED
        } else if let Some((stream, field)) =
            self.streams.get(&basic.stream).and_then(|stream| Some((stream, stream.extended?)))
        {
            if self.extended == ExtendedHabit::Unknown {
                self.extended = habit(field, stream.time_ms, behind)?;
            }
            self.extended == ExtendedHabit::Repeats
        } else {
            false
        };
        if !has_extended {
            return Some(Header { basic, fields, extended: None, bytes });
        }
        let extended = behind.first_chunk().copied().map(u32::from_be_bytes)?;
        Some(Header { basic, fields, extended: Some(extended), bytes: bytes + 4 })
    }

    /// Moves what is there of a chunk's payload to its message.
    fn payload(&mut self, id: ChunkStreamId, left: u32) -> Result<Step, Error> {
        let stream = self.streams.get_mut(&id).expect("its header was read");
        let bytes = self.buffer.len().min(left as usize);
        if bytes == 0 && left > 0 {
            return Ok(Step::Wait);
        }
        let held_bytes = self.held_bytes + bytes;
        if held_bytes > self.limits.total_bytes_max {
            let expected = Expected::TotalBytesMax(self.limits.total_bytes_max);
            let (offset, came) = (self.offset, held_bytes as u64);
            return Err(Error { offset, stream: id.0, expected, came });
        }
        if stream.body.is_empty() {
            stream.body.reserve((stream.length as usize).min(FIRST_ROOM_BYTES));
        }
        stream.body.extend_from_slice(self.buffer.get(..bytes).unwrap_or(&[]));
        self.held_bytes = held_bytes;
        let left = left - bytes as u32;
        let is_whole = stream.body.len() == stream.length as usize;
        let message = is_whole.then(|| stream.finish());
        self.chunk = (left > 0).then_some((id, left));
        self.consume(bytes);
        Ok(match message {
            Some(message) => {
                self.held_bytes -= message.body.len();
                Step::Message(message)
            }
            None => Step::Go,
        })
    }

    /// Follows what a message says about the chunk stream; gives others back.
    fn follow(&mut self, message: Message) -> Result<Option<Message>, Error> {
        match (message.kind, message.body.first_chunk().copied().map(u32::from_be_bytes)) {
            (Kind::SetChunkSize, Some(bytes)) => {
                if !(1..=CHUNK_BYTES_MAX).contains(&bytes) {
                    return Err(Error {
                        offset: self.offset,
                        stream: ChunkStreamId::CONTROL.0,
                        expected: Expected::ChunkSize,
                        came: bytes.into(),
                    });
                }
                self.chunk_bytes = bytes;
            }
            (Kind::Abort, Some(id)) => {
                if let Some(stream) = self.streams.get_mut(&ChunkStreamId(id))
                    && stream.is_open
                {
                    self.held_bytes -= stream.body.len();
                    stream.give_up();
                    self.messages_dropped += 1;
                }
            }
            (Kind::SetChunkSize | Kind::Abort, None) => {}
            _ => return Ok(Some(message)),
        }
        Ok(None)
    }

    fn consume(&mut self, bytes: usize) {
        self.buffer.advance(bytes);
        self.offset += bytes as u64;
    }
}

impl Default for Stream {
    fn default() -> Self {
        Stream {
            time_ms: 0,
            delta_ms: 0,
            length: 0,
            kind: Kind::Other(0),
            stream: StreamId::CONNECTION,
            extended: None,
            is_absolute: false,
            body: BytesMut::new(),
            is_open: false,
        }
    }
}

impl Stream {
    /// Begins a message.
    fn begin(&mut self, header: &Header) {
        let [_, _, _, l0, l1, l2, kind, s0, s1, s2, s3] = header.fields;
        let time = header.extended.unwrap_or(time_field(&header.fields));
        match header.basic.format {
            0 => {
                self.time_ms = time;
                self.delta_ms = if time < FIRST_DELTA_MS_MAX { time } else { 0 };
                self.stream = StreamId(u32::from_le_bytes([s0, s1, s2, s3]));
            }
            1 | 2 => {
                self.delta_ms = time;
                self.time_ms = self.time_ms.wrapping_add(time);
            }
            _ => match header.extended {
                Some(time) if !self.is_absolute => {
                    self.delta_ms = time;
                    self.time_ms = self.time_ms.wrapping_add(time);
                }
                // The whole time again, unless it goes back, which it is not to do.
                Some(time) if time.wrapping_sub(self.time_ms) < 1 << 31 => self.time_ms = time,
                Some(_) => {}
                None => self.time_ms = self.time_ms.wrapping_add(self.delta_ms),
            },
        }
        if header.basic.format < 2 {
            self.length = u32::from_be_bytes([0, l0, l1, l2]);
            self.kind = Kind::from_number(kind);
        }
        if header.basic.format < 3 {
            self.extended = header.extended;
            self.is_absolute = header.basic.format == 0;
        }
        self.is_open = true;
    }

    fn give_up(&mut self) {
        self.is_open = false;
        self.body = BytesMut::new();
    }

    fn finish(&mut self) -> Message {
        self.is_open = false;
        let body = core::mem::take(&mut self.body).freeze();
        Message { kind: self.kind, time_ms: self.time_ms, stream: self.stream, body }
    }
}

fn time_field(fields: &[u8; 11]) -> u32 {
    let [t0, t1, t2, ..] = *fields;
    u32::from_be_bytes([0, t0, t1, t2])
}

/// What the bytes behind the first chunk of type 3 say of the peer's habit; `None` if they are too
/// few to tell. Peers that repeat the field write it as it was, as the time that it makes, without
/// its highest bit, or as 0.
fn habit(field: u32, time_ms: u32, behind: &[u8]) -> Option<ExtendedHabit> {
    let there = behind.get(..4).unwrap_or(behind);
    let written = [field, time_ms, time_ms & 0x7fff_ffff, 0];
    if !written.iter().any(|time| time.to_be_bytes().starts_with(there)) {
        return Some(ExtendedHabit::LeavesOut);
    }
    (there.len() == 4).then_some(ExtendedHabit::Repeats)
}

/// Section 5.4.1: the highest bit is 0.
const CHUNK_BYTES_MAX: u32 = 0x7fff_ffff;
/// What is made ready for a message before any of it is there.
const FIRST_ROOM_BYTES: usize = 64 * 1024;
/// Up to here the time of a first message can be a distance between two.
const FIRST_DELTA_MS_MAX: u32 = 1000;
