//! A movie as a live stream that never ends: all viewers see the same, over and over.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_media::{Frame, Kind, MediaTime};
use weir_net::Host;
use weir_time::Instant;

use crate::hub::Hub;
use crate::live::Publisher;
use crate::movie::Movie;
use crate::shard::SOUND_AHEAD;
use crate::{Error, Live};

/// A movie that is shown as a live stream.
pub struct LiveFile {
    movie: Arc<Movie>,
    publisher: Publisher,
}

impl LiveFile {
    /// Opens the movie and begins the stream `name`; [`LiveFile::run`] brings its frames.
    ///
    /// # Errors
    /// When the movie cannot be read, or the name is taken.
    pub async fn open(host: &Host, hub: &Arc<Hub>, name: &str, path: &Path) -> Result<Self, Error> {
        let file = host.open(path).await.map_err(|error| Error::open(path, error))?;
        let movie = Arc::new(Movie::open(host, name, path, file).await?);
        if movie.duration() <= MediaTime::ZERO {
            return Err(Error::Empty { path: PathBuf::from(path) });
        }
        let publisher = hub.publish(name, movie.tracks().to_vec())?;
        if let Some(full_name) = path.file_name().and_then(|name| name.to_str()) {
            hub.also_called(publisher.live(), full_name.to_owned());
        }
        Ok(LiveFile { movie, publisher })
    }

    /// The stream.
    pub fn live(&self) -> &Arc<Live> {
        self.publisher.live()
    }

    /// Brings frame after frame as they are due, for ever. What cannot be read is left out.
    ///
    /// # Errors
    /// When nothing of the movie can be read any more.
    pub async fn run(mut self, host: &Host) -> Result<std::convert::Infallible, Error> {
        let mut rounds_before = MediaTime::ZERO;
        let mut round = Round::new(&self.movie);
        let mut timing = Timing::default();
        // What an edit list cuts off the start is not shown.
        let first = self.movie.chunk_of(self.movie.start_at(MediaTime::ZERO).0).unwrap_or(0);
        let mut next = self.read(host, first).await;
        loop {
            let mut is_empty = true;
            for chunk in first..self.movie.chunks() {
                // Read while the frames of the chunk before are still being shown.
                let frames = next;
                is_empty &= frames.is_empty();
                let behind = chunk + 1;
                let behind = if behind < self.movie.chunks() { behind } else { first };
                next = self.read(host, behind).await;
                for mut frame in frames {
                    round.add(&frame);
                    frame.pts = frame.pts + rounds_before;
                    frame.dts = frame.dts.map(|dts| dts + rounds_before).or(Some(frame.pts));
                    let at = timing.due(host, &frame, self.is_picture(&frame));
                    if at > timing.together_at {
                        self.bring(host, &mut timing).await;
                        timing.together_at = at;
                    }
                    timing.together.push(frame);
                }
                self.bring(host, &mut timing).await;
            }
            if is_empty {
                return Err(Error::Unreadable { path: self.movie.path().to_owned() });
            }
            rounds_before = rounds_before + round.length();
        }
    }

    /// Brings the frames that go together, once they are due.
    async fn bring(&mut self, host: &Host, timing: &mut Timing) {
        if timing.together.is_empty() {
            return;
        }
        host.sleep_until(timing.together_at).await;
        let now = host.now();
        for frame in &mut timing.together {
            frame.arrival = now;
        }
        if let Err(error) = self.publisher.push_all(&timing.together, now)
            && !std::mem::replace(&mut timing.refusal_said, true)
        {
            let name = self.movie.name();
            tracing::warn!("the live stream {name:?}: frames are left out, the first: {error}");
        }
        timing.together.clear();
    }

    fn is_picture(&self, frame: &Frame) -> bool {
        let track = self.movie.tracks().get(usize::from(frame.track.0));
        track.is_some_and(|track| track.codec.kind() == Kind::Video)
    }

    /// The frames of a chunk that can be read; what cannot is said once.
    async fn read(&self, host: &Host, chunk: usize) -> Vec<Frame> {
        let movie = Arc::clone(&self.movie);
        let (frames, gaps) = host.blocking(move || movie.read_frames(chunk)).await;
        for gap in gaps {
            let what = gap.in_words(self.movie.path());
            tracing::warn!("the live stream {:?}: {what}", self.movie.name());
        }
        frames
    }
}

/// When frames are due.
#[derive(Default)]
struct Timing {
    /// When the first frame was brought, and when it is decoded.
    begun: Option<(Instant, MediaTime)>,
    picture_at: Instant,
    /// Frames that are brought together, and when.
    together: Vec<Frame>,
    together_at: Instant,
    /// The log has said that frames were left out.
    refusal_said: bool,
}

impl Timing {
    fn due(&mut self, host: &Host, frame: &Frame, is_picture: bool) -> Instant {
        let dts = frame.dts.unwrap_or(frame.pts);
        let (start, first) = *self.begun.get_or_insert((host.now(), dts));
        let due = start + (dts - first).to_duration();
        if is_picture {
            self.picture_at = due;
        }
        let with_picture = due <= self.picture_at + SOUND_AHEAD;
        if with_picture { self.picture_at.max(self.together_at) } else { due }
    }
}

/// How long one showing of the movie takes: so long that no track steps back at the turn.
struct Round {
    movie: MediaTime,
    tracks: Vec<Option<TrackSpan>>,
}

/// The decoding times of one track.
#[derive(Clone, Copy)]
struct TrackSpan {
    first: MediaTime,
    last: MediaTime,
    /// The longest duration: the last frame's own may be cut short.
    frame: MediaTime,
}

impl Round {
    fn new(movie: &Movie) -> Self {
        Round { movie: movie.duration(), tracks: vec![None; movie.tracks().len()] }
    }

    /// Takes in a frame with its times in the movie.
    fn add(&mut self, frame: &Frame) {
        let dts = frame.dts.unwrap_or(frame.pts);
        let duration = frame.duration.unwrap_or_default();
        if let Some(span) = self.tracks.get_mut(usize::from(frame.track.0)) {
            let span = span.get_or_insert(TrackSpan { first: dts, last: dts, frame: duration });
            span.first = span.first.min(dts);
            span.last = span.last.max(dts);
            span.frame = span.frame.max(duration);
        }
    }

    fn length(&self) -> MediaTime {
        let spans = self.tracks.iter().flatten();
        let lengths = spans.map(|span| span.last - span.first + span.frame);
        lengths.max().map_or(self.movie, |longest| longest.max(self.movie))
    }
}
