//! A queue of bytes that keeps large buffers whole and joins small ones.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// First in, first out. The memory beside the bytes themselves is bounded by a fixed share of
/// their number, however small the pieces that come in.
#[derive(Debug, Default)]
pub(crate) struct ByteQueue {
    chunks: VecDeque<Bytes>,
    /// Small pieces, copied together; they come after all chunks.
    tail: BytesMut,
    len: usize,
}

impl ByteQueue {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.len += bytes.len();
        if bytes.len() < SMALL_BYTES {
            if self.tail.len() + bytes.len() > TAIL_BYTES_MAX {
                self.freeze_tail();
            }
            self.tail.extend_from_slice(&bytes);
        } else {
            self.freeze_tail();
            self.chunks.push_back(bytes);
        }
    }

    /// The next bytes that lie together, `bytes_max` at most; `None` if there are none.
    pub(crate) fn take(&mut self, bytes_max: usize) -> Option<Bytes> {
        if self.chunks.is_empty() {
            self.freeze_tail();
        }
        let first = self.chunks.front_mut()?;
        if bytes_max == 0 {
            return None;
        }
        let piece = if first.len() <= bytes_max {
            self.chunks.pop_front()?
        } else {
            first.split_to(bytes_max)
        };
        self.len -= piece.len();
        Some(piece)
    }

    /// The next `bytes` bytes, or all if there are fewer; copied only if they do not lie together.
    pub(crate) fn take_joined(&mut self, bytes: usize) -> Bytes {
        let Some(first) = self.take(bytes) else {
            return Bytes::new();
        };
        let wanted = bytes.min(first.len() + self.len);
        if first.len() == wanted {
            return first;
        }
        let mut joined = BytesMut::with_capacity(wanted);
        joined.extend_from_slice(&first);
        while joined.len() < wanted
            && let Some(piece) = self.take(wanted - joined.len())
        {
            joined.extend_from_slice(&piece);
        }
        joined.freeze()
    }

    pub(crate) fn clear(&mut self) {
        *self = ByteQueue::default();
    }

    fn freeze_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(core::mem::take(&mut self.tail).freeze());
        }
    }
}

/// Pieces below this are copied together.
const SMALL_BYTES: usize = 256;
const TAIL_BYTES_MAX: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_come_out_in_the_order_in_which_they_went_in(
            steps in prop::collection::vec((0usize..600, 0usize..900, any::<bool>()), 1..60),
        ) {
            let (mut queue, mut fed, mut got) = (ByteQueue::default(), Vec::new(), Vec::new());
            for (put, take, joined) in steps {
                let piece: Vec<u8> = (0..put).map(|n| (fed.len() + n) as u8 ^ (n >> 3) as u8).collect();
                fed.extend_from_slice(&piece);
                queue.push(Bytes::from(piece));
                if joined {
                    let expected = take.min(queue.len());
                    let bytes = queue.take_joined(take);
                    prop_assert_eq!(bytes.len(), expected);
                    got.extend_from_slice(&bytes);
                } else if let Some(bytes) = queue.take(take) {
                    prop_assert!(!bytes.is_empty() && bytes.len() <= take);
                    got.extend_from_slice(&bytes);
                }
                prop_assert_eq!(queue.len(), fed.len() - got.len());
            }
            while let Some(bytes) = queue.take(usize::MAX) {
                got.extend_from_slice(&bytes);
            }
            prop_assert!(queue.is_empty());
            prop_assert_eq!(got, fed);
        }
    }
}
