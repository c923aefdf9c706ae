//! A shard's state: outlets, feeds, viewers, timers.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_media::MediaTime;
use weir_record::{Sink, event};
use weir_time::Instant;

use super::beats::Beats;
use super::deliver::Visit;
use super::feed::{Feed, SOUND_AHEAD, Step};
use super::outlet::Outlet;
use super::slab::Slab;
use super::viewer::{Cursor, Pace, Phase, Source, Viewer, Way};
use crate::report;
use crate::ring::StreamClock;
use crate::sink::http::{Audience, Row};

/// Everything that a shard knows.
pub(crate) struct State {
    pub(crate) outlets: Slab<Outlet>,
    pub(crate) feeds: Slab<Feed>,
    pub(crate) viewers: Slab<Viewer>,
    pub(crate) tallies: Slab<Tally>,
    /// Viewers to be visited now.
    ready: Vec<usize>,
    timers: BTreeSet<(Instant, Timer)>,
    beats: Beats,
    pub(crate) records: Sink,
    /// Skips, bytes and refused packets since the start.
    pub(super) totals: Audience,
    /// The time of day in seconds, as of this round.
    pub(super) unix_s: u32,
}

/// The timers of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Sound of a feed has waited long enough for a picture.
    Sound(usize),
    /// A viewer's next frame, burst or report is due.
    Viewer(usize),
}

/// Counts of one stream since the last summary.
pub(crate) struct Tally {
    pub(crate) stream: Arc<str>,
    pub(crate) viewers: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) skips: u64,
    pub(crate) packets_refused: u64,
    pub(crate) frames_before: u64,
    /// The log has said that some images are too large for many clients.
    pub(crate) oversize_said: bool,
}

/// What visiting a viewer asks of its shard.
#[derive(Default)]
pub(crate) struct Wishes {
    /// Viewers that may be sent something.
    pub(crate) visits: Vec<Visit>,
    /// Viewers whose next stretch of movie is to be fetched.
    pub(crate) fetches: Vec<usize>,
    /// Viewers whose sender reports are due, and whether these are their last.
    pub(crate) reports: Vec<(usize, bool)>,
}

impl State {
    pub(crate) fn new(records: Sink) -> Self {
        State {
            outlets: Slab::default(),
            feeds: Slab::default(),
            viewers: Slab::default(),
            tallies: Slab::default(),
            ready: Vec::new(),
            timers: BTreeSet::new(),
            beats: Beats::default(),
            records,
            totals: Audience::default(),
            unix_s: 0,
        }
    }

    /// Whom it serves.
    pub(super) fn audience(&self) -> Audience {
        let rows = self.viewers.iter().map(|(_, viewer)| Row {
            number: viewer.number,
            stream: Arc::clone(&viewer.stream),
            peer: viewer.peer,
            transport: viewer.transport(),
            agent: viewer.agent.clone(),
            joined: viewer.joined,
            bytes: viewer.sent.wire_bytes,
        });
        let Audience { skips, bytes, packets_refused, .. } = self.totals;
        Audience { rows: rows.collect(), skips, bytes, packets_refused }
    }

    /// What is held.
    #[cfg(test)]
    pub(super) fn census(&self) -> super::Census {
        super::Census {
            viewers: self.viewers.iter().count(),
            outlets: self.outlets.iter().count(),
            tallies: self.tallies.iter().count(),
            timers: self.timers.len(),
            places: self.viewers.places() + self.outlets.places(),
        }
    }

    /// Has a viewer visited in the next round.
    pub(crate) fn queue(&mut self, id: usize) {
        if let Some(viewer) = self.viewers.get_mut(id)
            && !viewer.queued
        {
            viewer.queued = true;
            self.ready.push(id);
        }
    }

    /// Whether somebody is to be visited.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When the next timer is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub(crate) fn fire(&mut self, now: Instant) {
        while let Some(&(at, timer)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            match timer {
                Timer::Sound(feed) => self.advance_feed(feed, now),
                Timer::Viewer(id) => {
                    if let Some(viewer) = self.viewers.get_mut(id) {
                        viewer.due = None;
                    }
                    self.queue(id);
                }
            }
        }
    }

    /// A stream has brought something.
    pub(crate) fn advance_feed(&mut self, id: usize, now: Instant) {
        let Some(feed) = self.feeds.get_mut(id) else {
            return;
        };
        match feed.advance(now) {
            Step::Nothing => {}
            Step::Wait(due) => {
                self.timers.insert((due, Timer::Sound(id)));
            }
            Step::Deliver => {
                for index in 0.. {
                    let Some(viewer) = self.feeds.get(id).and_then(|f| f.viewers.get(index)) else {
                        break;
                    };
                    self.queue(*viewer);
                }
            }
        }
    }

    /// A socket that was full has room.
    pub(crate) fn outlet_writable(&mut self, id: usize) {
        let Some(outlet) = self.outlets.get_mut(id) else {
            return;
        };
        outlet.blocked = false;
        match outlet.viewer {
            Some(viewer) => self.queue(viewer),
            None => outlet.flush(),
        }
    }

    /// Looks at every viewer that is ready, and says what is to be done for it.
    pub(crate) fn prepare(&mut self, now: Instant, wishes: &mut Wishes) {
        let mut ready = std::mem::take(&mut self.ready);
        for id in ready.drain(..) {
            if let Some(viewer) = self.viewers.get_mut(id) {
                viewer.queued = false;
            }
            if let Some(until) = self.look_at(id, now, wishes) {
                wishes.visits.push(Visit { viewer: id, until });
            }
        }
        // Keeps the room of the list.
        if self.ready.is_empty() {
            self.ready = ready;
        }
    }

    /// The frame up to which a viewer may be sent to; `None` if nothing can be sent to it now.
    fn look_at(&mut self, id: usize, now: Instant, wishes: &mut Wishes) -> Option<u64> {
        let viewer = self.viewers.get(id)?;
        if let Way::Tcp { outlet } = viewer.way
            && self.outlets.get(outlet).is_none_or(|outlet| outlet.blocked || outlet.failed)
        {
            return None;
        }
        if let Phase::Starting { from } = viewer.phase {
            self.begin_live(id, from, now)?;
        }
        let viewer = self.viewers.get(id)?;
        if viewer.phase != Phase::Playing {
            if viewer.goodbye_due.is_some_and(|due| due <= now) {
                wishes.reports.push((id, true));
                self.viewers.get_mut(id)?.goodbye_due = None;
            }
            // What waits for the connection itself still goes out.
            return Some(0);
        }
        match viewer.source {
            Source::Live { .. } => self.catch_up(id, now),
            Source::Movie(_) => self.begin_movie(id, now, wishes),
        }
        let viewer = self.viewers.get_mut(id)?;
        if viewer.report_due.is_some_and(|due| due <= now) {
            viewer.report_due = Some(now + super::REPORT_INTERVAL);
            wishes.reports.push((id, false));
        }
        if viewer.burst_due.is_some_and(|due| due > now) {
            return Some(0);
        }
        viewer.burst_due = None;
        let is_classroom = viewer.is_classroom();
        let until = self.until(id, now);
        Some(if is_classroom { self.classroom_until(id, until) } else { until })
    }

    /// Starts a viewer of a live stream, if there is a frame to start it at.
    fn begin_live(&mut self, id: usize, from: u64, now: Instant) -> Option<()> {
        let viewer = self.viewers.get_mut(id)?;
        let Source::Live { feed } = viewer.source else {
            return None;
        };
        let window = &self.feeds.get(feed)?.window;
        let start = window.newest_start().filter(|start| *start >= from)?;
        let slot = window.get(start)?;
        viewer.cursor = Cursor { slot: start, piece: 0 };
        viewer.phase = Phase::Playing;
        viewer.clock = window.clock;
        viewer.report_due = Some(now);
        viewer.rate_mark = (now, viewer.sent.wire_bytes);
        let behind = window.head() - start > 1;
        viewer.pace = (behind && viewer.way == Way::Udp).then_some(Pace {
            at: now,
            dts: slot.dts,
            speed: super::JOIN_SPEED,
        });
        Some(())
    }

    /// Moves a viewer of a live stream on that the ring has left behind, and ends its catching up
    /// once it has caught up.
    fn catch_up(&mut self, id: usize, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        let Source::Live { feed } = viewer.source else {
            return;
        };
        let Some(feed) = self.feeds.get(feed) else {
            return;
        };
        let window = &feed.window;
        if viewer.cursor.slot >= window.head() {
            viewer.pace = None;
        }
        if viewer.cursor.slot >= window.base() {
            return;
        }
        let Some((start, slot)) = window.newest_start().and_then(|n| Some((n, window.get(n)?)))
        else {
            viewer.phase = Phase::Starting { from: window.head() };
            return;
        };
        let skipped = report::Skipped {
            frames: start - viewer.cursor.slot,
            from: viewer.reached.map_or(slot.pts, |reached| reached - viewer.shift),
            to: slot.pts,
            stream_rate: window.bit_rate(),
            viewer_rate: viewer.bit_rate(now),
        };
        report::viewer_skipped(&self.records, now, viewer, &skipped);
        viewer.cursor = Cursor { slot: start, piece: 0 };
        viewer.rate_mark = (now, viewer.sent.wire_bytes);
        if let Some(tally) = self.tallies.get_mut(viewer.tally) {
            tally.skips += 1;
        }
        self.totals.skips += 1;
    }

    /// Starts the clock of a movie's viewer once its first frame is there, lets go of what it has
    /// passed, and asks for what comes next.
    fn begin_movie(&mut self, id: usize, now: Instant, wishes: &mut Wishes) {
        self.pass_over(id);
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        let (cursor, is_paced) = (viewer.cursor, viewer.pace.is_some());
        let Source::Movie(source) = &mut viewer.source else {
            return;
        };
        while source.chunks.front().is_some_and(|chunk| chunk.end() <= cursor.slot) {
            source.chunks.pop_front();
        }
        if source.wants_more() {
            wishes.fetches.push(id);
        }
        if !is_paced && let Some(slot) = source.get(cursor.slot) {
            // What is decoded and not shown, before the start, goes at once.
            let (dts, pts) = (slot.dts, slot.pts.max(MediaTime::ZERO));
            // The clock starts at the place where the picture is shown: what is decoded before
            // that goes at once, and sound that belongs to it is not late. It starts on the beat
            // of the pictures, a little early, so that all viewers of one rate are visited at once.
            let at = match slot.picture {
                true => self.beats.last_before(now, slot.end - slot.pts),
                false => now,
            };
            viewer.pace = Some(Pace { at, dts: dts.max(pts), speed: 1 });
            viewer.clock = Some(StreamClock { at: now, pts });
            viewer.report_due = Some(now);
            viewer.rate_mark = (now, viewer.sent.wire_bytes);
        }
    }

    /// Moves a viewer on over frames that it is never sent: it is not to be visited for them.
    fn pass_over(&mut self, id: usize) {
        let feeds = &self.feeds;
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        viewer.pass_over_gap();
        // In the classroom dialect images that cannot be sent are counted when they are due.
        while !viewer.is_classroom()
            && viewer.cursor.piece == 0
            && viewer.slot(feeds, viewer.cursor.slot).is_some_and(|slot| !viewer.gets(slot))
        {
            viewer.cursor.slot += 1;
            viewer.pass_over_gap();
        }
    }

    /// The first frame that a viewer is not to be sent yet.
    fn until(&self, id: usize, now: Instant) -> u64 {
        let Some(viewer) = self.viewers.get(id) else {
            return 0;
        };
        let end = self.end(viewer);
        let Some(pace) = viewer.pace else {
            return if matches!(viewer.source, Source::Live { .. }) { end } else { 0 };
        };
        let mut until = viewer.cursor.slot;
        let mut sound_until = now;
        while until < end
            && let Some(slot) = viewer.slot(&self.feeds, until)
            && pace.due(slot.dts) <= if slot.picture { now } else { sound_until }
        {
            if slot.picture {
                sound_until = now + SOUND_AHEAD;
            }
            until += 1;
        }
        until
    }

    /// Where a viewer's frames end, as far as is known.
    fn end(&self, viewer: &Viewer) -> u64 {
        match &viewer.source {
            Source::Live { feed } => self.feeds.get(*feed).map_or(0, |feed| feed.window.head()),
            Source::Movie(source) => source.pause.map_or(source.end, |(at, _)| at.min(source.end)),
        }
    }

    /// After a round: sets the viewer's timer, and finds out whether it has got everything.
    pub(crate) fn settle(&mut self, id: usize, now: Instant) {
        self.pass_over(id);
        let Some(viewer) = self.viewers.get(id) else { return };
        if viewer.phase != Phase::Playing {
            return self.set_timer(id, viewer.goodbye_due);
        }
        let at_end = viewer.cursor.slot >= self.end(viewer);
        let is_over = at_end
            && match &viewer.source {
                Source::Live { feed } => self.feeds.get(*feed).is_some_and(|f| f.window.closed),
                Source::Movie(_) => true,
            };
        let due = match self.next_frame_due(viewer) {
            Some(due) => Some(due.max(viewer.burst_due.unwrap_or(due))),
            None => viewer.burst_due,
        };
        let due = [due, viewer.report_due].into_iter().flatten().min();
        if is_over {
            return match self.pause_here(id, now) {
                true => self.set_timer(id, None),
                false => self.finish(id, now),
            };
        }
        self.set_timer(id, due.map(|due| due.max(now)));
    }

    /// A viewer has got everything. The good-bye comes a little later: players take RTCP in by
    /// another port or thread than RTP, and those that see it first leave packets unread.
    fn finish(&mut self, id: usize, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(id) else { return };
        viewer.phase = Phase::Finished;
        // Not before the last frame is over: frames of tracks that it does not get may follow.
        let over = viewer.pace.zip(viewer.reached);
        let over = over.map_or(now, |(pace, reached)| pace.due(reached - viewer.shift));
        let over = over.clamp(now, now + super::LAST_FRAME_WAIT_MAX);
        viewer.goodbye_due = Some(over + super::GOODBYE_WAIT);
        let due = viewer.goodbye_due;
        self.set_timer(id, due);
    }

    /// When a paced viewer is to be visited for its next frame. Sound waits for a picture that
    /// is due soon.
    fn next_frame_due(&self, viewer: &Viewer) -> Option<Instant> {
        let pace = viewer.pace?;
        let first = viewer.slot(&self.feeds, viewer.cursor.slot)?;
        let first_due = pace.due(first.dts);
        if first.picture {
            return Some(first_due);
        }
        let latest = first_due + super::feed::SOUND_WAIT;
        let coming = (viewer.cursor.slot + 1..self.end(viewer))
            .map_while(|number| viewer.slot(&self.feeds, number))
            .map(|slot| (pace.due(slot.dts), slot.picture))
            .take_while(|(due, _)| *due <= latest);
        let picture = coming.filter(|(_, picture)| *picture).map(|(due, _)| due).next();
        Some(picture.unwrap_or(latest))
    }

    fn set_timer(&mut self, id: usize, due: Option<Instant>) {
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        if viewer.due == due {
            return;
        }
        if let Some(old) = viewer.due {
            self.timers.remove(&(old, Timer::Viewer(id)));
        }
        viewer.due = due;
        if let Some(due) = due {
            self.timers.insert((due, Timer::Viewer(id)));
        }
    }

    /// Takes a viewer out.
    pub(crate) fn remove_viewer(&mut self, id: usize) -> Option<Viewer> {
        self.set_timer(id, None);
        let viewer = self.viewers.remove(id)?;
        self.ready.retain(|ready| *ready != id);
        if let Source::Live { feed } = viewer.source
            && let Some(feed) = self.feeds.get_mut(feed)
        {
            feed.viewers.retain(|other| *other != id);
        }
        if let Way::Tcp { outlet } = viewer.way
            && let Some(outlet) = self.outlets.get_mut(outlet)
        {
            outlet.viewer = None;
            if !outlet.blocked {
                outlet.flush();
            }
        }
        if let Some(tally) = self.tallies.get_mut(viewer.tally) {
            tally.viewers -= 1;
        }
        Some(viewer)
    }

    /// The counts of a stream, made when there are none.
    pub(crate) fn tally(&mut self, stream: &Arc<str>) -> usize {
        let there = self.tallies.iter().find(|(_, tally)| tally.stream == *stream);
        let id = match there {
            Some((id, _)) => id,
            None => self.tallies.insert(Tally {
                stream: Arc::clone(stream),
                viewers: 0,
                packets: 0,
                bytes: 0,
                skips: 0,
                packets_refused: 0,
                frames_before: 0,
                oversize_said: false,
            }),
        };
        if let Some(tally) = self.tallies.get_mut(id) {
            tally.viewers += 1;
        }
        id
    }

    /// Writes one summary for each stream, and begins anew.
    pub(crate) fn summarise(&mut self, now: Instant, span_ns: u64) {
        for id in self.tallies.keys() {
            let Some(tally) = self.tallies.get_mut(id) else {
                continue;
            };
            let feed = self.feeds.iter().find(|(_, feed)| *feed.live.name() == *tally.stream);
            let frames = feed.map(|(_, feed)| feed.frames());
            let second = event::StreamSecond {
                stream: (&*tally.stream).into(),
                span_ns,
                viewers: tally.viewers,
                frames: frames.map(|frames| frames.saturating_sub(tally.frames_before)),
                packets: std::mem::take(&mut tally.packets),
                bytes: std::mem::take(&mut tally.bytes),
                skips: std::mem::take(&mut tally.skips),
                packets_refused: std::mem::take(&mut tally.packets_refused),
            };
            tally.frames_before = frames.unwrap_or(0);
            let is_unused = tally.viewers == 0;
            self.records.emit(now, second);
            if is_unused {
                self.tallies.remove(id);
            }
        }
    }

    /// The place on the stream's own time line that a viewer's next frame is shown at.
    pub(crate) fn place(&self, id: usize) -> Option<MediaTime> {
        let viewer = self.viewers.get(id)?;
        viewer.slot(&self.feeds, viewer.cursor.slot).map(|slot| slot.pts)
    }
}
