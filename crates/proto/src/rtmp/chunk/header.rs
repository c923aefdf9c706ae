//! Headers of chunks (section 5.3.1).

use bytes::{BufMut, BytesMut};

use super::ChunkStreamId;

/// The basic header: the format, and the chunk stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Basic {
    /// 0 to 3.
    pub(super) format: u8,
    pub(super) stream: ChunkStreamId,
    pub(super) header_bytes: usize,
}

impl Basic {
    /// Section 5.3.1.1; `None` if there is too little. A number may be coded longer than it needs
    /// to be.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let &first = data.first()?;
        let (stream, header_bytes) = match first & 0x3f {
            0 => (u32::from(*data.get(1)?) + 64, 2),
            1 => {
                let (&low, &high) = (data.get(1)?, data.get(2)?);
                (u32::from(high) * 256 + u32::from(low) + 64, 3)
            }
            number => (number.into(), 1),
        };
        Some(Basic { format: first >> 6, stream: ChunkStreamId(stream), header_bytes })
    }

    pub(super) fn write(format: u8, stream: ChunkStreamId, out: &mut BytesMut) {
        let format = format << 6;
        match stream.0 {
            number @ 2..64 => out.put_u8(format | number as u8),
            number @ 64..320 => out.put_slice(&[format, (number - 64) as u8]),
            number => {
                let [low, high] = (number.saturating_sub(64) as u16).to_le_bytes();
                out.put_slice(&[format | 1, low, high]);
            }
        }
    }
}

/// Bytes of the message header of each format (section 5.3.1.2).
pub(super) const MESSAGE_HEADER_BYTES: [usize; 4] = [11, 7, 3, 0];
/// The time that says that the real one stands behind (section 5.3.1.3).
pub(super) const EXTENDED: u32 = 0xff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_chunk_streams_have_three_forms() {
        for number in [2, 3, 63, 64, 319, 320, 65_599] {
            let mut out = BytesMut::new();
            let stream = ChunkStreamId(number);
            Basic::write(2, stream, &mut out);
            let header_bytes = out.len();
            assert_eq!(Basic::read(&out), Some(Basic { format: 2, stream, header_bytes }));
            assert_eq!(Basic::read(&out[..header_bytes - 1]), None);
        }
        // A form that is longer than it needs to be.
        assert_eq!(Basic::read(&[1, 6, 0]).unwrap().stream.0, 70);
    }
}
