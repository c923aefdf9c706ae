//! A bounded cache of what is made when somebody asks for it.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// What has a size.
pub(crate) trait Weighed {
    /// What it costs to keep.
    fn bytes(&self) -> usize;
}

/// The one used longest ago gives way first.
///
/// What somebody holds lives on without the cache.
pub(crate) struct Cache<K, V> {
    bytes_max: usize,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    bytes: usize,
    uses: u64,
}

enum Entry<V> {
    /// Somebody makes it; these wait for it.
    Loading(Vec<Waker>),
    Loaded {
        value: Arc<V>,
        used: u64,
    },
}

impl<K: Ord + Copy, V: Weighed> Cache<K, V> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let state = State { entries: BTreeMap::new(), bytes: 0, uses: 0 };
        Cache { bytes_max, state: Mutex::new(state) }
    }

    /// What stands under `key`, or what `load` gives. Several who ask at once share one load.
    pub(crate) async fn get<E>(
        &self,
        key: K,
        load: impl Future<Output = Result<V, E>>,
    ) -> Result<Arc<V>, E> {
        if let Some(value) = poll_fn(|cx| self.poll_cached(key, cx.waker())).await {
            return Ok(value);
        }
        let loading = Loading { cache: self, key };
        let value = Arc::new(load.await?);
        loading.finish(&value);
        Ok(value)
    }

    /// Ready with the value, or with nothing if the caller is to load it.
    fn poll_cached(&self, key: K, waker: &Waker) -> Poll<Option<Arc<V>>> {
        let mut state = self.lock();
        state.uses += 1;
        let now = state.uses;
        match state.entries.get_mut(&key) {
            Some(Entry::Loaded { value, used }) => {
                *used = now;
                Poll::Ready(Some(Arc::clone(value)))
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

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Copy, V: Weighed> State<K, V> {
    /// Takes the entry out, if it is being made, and wakes who waited for it.
    fn take_loading(&mut self, key: K) {
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
                .min_by_key(|(used, _)| *used);
            let Some((_, key)) = oldest else { return };
            if let Some(Entry::Loaded { value, .. }) = self.entries.remove(&key) {
                self.bytes -= value.bytes();
            }
        }
    }
}

/// A load under way. Ends with it, whether it came to something or not: who waits tries anew.
struct Loading<'a, K: Ord + Copy, V: Weighed> {
    cache: &'a Cache<K, V>,
    key: K,
}

impl<K: Ord + Copy, V: Weighed> Loading<'_, K, V> {
    fn finish(self, value: &Arc<V>) {
        let mut state = self.cache.lock();
        state.take_loading(self.key);
        let used = state.uses;
        state.bytes += value.bytes();
        state.entries.insert(self.key, Entry::Loaded { value: Arc::clone(value), used });
        state.trim(self.cache.bytes_max);
    }
}

impl<K: Ord + Copy, V: Weighed> Drop for Loading<'_, K, V> {
    fn drop(&mut self) {
        self.cache.lock().take_loading(self.key);
    }
}
