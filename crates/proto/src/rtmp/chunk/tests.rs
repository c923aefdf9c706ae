use std::slice;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::rtmp::message::{Control, Kind, Message, StreamId};

fn message(kind: Kind, time_ms: u32, body: impl Into<Bytes>) -> Message {
    Message { kind, time_ms, stream: StreamId(1), body: body.into() }
}

fn reader() -> Reader {
    Reader::new(Limits::default())
}

fn read(reader: &mut Reader, bytes: &[u8]) -> Result<Vec<Message>, Error> {
    reader.push(bytes);
    let mut messages = Vec::new();
    while let Some(message) = reader.next()? {
        messages.push(message);
    }
    Ok(messages)
}

fn read_all(bytes: &[u8]) -> Result<Vec<Message>, Error> {
    read(&mut reader(), bytes)
}

/// A header of type 0 on chunk stream 6, for stream 1.
fn first(time: u32, length: usize, kind: u8) -> Vec<u8> {
    let time = &time.to_be_bytes()[1..];
    [&[6], time, &(length as u32).to_be_bytes()[1..], &[kind, 1, 0, 0, 0]].concat()
}

/// A header of type 1 on chunk stream 6.
fn second(delta: u32, length: usize, kind: u8) -> Vec<u8> {
    let delta = &delta.to_be_bytes()[1..];
    [&[0x46], delta, &(length as u32).to_be_bytes()[1..], &[kind]].concat()
}

fn times(messages: &[Message]) -> Vec<u32> {
    messages.iter().map(|message| message.time_ms).collect()
}

fn chunked(writer: &Writer, on: ChunkStreamId, message: &Message) -> BytesMut {
    let mut out = BytesMut::new();
    writer.write(on, message, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn what_is_cut_is_put_together_in_pieces_of_any_size(
        sizes in prop::collection::vec((0usize..3000, any::<u32>(), 2u32..70_000), 1..6),
        chunk_bytes in 1u32..5000,
        piece in 1usize..500,
    ) {
        let (mut writer, mut out) = (Writer::new(), BytesMut::new());
        writer.set_chunk_bytes(chunk_bytes, &mut out);
        let mut sent = Vec::new();
        for (number, (bytes, time_ms, on)) in sizes.into_iter().enumerate() {
            // A run of one byte that no time stamp begins with.
            let message = message(Kind::Video, time_ms, vec![number as u8 | 0x80; bytes]);
            let start = out.len();
            let on = ChunkStreamId(on.min(65_599));
            writer.write(on, &message, &mut out);
            if on.0 < 64 {
                let bytes = chunked_bytes(message.body.len(), chunk_bytes, time_ms);
                prop_assert_eq!(out.len() - start, bytes);
            }
            sent.push(message);
        }
        let mut reader = reader();
        let mut came = Vec::new();
        for bytes in out.chunks(piece) {
            came.extend(read(&mut reader, bytes).unwrap());
        }
        prop_assert_eq!(came, sent);
        prop_assert_eq!((reader.offset(), reader.held_bytes()), (out.len() as u64, 0));
    }

    #[test]
    fn any_bytes_are_messages_or_an_error(data in prop::collection::vec(any::<u8>(), 0..600)) {
        crate::rtmp::fuzz::fuzz_rtmp_chunks(&data);
    }
}

#[test]
fn a_message_of_four_chunks_as_the_specification_shows_it() {
    // Section 5.3.2.2, with a body that tells its parts.
    let body: Vec<u8> = (0..=255).chain(0..51).collect();
    let out = chunked(&Writer::new(), ChunkStreamId(4), &message(Kind::Video, 1000, body.clone()));
    assert_eq!(out[..12], [4, 0, 3, 0xe8, 0, 1, 0x33, 9, 1, 0, 0, 0]);
    assert_eq!((out[12 + 128], out[12 + 128 + 129], out.len()), (0xc4, 0xc4, 12 + 307 + 2));
    assert_eq!(read_all(&out).unwrap(), [message(Kind::Video, 1000, body)]);
}

#[test]
fn messages_mixed_with_each_other_are_parted() {
    let one = chunked(&Writer::new(), ChunkStreamId(4), &message(Kind::Audio, 1, vec![1; 200]));
    let two = chunked(&Writer::new(), ChunkStreamId(6), &message(Kind::Video, 2, vec![2; 200]));
    let first = 12 + 128;
    let mixed = [&one[..first], &two[..first], &one[first..], &two[first..]].concat();
    let messages = read_all(&mixed).unwrap();
    assert_eq!(
        messages,
        [message(Kind::Audio, 1, vec![1; 200]), message(Kind::Video, 2, vec![2; 200]),]
    );
}

#[test]
fn shorter_headers_take_what_they_lack_from_the_one_before() {
    let mut data = [first(1000, 1, 8), vec![0xa0], second(20, 2, 8), vec![0xa1, 0xa1]].concat();
    data.extend([0x86, 0, 0, 21, 0xa2, 0xa2]);
    data.extend([0xc6, 0xa3, 0xa3]);
    let messages = read_all(&data).unwrap();
    assert_eq!(times(&messages), [1000, 1020, 1041, 1062]);
    assert!(messages.iter().all(|m| m.stream == StreamId(1) && m.kind == Kind::Audio));
    assert_eq!(messages[3].body, [0xa3, 0xa3][..]);
}

#[test]
fn a_chunk_size_set_between_two_chunks_of_a_message_holds_for_the_rest() {
    let mut data = [first(0, 300, 9), vec![7; 128]].concat();
    data.extend(chunked(
        &Writer::new(),
        ChunkStreamId::CONTROL,
        &Control::SetChunkSize(4096).message(),
    ));
    data.extend([&[0xc6][..], &[7; 172]].concat());
    assert_eq!(read_all(&data).unwrap(), [message(Kind::Video, 0, vec![7; 300])]);
}

#[test]
fn chunk_sizes_up_to_2_to_the_31_are_taken_and_cost_nothing() {
    // A publisher that says 2147483647, which made nginx-rtmp take 2 GB.
    for bytes in [1, 134_217_728, 0x7fff_ffff] {
        let (mut writer, mut out) = (Writer::new(), BytesMut::new());
        writer.set_chunk_bytes(bytes, &mut out);
        writer.write(ChunkStreamId(4), &message(Kind::Audio, 0, vec![1; 500]), &mut out);
        assert_eq!(read_all(&out).unwrap().len(), 1);
    }
    for bytes in [0, 0x8000_0000, u32::MAX] {
        let control = Control::SetChunkSize(bytes).message();
        let error = read_all(&chunked(&Writer::new(), ChunkStreamId::CONTROL, &control));
        let error = error.unwrap_err();
        assert_eq!((error.expected, error.came), (Expected::ChunkSize, bytes.into()));
    }
}

#[test]
fn an_aborted_message_is_dropped_and_its_stream_goes_on() {
    let mut data = [first(5, 300, 9), vec![7; 128]].concat();
    data.extend([2, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 6]);
    data.extend([second(10, 1, 9), vec![9]].concat());
    let mut reader = reader();
    assert_eq!(read(&mut reader, &data).unwrap(), [message(Kind::Video, 15, vec![9])]);
    assert_eq!((reader.messages_dropped(), reader.held_bytes()), (1, 0));
}

#[test]
fn a_header_in_the_middle_of_a_message_begins_another() {
    let data = [first(5, 300, 9), vec![7; 128], first(6, 1, 9), vec![9]].concat();
    let mut reader = reader();
    assert_eq!(read(&mut reader, &data).unwrap(), [message(Kind::Video, 6, vec![9])]);
    assert_eq!((reader.messages_dropped(), reader.held_bytes()), (1, 0));
}

#[test]
fn librtmp_opens_a_chunk_stream_with_a_header_of_type_1() {
    // Its ping response, as SRS saw it.
    let ping = [0x42, 0, 0, 0, 0, 0, 6, 4, 0, 7, 0, 0, 0x10, 0];
    let messages = read_all(&ping).unwrap();
    assert_eq!((messages[0].kind, messages[0].stream), (Kind::UserControl, StreamId::CONNECTION));
    // A second one of type 3 takes the length of the first.
    let again = [&ping[..], &[0xc2, 0, 7, 0, 0, 0x20, 0]].concat();
    assert_eq!(read_all(&again).unwrap().len(), 2);
}

#[test]
fn a_chunk_stream_that_opens_with_type_2_or_3_is_refused_by_name() {
    let error = read_all(&[0xe1]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "chunk stream 33, byte 0 of the connection: a first chunk of type 0 or 1 expected, \
         3 came"
    );
}

#[test]
fn a_message_of_type_3_behind_type_0_is_later_by_a_short_first_time() {
    // ffmpeg: the second frame is as far from the first as that is from 0.
    let data = [first(40, 1, 9), vec![1, 0xc6, 2, 0xc6, 3]].concat();
    assert_eq!(times(&read_all(&data).unwrap()), [40, 80, 120]);
}

#[test]
fn a_message_of_type_3_behind_type_0_has_the_same_time_if_that_is_long() {
    // GStreamer and librtmp: a second message of the same size at the same time.
    let data = [first(3_600_000, 1, 9), vec![1, 0xc6, 2]].concat();
    assert_eq!(times(&read_all(&data).unwrap()), [3_600_000, 3_600_000]);
}

/// A message of 300 bytes at a time past 2^24 - 1, whose later chunks bear `again`.
fn extended(again: &[u8]) -> Vec<u8> {
    let mut data = first(0xff_ffff, 300, 9);
    data.extend(0x0123_4567u32.to_be_bytes());
    for part in [&[0xb0; 128][..], &[0xb1; 128], &[0xb2; 44]] {
        if part[0] > 0xb0 {
            data.push(0xc6);
            data.extend(again);
        }
        data.extend(part);
    }
    data
}

#[test]
fn long_times_stand_in_chunks_of_type_3_again() {
    let body = [&[0xb0; 128][..], &[0xb1; 128], &[0xb2; 44]].concat();
    let whole = message(Kind::Video, 0x0123_4567, body);
    assert_eq!(
        read_all(&extended(&0x0123_4567u32.to_be_bytes())).unwrap(),
        slice::from_ref(&whole)
    );
    assert_eq!(read_all(&extended(&[0; 4])).unwrap(), slice::from_ref(&whole));
    // Without them, as librtmp and old OBS write it.
    assert_eq!(read_all(&extended(&[])).unwrap(), [whole]);
}

#[test]
fn the_habit_of_long_times_is_found_in_pieces_of_one_byte() {
    for again in [&[][..], &0x0123_4567u32.to_be_bytes()] {
        let mut reader = reader();
        let data = extended(again);
        let came: usize = data.chunks(1).map(|byte| read(&mut reader, byte).unwrap().len()).sum();
        assert_eq!(came, 1);
    }
}

#[test]
fn a_long_distance_in_a_header_of_type_1_is_a_distance() {
    let mut data = [first(11_000, 1, 9), vec![1], second(0xff_ffff, 200, 9)].concat();
    data.extend(16_776_216u32.to_be_bytes());
    data.extend([0xb0; 128]);
    data.push(0xc6);
    data.extend(16_776_216u32.to_be_bytes());
    data.extend([0xb1; 72]);
    let messages = read_all(&data).unwrap();
    assert_eq!(times(&messages), [11_000, 16_787_216]);
    assert_eq!(messages[1].body.len(), 200);
}

#[test]
fn an_absolute_time_may_go_back_and_a_distance_may_wrap() {
    let mut data = [first(0xff_ffff, 1, 9)].concat();
    data.extend([0xff, 0xff, 0xff, 0xf0, 1]);
    data.extend([second(0x20, 1, 9), vec![2], first(3, 1, 9), vec![3]].concat());
    assert_eq!(times(&read_all(&data).unwrap()), [0xffff_fff0, 0x10, 3]);
}

#[test]
fn an_empty_message_is_a_message() {
    assert_eq!(read_all(&first(7, 0, 8)).unwrap(), [message(Kind::Audio, 7, vec![])]);
}

#[test]
fn a_message_too_large_is_refused_before_it_comes() {
    let data = [first(0, 1, 8), vec![1], first(0, 300_000, 18)].concat();
    let error = read_all(&data).unwrap_err();
    assert_eq!(
        error.to_string(),
        "chunk stream 6, byte 13 of the connection: a command or data of at most 262144 bytes \
         expected, 300000 came"
    );
    let error = read_all(&first(0, 0xff_ffff, 9)).unwrap_err();
    assert_eq!((error.expected, error.came), (Expected::MediaBytesMax(8 << 20), 0xff_ffff));
}

#[test]
fn unfinished_messages_are_bounded_together() {
    let limits = Limits { total_bytes_max: 5000, ..Limits::default() };
    let mut reader = Reader::new(limits);
    let mut refused = None;
    for stream in 0..60u8 {
        let mut chunk = first(0, 1_000_000, 9);
        chunk[0] = 3 + stream;
        chunk.extend([1; 128]);
        refused = refused.or(read(&mut reader, &chunk).err());
    }
    let error = refused.unwrap();
    assert_eq!((error.expected, error.came), (Expected::TotalBytesMax(5000), 5120));
    assert!(reader.held_bytes() < 10_000);
}

#[test]
fn chunk_streams_are_bounded_in_number_and_not_by_their_names() {
    let mut reader = reader();
    let header = |number: u16| {
        let [low, high] = number.to_le_bytes();
        [&[1, low, high][..], &first(0, 0, 8)[1..]].concat()
    };
    for number in 0..64 {
        assert_eq!(read(&mut reader, &header(number * 1000)).unwrap().len(), 1);
    }
    let error = read(&mut reader, &header(65_000)).unwrap_err();
    assert_eq!((error.expected, error.came), (Expected::StreamsMax(64), 65));
}
