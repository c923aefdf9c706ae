//! The movie file that a player writes of what came.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use weir_media::mp4::FragmentWriter;
use weir_media::{Frame, MediaTime, Track, TrackId};
use weir_net::Host;
use weir_record::Sink;
use weir_record::event::{Dropped, Failure};
use weir_time::Instant;

use crate::file_queue::FileQueue;
use crate::measure::{Measure, Taken};

/// Writes whole frames to a fragmented MP4, away from the packets: chunks wait in a bounded queue
/// for a task that writes them.
pub(crate) struct MovieFile {
    stage: Stage,
    tracks: Vec<Line>,
    queue: FileQueue,
    /// The head of the file waits for the first fragment, which tells where its time line starts.
    head_due: bool,
    frames: u64,
    failed: Option<String>,
}

enum Stage {
    /// Until every track's codec and place on the time line are known, or too much waits.
    Waiting {
        frames: VecDeque<Taken>,
        bytes: usize,
    },
    Writing(Box<FragmentWriter>),
    /// What came cannot be written.
    Over,
}

/// Where a track's RTP clock stands on the file's time line.
struct Line {
    track: u8,
    clock_rate_hz: u32,
    ticks: i64,
    pts: MediaTime,
}

/// What became of a movie file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Frames in it.
    pub frames: u64,
    /// Its length.
    pub bytes: u64,
    /// Fragments left out because the disk was too slow.
    pub fragments_dropped: u64,
    /// Why it is not whole.
    pub failed: Option<String>,
}

impl Written {
    /// Writes down what the file lacks.
    pub(crate) fn note(&self, records: &Sink, now: Instant) {
        if let Some(why) = &self.failed {
            let text = format!("the movie file is not whole: {why}").into();
            records.emit(now, Failure { text });
        }
        if self.fragments_dropped > 0 {
            let what = "fragments of the movie file: the disk was too slow".into();
            records.emit(now, Dropped { what, count: self.fragments_dropped });
        }
    }
}

const ZERO: MediaTime = MediaTime::ZERO;
const PRIMING_MAX: MediaTime = MediaTime::from_nanos(100_000_000);
/// Frames that wait for the file to begin.
const WAITING_FRAMES_MAX: usize = 2_048;
const WAITING_BYTES_MAX: usize = 64 << 20;

impl MovieFile {
    /// Makes the file, or empties the one that is there.
    pub(crate) async fn create(host: &Host, path: &Path) -> io::Result<Self> {
        let queue = FileQueue::create(host, path).await?;
        Ok(MovieFile {
            stage: Stage::Waiting { frames: VecDeque::new(), bytes: 0 },
            tracks: Vec::new(),
            queue,
            head_due: false,
            frames: 0,
            failed: None,
        })
    }

    /// Takes a frame in.
    pub(crate) fn push(&mut self, taken: Taken, measure: &Measure) {
        match &mut self.stage {
            Stage::Over => {}
            Stage::Writing(_) => self.write(&taken),
            Stage::Waiting { frames, bytes } => {
                *bytes += taken.unit.payload.len();
                frames.push_back(taken);
                let full = frames.len() >= WAITING_FRAMES_MAX || *bytes >= WAITING_BYTES_MAX;
                let is_placed = |track: u8| {
                    let of_track = frames.iter().find(|frame| frame.track == track);
                    measure.codec(track).is_some()
                        && of_track.is_some_and(|f| measure.pts(track, f.unit.rtp_ticks).is_some())
                };
                if full || measure.track_numbers().all(is_placed) {
                    self.begin(measure);
                }
            }
        }
    }

    /// Writes what is left, and waits until all is written.
    pub(crate) async fn finish(mut self, measure: &Measure) -> Written {
        if matches!(self.stage, Stage::Waiting { .. }) {
            self.begin(measure);
        }
        if let Stage::Writing(writer) = &mut self.stage {
            let last = writer.finish();
            if std::mem::take(&mut self.head_due) {
                self.queue.put(writer.init_segment_from(ZERO));
            }
            self.queue.put(last);
        }
        let file = self.queue.finish().await;
        Written {
            frames: self.frames,
            bytes: file.bytes,
            fragments_dropped: file.chunks_dropped,
            failed: self.failed.or(file.failed),
        }
    }

    /// Begins the file with the tracks that are known by now.
    fn begin(&mut self, measure: &Measure) {
        let Stage::Waiting { frames, .. } = std::mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        let Some(zero) = frames.iter().map(|frame| frame.unit.arrival).min() else {
            return self.fail("no whole frame came");
        };
        let mut tracks = Vec::new();
        for number in measure.track_numbers() {
            let first = frames.iter().find(|frame| frame.track == number);
            let (Some(codec), Some(rate), Some(first)) =
                (measure.codec(number), measure.clock_rate_hz(number), first)
            else {
                continue;
            };
            tracks.push(Track { id: TrackId(number), codec, clock_rate_hz: rate });
            self.tracks.push(Line::of(first, rate, zero, measure));
        }
        match FragmentWriter::new(&tracks) {
            Ok(writer) => {
                // Frames before the movie's start are there to be decoded, not to be shown. A
                // frame of sound that primes its decoder is so short that nobody notices.
                let line = |frame: &Taken| self.tracks.iter().find(|l| l.track == frame.track);
                let pts = |frame: &Taken| Some(line(frame)?.pts(frame.unit.rtp_ticks));
                self.head_due = frames.iter().filter_map(pts).any(|pts| pts + PRIMING_MAX < ZERO);
                if !self.head_due {
                    self.queue.put(writer.init_segment());
                }
                self.stage = Stage::Writing(Box::new(writer));
                frames.iter().for_each(|frame| self.write(frame));
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn write(&mut self, taken: &Taken) {
        let Stage::Writing(writer) = &mut self.stage else {
            return;
        };
        let Some(line) = self.tracks.iter().find(|line| line.track == taken.track) else {
            return;
        };
        let frame = Frame {
            track: TrackId(taken.track),
            pts: line.pts(taken.unit.rtp_ticks),
            dts: None,
            duration: None,
            key: taken.unit.key,
            capture: None,
            arrival: taken.unit.arrival,
            discontinuity: false,
            payload: taken.unit.payload.clone(),
        };
        match writer.push(&frame) {
            Ok(fragment) => {
                self.frames += 1;
                if let Some(fragment) = fragment {
                    if std::mem::take(&mut self.head_due) {
                        self.queue.put(writer.init_segment_from(ZERO));
                    }
                    self.queue.put(fragment);
                }
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn fail(&mut self, why: &str) {
        self.failed.get_or_insert_with(|| why.to_owned());
    }
}

impl Line {
    /// By what the server said of the track's place, or else by when its first frame came.
    fn of(first: &Taken, clock_rate_hz: u32, zero: Instant, measure: &Measure) -> Self {
        let ticks = first.unit.rtp_ticks;
        let by_arrival = || MediaTime::from(first.unit.arrival.since(zero));
        let pts = measure.pts(first.track, ticks).unwrap_or_else(by_arrival);
        Line { track: first.track, clock_rate_hz, ticks, pts }
    }

    fn pts(&self, rtp_ticks: i64) -> MediaTime {
        let since = rtp_ticks.saturating_sub(self.ticks);
        self.pts + MediaTime::from_ticks(since, self.clock_rate_hz.max(1))
    }
}
