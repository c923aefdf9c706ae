//! When frames are shown, without input or output.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_media::MediaTime;
use weir_time::Instant;

/// A playout clock over the frames of several tracks.
///
/// It starts once every track has [`START_BUFFER`] ahead or has ended, shows each frame when the
/// clock comes to its presentation time, and stands still where a track that goes on has nothing
/// more. After [`Playout::push`], [`Playout::ended`] and at [`Playout::next_timeout`], call
/// [`Playout::poll`] until it gives nothing.
#[derive(Debug)]
pub(crate) struct Playout<T> {
    lines: Vec<Line<T>>,
    clock: Clock,
    /// Nothing before this is shown.
    from: Option<MediaTime>,
}

#[derive(Debug)]
struct Line<T> {
    /// Frames that wait to be shown, by time and order of arrival.
    waiting: BTreeMap<(MediaTime, u64), T>,
    pushed: u64,
    /// Up to where it is there.
    end: Option<MediaTime>,
    is_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Clock {
    /// Nothing was shown yet.
    Starting,
    /// At `at` it showed `position`.
    Running { at: Instant, position: MediaTime },
    /// It stands because nothing is there.
    Stalled { since: Instant, position: MediaTime },
    /// It stands because the user wants it to.
    Paused { position: MediaTime },
}

/// What a playout does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shown<T> {
    /// The first frame is shown.
    Started { position: MediaTime },
    /// A frame's time has come.
    Frame { track: usize, pts: MediaTime, at: Instant, frame: T },
    /// It stands still.
    Stalled { position: MediaTime },
    /// It goes on.
    Resumed { stalled: Duration },
    /// Everything was shown.
    Over,
}

/// What is to be there of each track before it starts, and before it goes on.
pub(crate) const START_BUFFER: Duration = Duration::from_millis(500);

impl<T> Playout<T> {
    /// A playout of no track yet, from `from` on or from the first frame.
    pub(crate) fn new(from: Option<MediaTime>) -> Self {
        Playout { lines: Vec::new(), clock: Clock::Starting, from }
    }

    /// Adds a track; gives its number.
    pub(crate) fn add_track(&mut self) -> usize {
        self.lines.push(Line { waiting: BTreeMap::new(), pushed: 0, end: None, is_ended: false });
        self.lines.len() - 1
    }

    /// A frame has come.
    pub(crate) fn push(&mut self, track: usize, pts: MediaTime, end: MediaTime, frame: T) {
        let Some(line) = self.lines.get_mut(track) else {
            return;
        };
        line.end = line.end.max(Some(end));
        if self.from.is_some_and(|from| end <= from) {
            return;
        }
        line.waiting.insert((pts, line.pushed), frame);
        line.pushed += 1;
    }

    /// No more frames of a track will come.
    pub(crate) fn ended(&mut self, track: usize) {
        if let Some(line) = self.lines.get_mut(track) {
            line.is_ended = true;
        }
    }

    /// Forgets what waits and starts anew at another place.
    pub(crate) fn seek(&mut self, to: MediaTime) {
        for line in &mut self.lines {
            line.waiting.clear();
            line.end = None;
            line.is_ended = false;
        }
        self.from = Some(to);
        self.clock = match self.clock {
            Clock::Paused { .. } => Clock::Paused { position: to },
            _ => Clock::Starting,
        };
    }

    pub(crate) fn pause(&mut self, now: Instant) {
        if let Some(position) = self.position(now) {
            self.clock = Clock::Paused { position };
        }
    }

    pub(crate) fn resume(&mut self, now: Instant) {
        if let Clock::Paused { position } = self.clock {
            self.clock = Clock::Running { at: now, position };
        }
    }

    /// Whether it stands because the user wants it to.
    pub(crate) fn is_paused(&self) -> bool {
        matches!(self.clock, Clock::Paused { .. })
    }

    /// The place that is shown; `None` before the start.
    pub(crate) fn position(&self, now: Instant) -> Option<MediaTime> {
        match self.clock {
            Clock::Starting => None,
            Clock::Running { at, position } => Some(position + now.since(at).into()),
            Clock::Stalled { position, .. } | Clock::Paused { position } => Some(position),
        }
    }

    /// How much of a track is there beyond what is shown.
    pub(crate) fn buffer(&self, track: usize, now: Instant) -> Option<Duration> {
        let line = self.lines.get(track)?;
        let from = self.position(now).or_else(|| self.first());
        Some((line.end? - from?).to_duration())
    }

    /// What happens next, up to `now`.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Shown<T>> {
        match self.clock {
            Clock::Paused { .. } => None,
            Clock::Starting => {
                let position = self.first().filter(|first| self.is_ready(*first))?;
                self.clock = Clock::Running { at: now, position };
                Some(Shown::Started { position })
            }
            Clock::Stalled { since, position } => {
                if self.is_over() {
                    return self.over();
                }
                self.is_ready(position).then(|| {
                    self.clock = Clock::Running { at: now, position };
                    Shown::Resumed { stalled: now.since(since) }
                })
            }
            Clock::Running { at, position } => self.run(now, at, position),
        }
    }

    /// When to poll although nothing comes.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let Clock::Running { at, position } = self.clock else {
            return None;
        };
        let next = self.next_frame().map(|(_, pts)| pts);
        let end = self.limit().into_iter().chain(self.last_end());
        let next = next.into_iter().chain(end).min()?;
        Some(at + (next - position).to_duration())
    }

    fn run(&mut self, now: Instant, at: Instant, position: MediaTime) -> Option<Shown<T>> {
        let reached = position + now.since(at).into();
        let when = |pts: MediaTime| at + (pts - position).to_duration();
        let limit = self.limit();
        if let Some((track, pts)) = self.next_frame()
            && pts <= reached
            && limit.is_none_or(|limit| pts < limit)
        {
            let (_, frame) = self.lines.get_mut(track)?.waiting.pop_first()?;
            return Some(Shown::Frame { track, pts, at: when(pts), frame });
        }
        if let Some(limit) = limit.filter(|limit| *limit <= reached) {
            self.clock = Clock::Stalled { since: when(limit), position: limit };
            return Some(Shown::Stalled { position: limit });
        }
        let is_shown = self.last_end().is_none_or(|end| end <= reached);
        if self.is_over() && is_shown { self.over() } else { None }
    }

    fn over(&mut self) -> Option<Shown<T>> {
        let position = self.last_end().unwrap_or_default();
        self.clock = Clock::Paused { position };
        Some(Shown::Over)
    }

    /// Up to where all tracks that go on are there.
    fn limit(&self) -> Option<MediaTime> {
        let going_on = self.lines.iter().filter(|line| !line.is_ended);
        going_on.map(|line| line.end.unwrap_or(MediaTime::ZERO)).min()
    }

    fn last_end(&self) -> Option<MediaTime> {
        self.is_over().then(|| self.lines.iter().filter_map(|line| line.end).max()).flatten()
    }

    fn is_over(&self) -> bool {
        let is_done = |line: &Line<T>| line.is_ended && line.waiting.is_empty();
        !self.lines.is_empty() && self.lines.iter().all(is_done)
    }

    fn is_ready(&self, position: MediaTime) -> bool {
        let wanted = position + START_BUFFER.into();
        let has = |line: &Line<T>| line.is_ended || line.end.is_some_and(|end| end >= wanted);
        !self.lines.is_empty() && self.lines.iter().all(has)
    }

    /// Where it starts: at the place that was asked for, or with the first frame.
    fn first(&self) -> Option<MediaTime> {
        let first = self.next_frame().map(|(_, pts)| pts)?;
        Some(self.from.map_or(first, |from| from.max(first)))
    }

    fn next_frame(&self) -> Option<(usize, MediaTime)> {
        let firsts = self.lines.iter().enumerate().filter_map(|(track, line)| {
            let ((pts, _), _) = line.waiting.first_key_value()?;
            Some((track, *pts))
        });
        firsts.min_by_key(|(track, pts)| (*pts, *track))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(millis: i64) -> MediaTime {
        MediaTime::from_nanos(millis * 1_000_000)
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// Frames of 40 ms from `from` to `to`.
    fn fill(playout: &mut Playout<i64>, track: usize, from: i64, to: i64) {
        for pts in (from..to).step_by(40) {
            playout.push(track, media(pts), media(pts + 40), pts);
        }
    }

    fn drain(playout: &mut Playout<i64>, now: Instant) -> Vec<Shown<i64>> {
        std::iter::from_fn(|| playout.poll(now)).collect()
    }

    #[test]
    fn it_starts_when_every_track_has_enough_and_shows_frames_at_their_times() {
        let mut playout = Playout::new(None);
        let (picture, sound) = (playout.add_track(), playout.add_track());
        fill(&mut playout, picture, 1000, 1600);
        assert_eq!(playout.poll(at(5)), None);
        fill(&mut playout, sound, 1000, 1600);
        assert_eq!(playout.poll(at(7)), Some(Shown::Started { position: media(1000) }));
        let frames = drain(&mut playout, at(47));
        assert_eq!(frames.len(), 4);
        let second = Shown::Frame { track: 0, pts: media(1040), at: at(47), frame: 1040 };
        assert!(frames.contains(&second), "{frames:?}");
        assert_eq!(playout.next_timeout(), Some(at(87)));
        assert_eq!(playout.buffer(0, at(47)), Some(Duration::from_millis(560)));
    }

    #[test]
    fn it_stalls_where_a_track_has_nothing_and_says_for_how_long() {
        let mut playout = Playout::new(None);
        let track = playout.add_track();
        fill(&mut playout, track, 0, 600);
        let shown = drain(&mut playout, at(10_000));
        assert!(matches!(shown.first(), Some(Shown::Started { .. })));
        let shown = drain(&mut playout, at(10_900));
        assert_eq!(shown.last(), Some(&Shown::Stalled { position: media(600) }));
        fill(&mut playout, track, 600, 1000);
        assert_eq!(playout.poll(at(11_000)), None, "400 ms are too few to go on");
        fill(&mut playout, track, 1000, 1200);
        let resumed = Shown::Resumed { stalled: Duration::from_millis(500) };
        assert_eq!(playout.poll(at(11_100)), Some(resumed));
        assert_eq!(playout.position(at(11_200)), Some(media(700)));
    }

    #[test]
    fn it_is_over_when_the_last_frame_has_been_shown() {
        let mut playout = Playout::new(None);
        let track = playout.add_track();
        fill(&mut playout, track, 0, 80);
        playout.ended(track);
        let shown = drain(&mut playout, at(0));
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert_eq!(playout.next_timeout(), Some(at(40)));
        assert_eq!(drain(&mut playout, at(79)).len(), 1);
        assert_eq!(drain(&mut playout, at(80)), [Shown::Over]);
    }

    #[test]
    fn a_pause_moves_everything_and_a_seek_starts_anew() {
        let mut playout = Playout::new(None);
        let track = playout.add_track();
        fill(&mut playout, track, 0, 2000);
        drain(&mut playout, at(0));
        playout.pause(at(100));
        assert!(drain(&mut playout, at(5000)).is_empty());
        playout.resume(at(5000));
        assert_eq!(playout.position(at(5010)), Some(media(110)));
        playout.seek(media(10_020));
        fill(&mut playout, track, 10_000, 11_000);
        assert_eq!(playout.poll(at(5020)), Some(Shown::Started { position: media(10_020) }));
    }
}
