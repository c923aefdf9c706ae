//! Packed stretches of movies, shared by all viewers that are near each other.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use weir_net::Host;

use super::{Chunk, Movie, Scratch};
use crate::Error;
use crate::packing::Packing;

/// Which version of which file, which chunk of it, and how it is packed.
type Key = (u64, usize, Packing);

/// A bounded cache of packed chunks: the one used longest ago gives way first.
///
/// Chunks that viewers hold live on without it, so memory is bounded by the cache's size and two
/// chunks for each viewer who watches something else.
pub(crate) struct Cache {
    bytes_max: usize,
    state: Mutex<State>,
    scratch: Arc<Scratch>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Key, Entry>,
    bytes: usize,
    uses: u64,
}

enum Entry {
    /// Somebody reads it; these wait for it.
    Loading(Vec<Waker>),
    Loaded {
        chunk: Arc<Chunk>,
        used: u64,
    },
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Cache { bytes_max, state: Mutex::default(), scratch: Arc::default() }
    }

    /// Chunk `index` of `movie`, from the cache or read and packed where it may block. Several
    /// who ask at once share one read.
    pub(crate) async fn get(
        &self,
        host: &Host,
        movie: &Arc<Movie>,
        index: usize,
        packing: Packing,
    ) -> Result<Arc<Chunk>, Error> {
        let key = (movie.identity(), index, packing);
        if let Some(chunk) = poll_fn(|cx| self.poll_cached(key, cx.waker())).await {
            return Ok(chunk);
        }
        let loading = Loading { cache: self, key };
        let (reader, scratch) = (Arc::clone(movie), Arc::clone(&self.scratch));
        let chunk = host.blocking(move || reader.load(index, packing, &scratch)).await?;
        let chunk = Arc::new(chunk);
        loading.finish(&chunk);
        Ok(chunk)
    }

    /// Ready with the chunk, or with nothing if the caller is to load it.
    fn poll_cached(&self, key: Key, waker: &Waker) -> Poll<Option<Arc<Chunk>>> {
        let mut state = self.lock();
        state.uses += 1;
        let now = state.uses;
        match state.entries.get_mut(&key) {
            Some(Entry::Loaded { chunk, used }) => {
                *used = now;
                Poll::Ready(Some(Arc::clone(chunk)))
            }
            Some(Entry::Loading(waiting)) => {
                waiting.push(waker.clone());
                Poll::Pending
            }
            None => {
                state.entries.insert(key, Entry::Loading(Vec::new()));
                Poll::Ready(None)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the entry out, if it is being read, and wakes who waited for it.
    fn take_loading(&mut self, key: Key) {
        if !matches!(self.entries.get(&key), Some(Entry::Loading(_))) {
            return;
        }
        if let Some(Entry::Loading(waiting)) = self.entries.remove(&key) {
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    fn trim(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let oldest = self
                .entries
                .iter()
                .filter_map(|(key, entry)| match entry {
                    Entry::Loaded { used, .. } => Some((*used, *key)),
                    Entry::Loading(_) => None,
                })
                .min();
            let Some((_, key)) = oldest else { return };
            if let Some(Entry::Loaded { chunk, .. }) = self.entries.remove(&key) {
                self.bytes -= chunk.bytes();
            }
        }
    }
}

/// A read under way. Ends with it, whether it came to a chunk or not: who waits tries anew.
struct Loading<'a> {
    cache: &'a Cache,
    key: Key,
}

impl Loading<'_> {
    fn finish(self, chunk: &Arc<Chunk>) {
        let mut state = self.cache.lock();
        state.take_loading(self.key);
        let used = state.uses;
        state.bytes += chunk.bytes();
        state.entries.insert(self.key, Entry::Loaded { chunk: Arc::clone(chunk), used });
        state.trim(self.cache.bytes_max);
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.cache.lock().take_loading(self.key);
    }
}
