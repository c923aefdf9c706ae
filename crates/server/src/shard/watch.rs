//! Viewers come, play, pause and go.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use weir_media::{MediaTime, TrackId};
use weir_proto::rtp::{RtpTime, SequenceNumber, Ssrc};
use weir_record::event;

use super::feed::Feed;
use super::state::State;
use super::viewer::{Cursor, MovieSource, Phase, Sent, Source, Target, TrackOut, Viewer, Way};
use super::{KEY_FEED, KEY_WAKE, Shard};
use crate::hub::Stream;
use crate::live::Live;
use crate::packing::Packing;
use crate::report;
use crate::settings::Start;

/// A viewer that was set up.
pub(crate) struct Setup {
    pub(crate) stream: Stream,
    pub(crate) name: Arc<str>,
    pub(crate) peer: SocketAddr,
    pub(crate) way: Way,
    pub(crate) user_agent: Option<String>,
    /// By track; those that are not set up are empty.
    pub(crate) tracks: Vec<Option<TrackSetup>>,
}

/// One track of it.
#[derive(Clone, Debug)]
pub(crate) struct TrackSetup {
    pub(crate) ssrc: Ssrc,
    pub(crate) payload_type: u8,
    pub(crate) clock_rate_hz: u32,
    pub(crate) seq: SequenceNumber,
    pub(crate) offset: RtpTime,
    pub(crate) rtp: Target,
    pub(crate) rtcp: Target,
}

/// From where a viewer is to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Where it was paused, or the start.
    Here,
    /// A place in a movie.
    Place(MediaTime),
    /// What happens now.
    Now,
}

/// What a PLAY has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The place that it begins at; absent for a live stream.
    pub(crate) from: Option<MediaTime>,
    /// Where it ends; absent for a live stream.
    pub(crate) to: Option<MediaTime>,
    /// Each track's next number, and the RTP time of the beginning.
    pub(crate) tracks: Vec<(u8, SequenceNumber, RtpTime)>,
}

impl Shard {
    /// Takes a viewer in, paused at the start.
    pub(crate) fn add_viewer(&self, setup: Setup) -> usize {
        let now = self.host.now();
        let number = self.context.next_viewer();
        let way = setup.way;
        let mut state = self.state.borrow_mut();
        let source = match setup.stream {
            Stream::Live(live) => {
                Source::Live { feed: self.feed(&mut state, &live, way.packing()) }
            }
            Stream::Movie(movie) => {
                let end = movie.slots();
                let chunks = Default::default();
                Source::Movie(Box::new(MovieSource {
                    movie,
                    chunks,
                    next_chunk: 0,
                    fetch: None,
                    end,
                    to: None,
                    pause: None,
                    begun_at: MediaTime::ZERO,
                }))
            }
        };
        let tally = state.tally(&setup.name);
        let viewer = Viewer {
            number,
            stream: setup.name,
            peer: setup.peer,
            agent: setup.user_agent.as_deref().map(Arc::from),
            source,
            way,
            tracks: setup.tracks.into_iter().map(|track| track.map(track_out)).collect(),
            phase: Phase::Paused,
            cursor: Cursor::default(),
            pace: None,
            clock: None,
            shift: MediaTime::ZERO,
            reached: None,
            report_due: None,
            burst_due: None,
            goodbye_due: None,
            due: None,
            queued: false,
            joined: now,
            sent: Sent::default(),
            rate_mark: (now, 0),
            alive: None,
            tally,
        };
        report::viewer_joined(&self.context.records, now, &viewer, setup.user_agent.as_deref());
        let id = state.viewers.insert(viewer);
        state.attach(id);
        id
    }

    /// The number of a viewer in the records.
    pub(crate) fn viewer_number(&self, id: usize) -> Option<u64> {
        self.state.borrow().viewers.get(id).map(|viewer| viewer.number)
    }

    /// Plays. `to` is where a movie's range ends, if not at its end.
    pub(crate) fn play(self: &Rc<Self>, id: usize, from: From, to: Option<MediaTime>) -> Begun {
        let now = self.host.now();
        let mut state = self.state.borrow_mut();
        state.set_utc(self.host.utc());
        state.stamp(id);
        let begun = match state.viewers.get(id).map(|viewer| &viewer.source) {
            Some(Source::Live { .. }) => state.play_live(id, self.context.settings.start, now),
            Some(Source::Movie(_)) => state.play_movie(id, from, to),
            None => Begun { from: None, to: None, tracks: Vec::new() },
        };
        report::viewer_playing(&self.context.records, now, state.viewers.get(id), &begun);
        state.queue(id);
        let fetch = state.viewers.get(id).is_some_and(|viewer| match &viewer.source {
            Source::Movie(source) => source.wants_more(),
            Source::Live { .. } => false,
        });
        drop(state);
        if fetch {
            self.fetch(id);
        }
        self.mailbox.bell.ring(KEY_WAKE);
        begun
    }

    /// Stops for now; gives the place that was reached.
    pub(crate) fn pause(&self, id: usize) -> Option<MediaTime> {
        let now = self.host.now();
        let mut state = self.state.borrow_mut();
        let place = state.place(id);
        let viewer = state.viewers.get_mut(id)?;
        if viewer.phase != Phase::Finished {
            viewer.phase = Phase::Paused;
        }
        viewer.report_due = None;
        let is_movie = matches!(viewer.source, Source::Movie(_));
        let position_ns = place.filter(|_| is_movie).map(|place| place.as_nanos().max(0) as u64);
        let paused = event::ViewerPaused { viewer: viewer.number, position_ns };
        self.context.records.emit(now, paused);
        place
    }

    /// Takes a viewer out, with a last report and a good-bye.
    pub(crate) fn remove_viewer(&self, id: usize, reason: &str) {
        // A second time for one who has got everything: the first may have been lost.
        self.send_report(id, true);
        let mut state = self.state.borrow_mut();
        let Some(viewer) = state.remove_viewer(id) else {
            return;
        };
        report::viewer_left(&self.context.records, self.host.now(), &viewer, reason);
        if let Source::Live { feed } = viewer.source {
            self.leave_feed(&mut state, feed);
        }
    }

    /// Fetches the next stretch of a viewer's movie.
    pub(super) fn fetch(self: &Rc<Self>, id: usize) {
        let mut state = self.state.borrow_mut();
        let Some(viewer) = state.viewers.get_mut(id) else {
            return;
        };
        let (number, packing) = (viewer.number, viewer.packing());
        let Source::Movie(source) = &mut viewer.source else {
            return;
        };
        let ticket = self.context.next_ticket();
        source.fetch = Some(ticket);
        let (movie, chunk) = (Arc::clone(&source.movie), source.next_chunk);
        drop(state);
        let shard = Rc::clone(self);
        self.host.spawn(async move {
            let cache = &shard.context.hub.cache;
            let chunk = cache.get(&shard.host, &movie, chunk, packing).await;
            let mut state = shard.state.borrow_mut();
            let Some(viewer) = state.viewers.get_mut(id).filter(|v| v.number == number) else {
                return;
            };
            let (records, now) = (&shard.context.records, shard.host.now());
            if let Ok(chunk) = &chunk {
                chunk.news().iter().for_each(|gap| {
                    report::movie_damaged(records, now, &movie, gap);
                });
            }
            let is_set_up = |track: TrackId| {
                viewer.tracks.get(usize::from(track.0)).is_some_and(Option::is_some)
            };
            // In the classroom dialect what is not sent is counted, image by image.
            let is_of_use = viewer.is_classroom()
                || chunk.as_ref().is_ok_and(|chunk| chunk.has_frames(is_set_up));
            let Source::Movie(source) = &mut viewer.source else {
                return;
            };
            if source.fetch != Some(ticket) {
                return;
            }
            source.fetch = None;
            match chunk {
                Ok(chunk) => {
                    source.next_chunk += 1;
                    // One without a frame to send is passed over: the next is there in time.
                    source.chunks.extend(is_of_use.then_some(chunk));
                }
                Err(error) => {
                    // What is there of the movie still goes out; then it ends.
                    source.end = source.chunks.back().map_or(0, |chunk| chunk.end());
                    report::movie_failed(records, now, &movie, number, &error);
                }
            }
            state.queue(id);
            shard.mailbox.bell.ring(KEY_WAKE);
        });
    }

    /// This shard's feed of a live stream.
    fn feed(&self, state: &mut State, live: &Arc<Live>, packing: Packing) -> usize {
        let is_it = |feed: &Feed| feed.packing == packing && Arc::ptr_eq(&feed.live, live);
        let there = state.feeds.iter().find(|(_, feed)| is_it(feed));
        if let Some((id, _)) = there {
            return id;
        }
        let bell = &self.mailbox.bell;
        state.feeds.insert_with(|id| Feed::new(live, packing, bell, KEY_FEED | id as u64))
    }

    fn leave_feed(&self, state: &mut State, id: usize) {
        if state.feeds.get(id).is_some_and(|feed| feed.viewers.is_empty())
            && let Some(feed) = state.feeds.remove(id)
        {
            let ring = feed.live.ring(feed.packing);
            ring.unsubscribe(&self.mailbox.bell, KEY_FEED | id as u64);
        }
    }
}

impl State {
    /// Makes a new viewer known to its feed and to its outlet.
    fn attach(&mut self, id: usize) {
        let Some(viewer) = self.viewers.get(id) else {
            return;
        };
        let (way, feed) = match viewer.source {
            Source::Live { feed } => (viewer.way, Some(feed)),
            Source::Movie(_) => (viewer.way, None),
        };
        if let Some(feed) = feed.and_then(|feed| self.feeds.get_mut(feed)) {
            feed.viewers.push(id);
        }
        if let Way::Tcp { outlet } = way
            && let Some(outlet) = self.outlets.get_mut(outlet)
        {
            outlet.viewer = Some(id);
        }
    }

    fn play_live(&mut self, id: usize, start: Start, now: weir_time::Instant) -> Begun {
        let Some(viewer) = self.viewers.get_mut(id) else {
            return Begun::nothing();
        };
        let Source::Live { feed } = viewer.source else {
            return Begun::nothing();
        };
        let Some(feed) = self.feeds.get(feed) else {
            return Begun::nothing();
        };
        let window = &feed.window;
        if viewer.phase == Phase::Playing {
            return viewer.begun(None, None, MediaTime::ZERO);
        }
        let newest = window.newest_start().filter(|_| start == Start::Keyframe);
        let from = newest.unwrap_or(window.head());
        if newest.is_none() {
            feed.live.want_key();
        }
        let place = match (newest.and_then(|n| window.get(n)), window.clock) {
            (Some(slot), _) => slot.pts,
            (None, Some(clock)) => clock.pts + now.since(clock.at).into(),
            (None, None) => MediaTime::ZERO,
        };
        viewer.phase = Phase::Starting { from };
        viewer.goodbye_due = None;
        viewer.pace = None;
        viewer.continue_at(place);
        viewer.begun(None, None, place)
    }

    fn play_movie(&mut self, id: usize, from: From, to: Option<MediaTime>) -> Begun {
        let here = self.place(id);
        let Some(viewer) = self.viewers.get_mut(id) else {
            return Begun::nothing();
        };
        let Source::Movie(source) = &mut viewer.source else {
            return Begun::nothing();
        };
        source.pause = None;
        let movie = Arc::clone(&source.movie);
        let is_fresh = source.next_chunk == 0 && source.chunks.is_empty();
        let is_inside = viewer.cursor.slot < source.end;
        // Before its first frame is there, it is where it was sent to.
        let here = here.or((!is_fresh && is_inside).then_some(source.begun_at));
        let place = match (from, here) {
            (From::Here, Some(place)) if !is_fresh => {
                if viewer.phase == Phase::Paused {
                    viewer.pace = None;
                }
                place
            }
            (From::Here | From::Now, _) => viewer.jump(&movie, MediaTime::ZERO),
            (From::Place(at), _) => viewer.jump(&movie, at),
        };
        // Without a Range the one before still holds, unless it is over.
        let is_new = to.is_some() || from != From::Here || viewer.phase == Phase::Finished;
        let mut to = to;
        if let Source::Movie(source) = &mut viewer.source {
            if is_new {
                source.end = to.map_or(movie.slots(), |to| movie.end_at(to));
                source.to = to;
            }
            to = source.to;
        }
        viewer.phase = Phase::Playing;
        viewer.goodbye_due = None;
        let to = to.unwrap_or(movie.duration()).min(movie.duration());
        viewer.begun(Some(place), Some(to), place)
    }
}

impl Viewer {
    /// Goes to the key frame at or before a place in its movie; gives the frame's own place.
    pub(super) fn jump(&mut self, movie: &crate::movie::Movie, at: MediaTime) -> MediaTime {
        let (slot, place) = movie.start_at(at);
        self.cursor = Cursor { slot, piece: 0 };
        self.pace = None;
        if let Source::Movie(source) = &mut self.source {
            source.chunks.clear();
            source.fetch = None;
            source.begun_at = place;
            source.next_chunk = movie.chunk_of(slot).unwrap_or(movie.chunks());
        }
        self.continue_at(place);
        place
    }

    /// Makes RTP time go on from where it was when the next frame is that at `place` (RFC 2326
    /// appendix B).
    fn continue_at(&mut self, place: MediaTime) {
        if let Some(reached) = self.reached {
            self.shift = reached - place;
        }
        for track in self.tracks.iter_mut().flatten() {
            let shift = self.shift.to_ticks(track.clock_rate_hz);
            track.offset = RtpTime::from_ticks(shift, track.first_offset);
        }
    }

    fn begun(&self, from: Option<MediaTime>, to: Option<MediaTime>, place: MediaTime) -> Begun {
        let tracks = self.tracks.iter().enumerate();
        let tracks = tracks.filter_map(|(number, track)| {
            let track = track.as_ref()?;
            Some((u8::try_from(number).ok()?, track.seq, track.time_at(place)))
        });
        Begun { from, to, tracks: tracks.collect() }
    }
}

impl Begun {
    fn nothing() -> Self {
        Begun { from: None, to: None, tracks: Vec::new() }
    }
}

fn track_out(setup: TrackSetup) -> TrackOut {
    TrackOut {
        ssrc: setup.ssrc,
        payload_type: setup.payload_type,
        clock_rate_hz: setup.clock_rate_hz,
        seq: setup.seq,
        first_offset: setup.offset,
        offset: setup.offset,
        packets: 0,
        octets: 0,
        rtp: setup.rtp,
        rtcp: setup.rtcp,
    }
}
