//! Plays a stream by RTSP and measures it.

mod begin;

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use weir_dial::rtsp::{Client, Error, Event, Happened};
use weir_net::{Either, Host, select};
use weir_record::Sink;
use weir_record::event::{EndReason, Warning};
use weir_time::Instant;

pub use crate::action::{Action, Actions};
use crate::measure::{Measure, Progress};
use crate::movie_file::MovieFile;
pub use crate::movie_file::Written;
use crate::packets::PacketList;
use crate::probe::StreamProbe;
use crate::ruler::rtp::ByRtp;
use begin::prepare;

/// What is asked of a player.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which stream, and how.
    pub dial: weir_dial::rtsp::Settings,
    /// How long to play; `None` for to the end.
    pub limit: Option<Duration>,
    /// A movie file to write what came to.
    pub movie: Option<PathBuf>,
    /// What to do when so long has been played, in the order of the times.
    pub script: Vec<(Duration, Action)>,
    /// What to do as soon as it is said, once the stream plays.
    pub actions: Actions,
    /// Where to list every packet that comes.
    pub packets: Option<PacketList>,
    /// Read the time code of the test pattern.
    pub reads_time_code: bool,
}

impl Settings {
    /// Plays the stream at `url` from its start to its end.
    pub fn new(url: impl Into<String>) -> Self {
        Settings {
            dial: weir_dial::rtsp::Settings::new(url),
            limit: None,
            movie: None,
            script: Vec::new(),
            actions: Actions::new(),
            packets: None,
            reads_time_code: false,
        }
    }
}

/// How a play ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Why it ended.
    pub reason: EndReason,
    /// More about it.
    pub text: Option<String>,
    /// What failed, if the client did.
    pub error: Option<Error>,
    /// The movie file, if one was asked for.
    pub movie: Option<Written>,
}

impl Outcome {
    /// Whether the stream was played as was asked. Lost packets are no failure.
    pub fn is_success(&self) -> bool {
        matches!(self.reason, EndReason::Done | EndReason::EndOfStream | EndReason::Stopped)
    }
}

/// How long a stream whose end is near, or of which a track has ended, may be silent before it
/// counts as over.
pub const SILENCE_AT_END_MAX: Duration = Duration::from_secs(2);
/// How long any stream may be silent before it counts as failed.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How near its end a range is to be for a silence to be the end: the last frames may be lost.
const NEAR_END: Duration = Duration::from_secs(1);
/// How long good-byes and stragglers are waited for once the end is known.
const GOOD_BYE_WAIT: Duration = Duration::from_millis(300);
/// How long packets may come behind the last good-bye.
const STRAGGLER_WAIT: Duration = Duration::from_millis(100);
/// How long the answer to TEARDOWN is waited for.
const TEARDOWN_WAIT: Duration = Duration::from_secs(2);
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
const NOTHING_BUT_GOOD_BYE: &str =
    "the server said good-bye without one packet of media: its log may say why";

/// Plays a stream until it ends, and writes down what happens to `records`. `watch` is told once
/// a second how far it is.
pub async fn play(
    host: &Host,
    settings: Settings,
    records: &Sink,
    watch: impl FnMut(&Progress),
) -> Outcome {
    run(host, settings, records, None, watch).await.0
}

/// Plays, and shows every frame to `probe`, which is given back.
pub(crate) async fn run(
    host: &Host,
    settings: Settings,
    records: &Sink,
    mut probe: Option<StreamProbe>,
    mut watch: impl FnMut(&Progress),
) -> (Outcome, Option<StreamProbe>) {
    let (client, movie) = match prepare(host, &settings).await {
        Ok(made) => made,
        Err(failed) => return (failed.outcome(host, records), probe),
    };
    let mut player = Player {
        host: host.clone(),
        client,
        measure: Measure::new(
            records.clone(),
            movie.is_some() || probe.is_some() || settings.reads_time_code,
        ),
        ruler: settings.reads_time_code.then(|| ByRtp::new(host, records)),
        movie,
        probe: probe.take(),
        packets: settings.packets,
        actions: settings.actions,
        is_to_pause: false,
        sought: None,
        records: records.clone(),
        from: settings.dial.from,
        limit: settings.limit,
        script: settings.script.into_iter().collect(),
        stage: Stage::Playing,
        playing_at: None,
        watch_at: None,
        error: None,
    };
    let mut shutdown = pin!(host.shutdown_requested());
    let end = loop {
        if let Some(end) = player.step(&mut watch) {
            break end;
        }
        let until = player.next_timeout();
        let woken = {
            let Player { client, actions, stage, playing_at, .. } = &mut player;
            // An attempt to connect is given up for an end alone.
            let actions = pin!(actions.wait(playing_at.is_some()));
            let next = pin!(client.next(until));
            match stage {
                // Asked to end once more while it leaves: it leaves at once.
                Stage::Over(_) => Either::Second(Either::Second(next.await)),
                _ => select(shutdown.as_mut(), select(actions, next)).await,
            }
        };
        match woken {
            Either::First(()) => {
                shutdown.set(host.shutdown_requested());
                player.stop();
            }
            // The next step takes them.
            Either::Second(Either::First(())) => {}
            Either::Second(Either::Second(Some(happened))) => player.take(&happened),
            Either::Second(Either::Second(None)) => {}
        }
    };
    player.finish(end).await
}

struct Player {
    host: Host,
    client: Client,
    measure: Measure,
    movie: Option<MovieFile>,
    probe: Option<StreamProbe>,
    ruler: Option<ByRtp>,
    packets: Option<PacketList>,
    actions: Actions,
    /// The last that was asked for was a pause.
    is_to_pause: bool,
    /// The place that was asked for and is not answered yet.
    sought: Option<Duration>,
    records: Sink,
    /// Where the movie was asked to begin.
    from: Option<Duration>,
    limit: Option<Duration>,
    script: std::collections::VecDeque<(Duration, Action)>,
    stage: Stage,
    /// When the server first began to play.
    playing_at: Option<Instant>,
    /// The timer `watch`.
    watch_at: Option<Instant>,
    error: Option<Error>,
}

/// How far the play is.
#[derive(Clone, Debug)]
enum Stage {
    Playing,
    /// The end is known; good-byes and stragglers are waited for.
    Draining {
        until: Instant,
        end: End,
    },
    /// TEARDOWN is sent, or the connection is gone.
    Leaving {
        until: Instant,
        end: End,
    },
    Over(End),
}

/// How it ends.
#[derive(Clone, Debug)]
struct End {
    reason: EndReason,
    text: Option<String>,
}

impl End {
    fn new(reason: EndReason) -> Self {
        End { reason, text: None }
    }

    fn failed(text: impl Into<String>) -> Self {
        End { reason: EndReason::Failed, text: Some(text.into()) }
    }

    /// Whether this side ended a stream that would have gone on.
    fn is_cut(&self) -> bool {
        matches!(self.reason, EndReason::Done | EndReason::Stopped)
    }
}

impl Player {
    /// Takes in what happened.
    fn take(&mut self, happened: &Happened) {
        let now = self.host.now();
        if let (Some(list), Event::Rtp { track, data, ip_bytes }) = (&self.packets, &happened.event)
        {
            list.push(happened.at, *track, data, *ip_bytes);
        }
        self.measure.handle(now, happened);
        if let (Some(probe), Event::Described { tracks }) = (&mut self.probe, &happened.event) {
            probe.described(tracks);
        }
        if matches!(happened.event, Event::Playing { .. } | Event::Warning(_)) {
            self.sought = None;
        }
        match &happened.event {
            Event::Playing { from, .. } if self.playing_at.is_none() => {
                if let (Some(asked), None) = (self.from, from) {
                    let asked = asked.as_secs_f64();
                    let text = format!("the server plays live: it does not start at {asked} s");
                    self.records.emit(now, Warning { text: text.into() });
                }
                self.playing_at = Some(now);
                self.watch_at = Some(now + WATCH_INTERVAL);
            }
            Event::FallingBack { .. } => self.playing_at = None,
            Event::ReportDue => self.report(false),
            Event::TornDown => self.leave_within(now, GOOD_BYE_WAIT),
            Event::Rtcp { .. } if self.measure.all_said_bye() => {
                self.leave_within(now, STRAGGLER_WAIT);
            }
            Event::Closed { error } => self.closed(now, error.as_deref()),
            Event::Failed(error) => {
                self.error = Some(error.clone());
                self.stage = Stage::Over(End::failed(error.to_string()));
            }
            _ => {}
        }
    }

    /// Waits no longer than this for what is left of a session that is over.
    fn leave_within(&mut self, now: Instant, wait: Duration) {
        // Stragglers were waited for before.
        let wait = if self.measure.all_said_bye() { wait.min(STRAGGLER_WAIT) } else { wait };
        if let Stage::Leaving { until, .. } = &mut self.stage {
            *until = (*until).min(now + wait);
        }
    }

    /// Does what is due; gives the end once it has come.
    fn step(&mut self, watch: &mut impl FnMut(&Progress)) -> Option<End> {
        let now = self.host.now();
        self.measure.tick(now);
        self.keep_frames();
        if self.watch_at.is_some_and(|at| at <= now) {
            self.watch_at = Some(now + WATCH_INTERVAL);
            watch(&self.measure.progress(now));
            if let Some(ruler) = &mut self.ruler {
                ruler.second(now);
            }
            if let Some(list) = &self.packets {
                list.flush();
            }
        }
        if self.actions.take_stop() && !matches!(self.stage, Stage::Over(_)) {
            self.stop();
        }
        if !matches!(self.stage, Stage::Playing) {
            // Nothing is played any more: there is nothing to do to it.
            while self.actions.pop().is_some() {}
        }
        match self.stage.clone() {
            Stage::Playing => {
                self.act(now);
                if matches!(self.stage, Stage::Playing) {
                    self.judge(now);
                }
                None
            }
            Stage::Draining { until, end } => {
                if until <= now {
                    // By UDP a good-bye may come before the media.
                    let nothing_else = end.text.as_deref() == Some(NOTHING_BUT_GOOD_BYE);
                    let end = match nothing_else && self.measure.last_packet().is_some() {
                        true => self.end_by_bye(now),
                        false => end,
                    };
                    self.leave(end);
                }
                None
            }
            Stage::Leaving { until, end } => {
                if until <= now {
                    self.stage = Stage::Over(end);
                }
                None
            }
            Stage::Over(end) => Some(end),
        }
    }

    /// When to step although nothing happens.
    fn next_timeout(&self) -> Option<Instant> {
        let of_stage = match &self.stage {
            Stage::Playing => self.next_judgement(),
            Stage::Draining { until, .. } | Stage::Leaving { until, .. } => Some(*until),
            // Nothing is waited for any more.
            Stage::Over(_) => Some(Instant::ZERO),
        };
        [self.measure.next_timeout(), self.watch_at, of_stage].into_iter().flatten().min()
    }

    fn next_judgement(&self) -> Option<Instant> {
        let playing_at = self.playing_at?;
        let limit = self.limit.map(|limit| playing_at + limit);
        let action = self.script.front().map(|(after, _)| playing_at + *after);
        let silent = (!self.measure.is_paused()).then(|| self.silent_until(playing_at));
        [limit, action, silent].into_iter().flatten().min()
    }

    /// Gives the frames that are whole to those who want them.
    fn keep_frames(&mut self) {
        while let Some(taken) = self.measure.poll_frame() {
            if let Some(probe) = &mut self.probe {
                probe.take(&taken, &self.measure);
            }
            if let Some(ruler) = &mut self.ruler {
                ruler.take(&taken, &self.measure);
            }
            if let Some(movie) = &mut self.movie {
                movie.push(taken, &self.measure);
            }
        }
    }

    /// Does what the script and the user say.
    fn act(&mut self, now: Instant) {
        let Some(playing_at) = self.playing_at else {
            return;
        };
        while let Some((_, action)) = self.script.pop_front_if(|(at, _)| playing_at + *at <= now) {
            self.perform(now, action);
        }
        while let Some(action) = self.actions.pop() {
            self.perform(now, action);
        }
    }

    fn perform(&mut self, now: Instant, action: Action) {
        match action {
            Action::Pause if !self.is_to_pause => {
                self.is_to_pause = true;
                self.client.pause();
            }
            Action::Resume if self.is_to_pause || self.measure.is_paused() => {
                self.is_to_pause = false;
                self.client.play(None);
            }
            Action::Pause | Action::Resume => {}
            Action::Seek(to) => self.seek(now, to),
            Action::Forward(by) => self.step_by(now, |at, end| {
                // The last moments, where it would go past the end.
                let last = end.map(|end| end.saturating_sub(NEAR_END).max(at));
                (at + by).min(last.unwrap_or(Duration::MAX))
            }),
            Action::Back(by) => self.step_by(now, |at, _| at.saturating_sub(by)),
            Action::Stop => self.stop(),
        }
    }

    /// Seeks to a place that follows from the one that is played and from the movie's end.
    fn step_by(&mut self, now: Instant, to: impl Fn(Duration, Option<Duration>) -> Duration) {
        let reached = self.measure.position().map(|at| at.to_duration());
        match self.sought.or(reached) {
            Some(at) => {
                let end = self.measure.range_end().map(|end| end.to_duration());
                self.seek(now, to(at, end));
            }
            None => {
                let text = "cannot seek: the server does not say which place it plays".into();
                self.records.emit(now, Warning { text });
            }
        }
    }

    fn seek(&mut self, now: Instant, to: Duration) {
        self.is_to_pause = false;
        self.sought = Some(to);
        self.measure.seeking(now, to);
        self.client.play(Some(to));
    }

    /// Looks whether the end has come.
    fn judge(&mut self, now: Instant) {
        let Some(playing_at) = self.playing_at else {
            return;
        };
        if self.measure.all_said_bye() {
            let end = self.end_by_bye(now);
            self.stage = Stage::Draining { until: now + STRAGGLER_WAIT, end };
        } else if self.limit.is_some_and(|limit| playing_at + limit <= now) {
            let end = match self.measure.last_packet() {
                Some(_) => End::new(EndReason::Done),
                None => End::failed(self.nothing_came(playing_at, now)),
            };
            self.leave(end);
        } else if !self.measure.is_paused() && self.silent_until(playing_at) <= now {
            let end = match self.is_near_end(now) {
                true if self.measure.last_packet().is_none() => {
                    End::failed(self.nothing_came(playing_at, now))
                }
                true => {
                    self.measure.ended_without_bye(now);
                    End::new(EndReason::EndOfStream)
                }
                // The good-bye of another track was lost.
                false if self.measure.any_said_bye() => self.end_by_bye(now),
                false => End::failed(self.nothing_came(playing_at, now)),
            };
            self.stage = Stage::Draining { until: now + GOOD_BYE_WAIT, end };
        }
    }

    /// The end that a good-bye of all tracks is: of the stream, or of a server that leaves in the
    /// middle of a movie.
    fn end_by_bye(&self, now: Instant) -> End {
        if self.measure.last_packet().is_none() {
            return End::failed(NOTHING_BUT_GOOD_BYE);
        }
        let progress = self.measure.progress(now);
        let is_over = self.measure.range_ends_at().is_none_or(|at| at <= now + NEAR_END);
        match (progress.end, is_over || self.is_near_end(now)) {
            (Some(end), false) => End {
                reason: EndReason::PeerClosed,
                text: Some(format!(
                    "the server said good-bye before the end, at {:.1} s of {:.1} s",
                    progress.position.unwrap_or_default().as_secs_f64(),
                    end.as_secs_f64()
                )),
            },
            _ => End::new(EndReason::EndOfStream),
        }
    }

    fn nothing_came(&self, playing_at: Instant, now: Instant) -> String {
        let last = self.measure.last_packet();
        let for_ever = last.is_none();
        let what =
            if for_ever { "no packet of media came" } else { "no more packets of media came" };
        let hint = match (for_ever, self.client.lower()) {
            (true, weir_dial::rtsp::Lower::Udp) => "; UDP may not get through: try --transport tcp",
            _ => "",
        };
        let silent = now.since(last.unwrap_or(playing_at)).as_secs_f64();
        format!("{what} for {silent:.0} s{hint}")
    }

    /// Until when nothing need come.
    fn silent_until(&self, playing_at: Instant) -> Instant {
        let last = self.measure.last_packet().unwrap_or(playing_at);
        let at_end = last + SILENCE_AT_END_MAX;
        match self.is_near_end(at_end) || self.measure.any_said_bye() {
            true => at_end,
            false => last + SILENCE_MAX,
        }
    }

    /// Whether the range's end has come, or must have by `now`.
    fn is_near_end(&self, now: Instant) -> bool {
        let Some(end) = self.measure.range_end() else {
            return false;
        };
        let position = self.measure.position();
        let reached = position.is_some_and(|at| at + NEAR_END.into() >= end);
        reached || self.measure.range_ends_at().is_some_and(|at| at + SILENCE_AT_END_MAX <= now)
    }

    /// The server has closed the connection.
    fn closed(&mut self, now: Instant, error: Option<&str>) {
        if let Stage::Playing = self.stage {
            let text = error.unwrap_or("the server closed the connection").to_owned();
            let end = End { reason: EndReason::PeerClosed, text: Some(text) };
            self.stage = Stage::Draining { until: now + GOOD_BYE_WAIT, end };
        }
    }

    /// The user asks to end.
    fn stop(&mut self) {
        match self.stage {
            Stage::Playing => self.leave(End::new(EndReason::Stopped)),
            _ => self.stage = Stage::Over(End::new(EndReason::Stopped)),
        }
    }

    /// Says good-bye and ends the session.
    fn leave(&mut self, mut end: End) {
        // The good-bye came by UDP behind the end of the connection.
        if end.reason == EndReason::PeerClosed && self.measure.all_said_bye() {
            end = self.end_by_bye(self.host.now());
        }
        self.report(true);
        self.client.teardown();
        let until = self.host.now() + TEARDOWN_WAIT;
        self.stage = Stage::Leaving { until, end };
    }

    fn report(&mut self, last: bool) {
        let now = self.host.now();
        let tracks: Vec<u8> = self.measure.track_numbers().collect();
        for track in tracks {
            let block = self.measure.report_block(now, track);
            self.client.report(track, block, last);
        }
    }

    async fn finish(mut self, end: End) -> (Outcome, Option<StreamProbe>) {
        let now = self.host.now();
        let unlisted = self.packets.as_ref().map_or(0, PacketList::packets_dropped);
        for (what, count) in [
            ("datagrams of others than the server", self.client.foreign_datagrams()),
            ("receiver reports that could not be sent", self.client.reports_dropped()),
            ("packets that are not in the list of packets: the disk was too slow", unlisted),
            ("keys that came faster than they could be obeyed", self.actions.dropped()),
        ] {
            self.measure.note_dropped(now, what, count);
        }
        self.measure.flush(now, end.is_cut());
        self.keep_frames();
        if let Some(probe) = &mut self.probe {
            let watched = self.playing_at.map_or(Duration::ZERO, |at| now.since(at));
            probe.ended(&self.measure, self.client.lower(), watched);
        }
        if let Some(ruler) = self.ruler.take() {
            ruler.finish().await;
        }
        let movie = match self.movie.take() {
            None => None,
            Some(movie) => Some(movie.finish(&self.measure).await),
        };
        if let Some(written) = &movie {
            written.note(&self.records, now);
        }
        self.measure.finish(now, end.reason, end.text.as_deref());
        (Outcome { reason: end.reason, text: end.text, error: self.error, movie }, self.probe)
    }
}
