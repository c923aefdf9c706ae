//! The hub: streams by their names. It knows no protocol.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_media::Track;
use weir_net::Host;

use crate::Error;
use crate::access::{Access, Action, Credentials, Denied};
use crate::library::Library;
use crate::live::{Live, Publisher};
use crate::movie::{Cache, Movie, Opening};
use crate::package::Segments;

/// All streams of a server.
pub struct Hub {
    access: Access,
    live: Mutex<BTreeMap<String, Arc<Live>>>,
    /// Those that have ended and were watched in segments, the newest last: their viewers come
    /// for the end.
    ended: Mutex<Vec<Arc<Live>>>,
    /// Other names of live streams, used where no movie has them.
    live_aliases: Mutex<BTreeMap<String, String>>,
    #[cfg(test)]
    stubs: Mutex<BTreeMap<String, Arc<Movie>>>,
    library: Library,
    movies: Mutex<BTreeMap<String, Arc<Movie>>>,
    opening: Opening,
    pub(crate) cache: Cache,
    pub(crate) segments: Segments,
}

/// A stream that was found.
#[derive(Clone)]
pub enum Stream {
    /// It happens now; all viewers see the same.
    Live(Arc<Live>),
    /// Each viewer has a place of its own in it.
    Movie(Arc<Movie>),
}

impl Stream {
    /// What it is made of; a track's number is its place.
    pub fn tracks(&self) -> &[Track] {
        match self {
            Stream::Live(live) => live.tracks(),
            Stream::Movie(movie) => movie.tracks(),
        }
    }
}

/// Tracks that a stream may have.
pub const TRACKS_MAX: usize = 8;
/// Opened movies that are kept for the next viewer.
const MOVIES_OPEN_MAX: usize = 64;
/// Live streams that are kept for a while after their end.
const ENDED_MAX: usize = 4;
/// What of the cache is for segments, at most.
const SEGMENTS_BYTES_MAX: usize = 16 << 20;

impl Hub {
    /// A hub that offers the movies of `library`, and keeps at most `cache_bytes_max` bytes of
    /// them packed.
    pub fn new(library: Library, cache_bytes_max: usize) -> Arc<Hub> {
        let segments_bytes_max = (cache_bytes_max / 4).min(SEGMENTS_BYTES_MAX);
        Arc::new(Hub {
            access: Access,
            live: Mutex::default(),
            ended: Mutex::default(),
            live_aliases: Mutex::default(),
            #[cfg(test)]
            stubs: Mutex::default(),
            library,
            movies: Mutex::default(),
            opening: Opening::default(),
            cache: Cache::new(cache_bytes_max - segments_bytes_max),
            segments: Segments::new(segments_bytes_max),
        })
    }

    /// Says whether `peer` may do `action` with the stream at `path`. Asked before every action.
    ///
    /// # Errors
    /// The refusal.
    pub fn authorize(
        &self,
        action: Action,
        path: &str,
        credentials: &Credentials,
        peer: IpAddr,
    ) -> Result<(), Denied> {
        self.access.authorize(action, path, credentials, peer)
    }

    /// The rule of access, for the banner.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The movies on offer.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Begins a live stream.
    ///
    /// # Errors
    /// When the name is taken by another live stream, or a track cannot be carried.
    pub fn publish(self: &Arc<Self>, name: &str, tracks: Vec<Track>) -> Result<Publisher, Error> {
        if tracks.is_empty() || tracks.len() > TRACKS_MAX {
            return Err(Error::TrackCount { stream: name.to_owned(), count: tracks.len() });
        }
        let before = self.ended(name);
        let live = Arc::new(Live::new(name, tracks, before.as_deref()));
        let publisher = Publisher::new(self, Arc::clone(&live))?;
        let mut streams = lock(&self.live);
        if streams.contains_key(name) {
            // The one that is there stays: `publisher` must not take it away when it is dropped.
            drop(streams);
            return Err(Error::NameTaken { stream: name.to_owned() });
        }
        streams.insert(name.to_owned(), live);
        drop(streams);
        lock(&self.ended).retain(|ended| ended.name() != name);
        Ok(publisher)
    }

    /// Takes a live stream out, if it is still the one under its name.
    pub(crate) fn remove(&self, live: &Arc<Live>) {
        let mut streams = lock(&self.live);
        if streams.get(live.name()).is_some_and(|there| Arc::ptr_eq(there, live)) {
            streams.remove(live.name());
            drop(streams);
            self.keep_ended(live);
        }
    }

    fn keep_ended(&self, live: &Arc<Live>) {
        if !live.package().is_watched() {
            return;
        }
        let mut ended = lock(&self.ended);
        ended.retain(|other| other.name() != live.name());
        ended.push(Arc::clone(live));
        if ended.len() > ENDED_MAX {
            ended.remove(0);
        }
    }

    /// A live stream that has ended, while its last segments can still be had. For those who
    /// watch it in segments: they learn from the playlist that it has ended.
    pub(crate) fn ended(&self, name: &str) -> Option<Arc<Live>> {
        lock(&self.ended).iter().find(|live| live.name() == name).cloned()
    }

    /// The names of all live streams.
    pub fn live_names(&self) -> Vec<String> {
        lock(&self.live).keys().cloned().collect()
    }

    /// Finds a stream by its name: a live one before a movie. Opens the movie if need be.
    ///
    /// # Errors
    /// When there is none, or the movie cannot be read.
    pub async fn find(&self, host: &Host, name: &str) -> Result<Stream, Error> {
        if let Some(live) = lock(&self.live).get(name) {
            return Ok(Stream::Live(Arc::clone(live)));
        }
        #[cfg(test)]
        if let Some(movie) = lock(&self.stubs).get(name) {
            return Ok(Stream::Movie(Arc::clone(movie)));
        }
        let Some(path) = self.library.find(host, name).await else {
            return self.find_alias(name).ok_or_else(|| self.not_found(name));
        };
        let opened = self.open(host, name, &path).await;
        match &opened {
            // It went since the folders were looked through.
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(self.not_found(name));
            }
            Err(error @ (Error::Movie { .. } | Error::TrackCount { .. } | Error::Pack(_))) => {
                self.library.refuse(&path, &error.to_string());
            }
            _ => {}
        }
        opened.map(Stream::Movie)
    }

    /// A live stream by its name.
    pub(crate) fn live(&self, name: &str) -> Option<Arc<Live>> {
        lock(&self.live).get(name).cloned()
    }

    /// A stream by its name, as far as it is there without opening a file.
    pub(crate) fn peek(&self, name: &str) -> Option<Stream> {
        if let Some(live) = self.live(name) {
            return Some(Stream::Live(live));
        }
        lock(&self.movies).get(name).cloned().map(Stream::Movie)
    }

    /// Whether there is a stream of this name that can be played, as far as is known; no file is opened for it.
    pub(crate) async fn knows(&self, host: &Host, name: &str) -> bool {
        if self.live(name).is_some() {
            return true;
        }
        #[cfg(test)]
        if lock(&self.stubs).contains_key(name) {
            return true;
        }
        self.library.offers(host, name).await
    }

    /// Gives a live stream another name, which a movie of that name goes before.
    pub(crate) fn also_called(&self, live: &Live, name: String) {
        lock(&self.live_aliases).insert(name, live.name().to_owned());
    }

    fn find_alias(&self, name: &str) -> Option<Stream> {
        let called = lock(&self.live_aliases).get(name).cloned()?;
        lock(&self.live).get(&called).map(|live| Stream::Live(Arc::clone(live)))
    }

    fn not_found(&self, name: &str) -> Error {
        match self.library.bearers(name) {
            none if none.is_empty() => Error::not_found(name),
            names => Error::Ambiguous { stream: name.to_owned(), names },
        }
    }

    /// Offers a movie that is in no library.
    #[cfg(test)]
    pub(crate) fn offer(&self, movie: Arc<Movie>) {
        lock(&self.stubs).insert(movie.name().to_owned(), movie);
    }

    async fn open(&self, host: &Host, name: &str, path: &Path) -> Result<Arc<Movie>, Error> {
        let file = host.open(path).await.map_err(|error| Error::open(path, error))?;
        if !self.library.holds(host, path, &file).await {
            return Err(Error::Outside { path: path.to_owned() });
        }
        let opened = || {
            let movies = lock(&self.movies);
            movies.get(name).filter(|movie| movie.identity() == file.identity()).cloned()
        };
        if let Some(movie) = opened() {
            return Ok(movie);
        }
        let _turn = self.opening.turn(file.identity()).await;
        if let Some(movie) = opened() {
            return Ok(movie);
        }
        let movie = Arc::new(Movie::open(host, name, path, file.clone()).await?);
        let mut movies = lock(&self.movies);
        if movies.len() >= MOVIES_OPEN_MAX {
            // Those that nobody watches are opened again when somebody asks.
            movies.retain(|_, movie| Arc::strong_count(movie) > 1);
        }
        movies.insert(name.to_owned(), Arc::clone(&movie));
        Ok(movie)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Maps stay whole whatever panicked while they were held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
