//! Plays a movie in the classroom dialect and measures it.
//!
//! The dialect has no description, no RTCP and no end but silence; each datagram is a whole
//! image. What is measured follows from that: frames, bytes and loss by the frames' numbers, and
//! jitter by arrivals against one frame each 50 ms, in a field of its own
//! (`jitter_against_50ms_ns`).

mod file;
mod measure;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use weir_dial::classroom::{Client, Error, Event, Happened};
use weir_net::{Either, Host, select};
use weir_record::Sink;
use weir_record::event::{EndReason, Failure};
use weir_time::Instant;

use crate::rtsp::{Outcome, SILENCE_AT_END_MAX, SILENCE_MAX};
use crate::{Action, Actions, Progress};
use file::MjpegFile;
pub use measure::Measure;

/// What is asked of a player.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which movie, and how.
    pub dial: weir_dial::classroom::Settings,
    /// How long to play; `None` for to the end.
    pub limit: Option<Duration>,
    /// A classroom MJPEG file to write the images to: each behind its length in five digits.
    pub movie: Option<PathBuf>,
    /// What to do when so long has been played, in the order of the times. There is no seeking.
    pub script: Vec<(Duration, Action)>,
    /// What the user does while it is played.
    pub actions: Actions,
}

impl Settings {
    /// Plays the movie at `url` from its start to its end.
    pub fn new(url: impl Into<String>) -> Self {
        Settings {
            dial: weir_dial::classroom::Settings::new(url),
            limit: None,
            movie: None,
            script: Vec::new(),
            actions: Actions::new(),
        }
    }
}

/// How long images may come behind the reply to TEARDOWN.
const STRAGGLER_WAIT: Duration = Duration::from_millis(100);
/// How long the reply to TEARDOWN is waited for.
const TEARDOWN_WAIT: Duration = Duration::from_secs(2);
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Plays a movie until it ends, and writes down what happens to `records`. `watch` is told once a
/// second how far it is.
pub async fn play(
    host: &Host,
    settings: Settings,
    records: &Sink,
    mut watch: impl FnMut(&Progress),
) -> Outcome {
    let mut player = match Player::new(host, settings, records).await {
        Ok(player) => player,
        Err(text) => return not_begun(host, records, text),
    };
    let mut shutdown = pin!(host.shutdown_requested());
    let end = loop {
        if let Some(end) = player.step(&mut watch).await {
            break end;
        }
        let until = player.next_timeout();
        let woken = {
            let Player { client, actions, playing_at, .. } = &mut player;
            let actions = pin!(actions.wait(playing_at.is_some()));
            let next = pin!(client.next(until));
            select(shutdown.as_mut(), select(actions, next)).await
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

fn not_begun(host: &Host, records: &Sink, text: String) -> Outcome {
    let now = host.now();
    records.emit(now, Failure { text: text.as_str().into() });
    Measure::new(records.clone()).finish(now, EndReason::Failed, Some(&text));
    Outcome { reason: EndReason::Failed, text: Some(text), error: None, movie: None }
}

struct Player {
    host: Host,
    client: Client,
    measure: Measure,
    movie: Option<MjpegFile>,
    limit: Option<Duration>,
    script: VecDeque<(Duration, Action)>,
    actions: Actions,
    stage: Stage,
    /// When the server first began to play.
    playing_at: Option<Instant>,
    /// The timer `watch`.
    watch_at: Option<Instant>,
}

#[derive(Clone, Debug)]
enum Stage {
    Playing,
    /// TEARDOWN is sent, or the connection is gone; stragglers are waited for.
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
    fn new(reason: EndReason, text: Option<String>) -> Self {
        End { reason, text }
    }
}

impl Player {
    async fn new(host: &Host, settings: Settings, records: &Sink) -> Result<Self, String> {
        let client = Client::new(host, settings.dial).map_err(|error| error.to_string())?;
        let movie = match &settings.movie {
            None => None,
            Some(path) => Some(MjpegFile::create(host, path).await.map_err(|error| {
                format!("cannot write the movie file {}: {error}", path.display())
            })?),
        };
        Ok(Player {
            host: host.clone(),
            client,
            measure: Measure::new(records.clone()),
            movie,
            limit: settings.limit,
            script: settings.script.into(),
            actions: settings.actions,
            stage: Stage::Playing,
            playing_at: None,
            watch_at: None,
        })
    }

    /// Takes in what happened.
    fn take(&mut self, happened: &Happened) {
        let now = self.host.now();
        self.measure.handle(now, happened);
        match &happened.event {
            Event::Playing if self.playing_at.is_none() => {
                self.playing_at = Some(now);
                self.watch_at = Some(now + WATCH_INTERVAL);
            }
            Event::TornDown { answered } => {
                if let Stage::Leaving { until, .. } = &mut self.stage {
                    *until = (*until).min(now + STRAGGLER_WAIT);
                }
                if !answered {
                    self.measure.warn(now, "the server did not answer TEARDOWN");
                }
            }
            Event::Closed { error } => {
                if let Stage::Playing = self.stage {
                    let text = error.as_deref().unwrap_or("the server closed the connection");
                    let end = End::new(EndReason::PeerClosed, Some(text.to_owned()));
                    self.stage = Stage::Leaving { until: now + STRAGGLER_WAIT, end };
                }
            }
            Event::Failed(error) => {
                let text = explained(error);
                self.stage = Stage::Over(End::new(EndReason::Failed, Some(text)));
            }
            _ => {}
        }
    }

    /// Does what is due; gives the end once it has come.
    async fn step(&mut self, watch: &mut impl FnMut(&Progress)) -> Option<End> {
        let now = self.host.now();
        self.measure.tick(now);
        while let Some(image) = self.measure.poll_image() {
            if let Some(movie) = &mut self.movie {
                movie.push(&image);
            }
        }
        if let Some(movie) = &mut self.movie {
            movie.flush(&self.host, false).await;
        }
        if self.watch_at.is_some_and(|at| at <= now) {
            self.watch_at = Some(now + WATCH_INTERVAL);
            let played = self.playing_at.map_or(Duration::ZERO, |at| now.since(at));
            watch(&self.measure.progress(played));
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
                self.judge(now);
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
            Stage::Playing => self.playing_at.and_then(|at| self.next_judgement(at)),
            Stage::Leaving { until, .. } => Some(*until),
            Stage::Over(_) => Some(Instant::ZERO),
        };
        [self.measure.next_timeout(), self.watch_at, of_stage].into_iter().flatten().min()
    }

    fn next_judgement(&self, playing_at: Instant) -> Option<Instant> {
        let limit = self.limit.map(|limit| playing_at + limit);
        let action = self.script.front().map(|(after, _)| playing_at + *after);
        let silent = (!self.measure.is_paused()).then(|| self.silent_until());
        [limit, action, silent.flatten()].into_iter().flatten().min()
    }

    /// Does what the script and the user say.
    fn act(&mut self, now: Instant) {
        let Some(playing_at) = self.playing_at else {
            return;
        };
        while let Some((_, action)) = self.script.pop_front_if(|(at, _)| playing_at + *at <= now) {
            self.obey(now, action);
        }
        while let Some(action) = self.actions.pop() {
            self.obey(now, action);
        }
    }

    fn obey(&mut self, now: Instant, action: Action) {
        match action {
            Action::Pause => self.client.pause(),
            Action::Resume => self.client.play(),
            Action::Stop => self.stop(),
            Action::Seek(_) | Action::Forward(_) | Action::Back(_) => {
                self.measure.warn(now, "the classroom dialect cannot seek");
            }
        }
    }

    /// Looks whether the end has come.
    fn judge(&mut self, now: Instant) {
        let Some(playing_at) = self.playing_at else {
            return;
        };
        let has_come = self.measure.last_packet().is_some();
        if self.limit.is_some_and(|limit| playing_at + limit <= now) {
            let end = match has_come {
                true => End::new(EndReason::Done, None),
                false => End::new(EndReason::Failed, Some(NOTHING_CAME.to_owned())),
            };
            self.leave(end);
        } else if !self.measure.is_paused() && self.silent_until().is_some_and(|at| at <= now) {
            let end = match has_come {
                true => End::new(EndReason::EndOfStream, Some(SILENT.to_owned())),
                false => End::new(EndReason::Failed, Some(NOTHING_CAME.to_owned())),
            };
            self.leave(end);
        }
    }

    /// Until when nothing need come.
    fn silent_until(&self) -> Option<Instant> {
        let begun = self.measure.playing_since()?;
        let at_end = self.measure.last_packet().map(|last| last.max(begun) + SILENCE_AT_END_MAX);
        Some(at_end.unwrap_or(begun + SILENCE_MAX))
    }

    /// The user asks to end.
    fn stop(&mut self) {
        let end = End::new(EndReason::Stopped, None);
        match self.stage {
            Stage::Playing => self.leave(end),
            // Asked once more: at once.
            _ => self.stage = Stage::Over(end),
        }
    }

    /// Ends the session.
    fn leave(&mut self, end: End) {
        self.client.teardown();
        self.stage = Stage::Leaving { until: self.host.now() + TEARDOWN_WAIT, end };
    }

    async fn finish(mut self, end: End) -> Outcome {
        let now = self.host.now();
        for (what, count) in [
            ("datagrams of others than the server", self.client.foreign_datagrams()),
            ("lines of the server that belong to no reply", self.client.stray_lines()),
        ] {
            self.measure.note_dropped(now, what, count);
        }
        self.measure.flush(now);
        let movie = match self.movie.take() {
            None => None,
            Some(mut movie) => {
                while let Some(image) = self.measure.poll_image() {
                    movie.push(&image);
                }
                movie.flush(&self.host, true).await;
                Some(movie.written())
            }
        };
        if let Some(why) = movie.as_ref().and_then(|movie| movie.failed.as_ref()) {
            self.measure.fail(now, &format!("the movie file is not whole: {why}"));
        }
        self.measure.finish(now, end.reason, end.text.as_deref());
        Outcome { reason: end.reason, text: end.text, error: None, movie }
    }
}

const SILENT: &str =
    "no image came for 2 s: the end of the movie, as far as this dialect tells one";
const NOTHING_CAME: &str = "no image came: UDP may not get through, and this dialect has no other";

/// An error with what may help.
fn explained(error: &Error) -> String {
    match error {
        Error::Connect { source, .. } if source.kind() == std::io::ErrorKind::ConnectionRefused => {
            format!("{error}: is the server running, and is this its port for RTSP?")
        }
        _ => error.to_string(),
    }
}
