//! The message streams of a connection.

use super::Role;
use crate::rtmp::message::StreamId;

/// The message streams that a client has made, and what they are used for.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// In the order of their numbers.
    made: Vec<(StreamId, Option<Role>)>,
}

impl Streams {
    /// Makes a stream with the lowest number that is free; `None` if there are too many.
    pub(super) fn make(&mut self) -> Option<StreamId> {
        let stream = (1..=STREAMS_MAX).map(StreamId).find(|stream| self.place(*stream).is_err())?;
        self.put(stream);
        Some(stream)
    }

    /// The stream that a command means: the one that it came on; for a client that came on one
    /// that was never made, the only one that there is, or the first.
    pub(super) fn meant(&mut self, on: StreamId) -> StreamId {
        if self.place(on).is_ok() {
            return on;
        }
        match *self.made {
            [(stream, _)] => stream,
            _ => {
                self.put(StreamId::FIRST);
                StreamId::FIRST
            }
        }
    }

    pub(super) fn role(&self, stream: StreamId) -> Option<Role> {
        self.place(stream).ok().and_then(|at| self.made.get(at)?.1)
    }

    pub(super) fn set(&mut self, stream: StreamId, role: Option<Role>) {
        if let Ok(at) = self.place(stream)
            && let Some(entry) = self.made.get_mut(at)
        {
            entry.1 = role;
        }
    }

    /// Gives a stream up, and what it was used for.
    pub(super) fn delete(&mut self, stream: StreamId) -> Option<Role> {
        let at = self.place(stream).ok()?;
        self.made.remove(at).1
    }

    /// The stream that media which came on `on` belongs to.
    pub(super) fn published(&self, on: StreamId) -> Option<StreamId> {
        let mut all = self.used().filter(|(_, role)| *role == Role::Publisher);
        if let Some((stream, _)) = all.clone().find(|(stream, _)| *stream == on) {
            return Some(stream);
        }
        let (only, _) = all.next()?;
        all.next().is_none().then_some(only)
    }

    /// The streams that are published or played.
    pub(super) fn used(&self) -> impl Iterator<Item = (StreamId, Role)> + Clone {
        self.made.iter().filter_map(|(stream, role)| Some((*stream, (*role)?)))
    }

    fn place(&self, stream: StreamId) -> Result<usize, usize> {
        self.made.binary_search_by_key(&stream, |entry| entry.0)
    }

    fn put(&mut self, stream: StreamId) {
        if let Err(at) = self.place(stream) {
            self.made.insert(at, (stream, None));
        }
    }
}

/// Streams that one connection may have at a time.
const STREAMS_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_lowest_that_are_free() {
        let mut streams = Streams::default();
        assert_eq!([streams.make(), streams.make()], [Some(StreamId(1)), Some(StreamId(2))]);
        streams.delete(StreamId(1));
        assert_eq!(streams.make(), Some(StreamId(1)));
        assert_eq!((0..10).filter_map(|_| streams.make()).count(), 6);
    }

    #[test]
    fn a_stream_that_was_never_made_is_the_only_one_or_the_first() {
        let mut streams = Streams::default();
        assert_eq!(streams.meant(StreamId(0)), StreamId(1));
        assert_eq!(streams.meant(StreamId(7)), StreamId(1));
        streams.make();
        assert_eq!(streams.meant(StreamId(2)), StreamId(2));
        assert_eq!(streams.meant(StreamId(0)), StreamId(1));
    }

    #[test]
    fn media_on_another_stream_belongs_to_the_only_one_published() {
        let mut streams = Streams::default();
        streams.make();
        streams.make();
        assert_eq!(streams.published(StreamId(1)), None);
        streams.set(StreamId(1), Some(Role::Publisher));
        assert_eq!(streams.published(StreamId(0)), Some(StreamId(1)));
        streams.set(StreamId(2), Some(Role::Publisher));
        assert_eq!(streams.published(StreamId(0)), None);
        assert_eq!(streams.published(StreamId(2)), Some(StreamId(2)));
    }
}
