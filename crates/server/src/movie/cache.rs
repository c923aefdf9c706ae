//! Packed stretches of movies, shared by all viewers that are near each other.

use std::sync::Arc;

use weir_net::Host;

use super::{Chunk, Movie, Scratch};
use crate::cache::Weighed;
use crate::packing::Packing;
use crate::{Error, cache};

/// Which version of which file, which chunk of it, and how it is packed.
type Key = (u64, usize, Packing);

/// A bounded cache of packed chunks: the one used longest ago gives way first.
///
/// Chunks that viewers hold live on without it, so memory is bounded by the cache's size and two
/// chunks for each viewer who watches something else.
pub(crate) struct Cache {
    chunks: cache::Cache<Key, Chunk>,
    scratch: Arc<Scratch>,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Cache { chunks: cache::Cache::new(bytes_max), scratch: Arc::default() }
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
        let load = async {
            let (reader, scratch) = (Arc::clone(movie), Arc::clone(&self.scratch));
            host.blocking(move || reader.load(index, packing, &scratch)).await
        };
        self.chunks.get(key, load).await
    }
}

impl Weighed for Chunk {
    fn bytes(&self) -> usize {
        self.bytes
    }
}
