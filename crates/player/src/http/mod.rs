//! Plays HLS, DASH and movie files over HTTP, and measures them.
//!
//! Renditions are fetched each on a connection of its own, up to [`BUFFER`] ahead; a playout clock
//! shows frames at their times, so that startup, stalls and latency are those of a viewer. The
//! quality is fixed: the first variant of HLS, the first representation of DASH.

mod copy;
mod load;
mod measure;
mod playout;
mod segment;
mod source;

use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use weir_dial::http::Client;
use weir_media::{Frame, Kind, MediaTime, Track, TrackId};
use weir_net::{Either, Host, select};
use weir_proto::http::url::Url;
use weir_record::Sink;
use weir_record::event::{self, EndReason, LatencyBasis};
use weir_time::Instant;

use crate::rtsp::Outcome;
use crate::ruler::Ruler;
use crate::{Action, Actions, Progress};
use copy::Copy;
use load::{Loaded, Message, Shared};
use measure::Measure;
use playout::{Playout, Shown};
use source::{Piece, Presentation};

/// What is asked of a player.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A playlist of HLS, a description of DASH, or a movie file.
    pub url: String,
    /// Where to start, of what is not live.
    pub from: Option<Duration>,
    /// How long to play; `None` for to the end.
    pub limit: Option<Duration>,
    /// A movie file to write what came to.
    pub movie: Option<PathBuf>,
    /// What to do while it plays.
    pub actions: Actions,
    /// Read the time code of the test pattern.
    pub reads_time_code: bool,
}

impl Settings {
    /// Plays what stands at `url` from its start to its end.
    pub fn new(url: impl Into<String>) -> Self {
        let actions = Actions::new();
        Settings {
            url: url.into(),
            from: None,
            limit: None,
            movie: None,
            actions,
            reads_time_code: false,
        }
    }
}

/// How much of each rendition is fetched ahead.
pub const BUFFER: Duration = Duration::from_secs(30);
/// How long nothing may come after what was there has been shown.
const STALL_MAX: Duration = Duration::from_secs(30);
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
const AGENT: &str = concat!("weir/", env!("CARGO_PKG_VERSION"));

/// Plays until the end, and writes down what happens to `records`. `watch` is told once a second
/// how far it is.
pub async fn play(
    host: &Host,
    settings: Settings,
    records: &Sink,
    mut watch: impl FnMut(&Progress),
) -> Outcome {
    let began = host.now();
    let mut measure = Measure::new(records.clone(), began);
    let transport = guessed(&settings.url);
    let connecting =
        event::Connecting { url: settings.url.as_str().into(), transport: transport.into() };
    records.emit(began, connecting);
    let opened = {
        let opening = pin!(open(host, &settings));
        let stop = pin!(settings.actions.wait(false));
        select(select(host.shutdown_requested(), stop), opening).await
    };
    let opened = match opened {
        Either::First(_) => Err((EndReason::Stopped, "stopped before it began".to_owned())),
        Either::Second(Ok(opened)) => Ok(opened),
        Either::Second(Err(text)) => Err((EndReason::Failed, text)),
    };
    let (client, presentation, copy) = match opened {
        Ok(opened) => opened,
        Err((reason, text)) => {
            let now = host.now();
            if reason == EndReason::Failed {
                records.emit(now, event::Failure { text: text.as_str().into() });
            }
            measure.finish(now, reason, Some(&text));
            return Outcome { reason, text: Some(text), error: None, movie: None };
        }
    };
    let mut player = Player::new(host, &settings, records, measure, copy, &presentation);
    if presentation.kind != transport {
        let (url, transport) = (settings.url.as_str().into(), presentation.kind.into());
        records.emit(host.now(), event::Connecting { url, transport });
    }
    player.begin(client, presentation);
    let end = player.run(&mut watch).await;
    player.finish(end).await
}

/// What an address looks like.
fn guessed(url: &str) -> &'static str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    match path.rsplit('.').next() {
        Some("m3u8") => "hls",
        Some("mpd") => "dash",
        _ => "progressive",
    }
}

async fn open(
    host: &Host,
    settings: &Settings,
) -> Result<(Client, Presentation, Option<Copy>), String> {
    let url = Url::parse(&settings.url).map_err(|error| error.to_string())?;
    let copy =
        match &settings.movie {
            None => None,
            Some(path) => Some(Copy::create(host, path).await.map_err(|error| {
                format!("cannot write the movie file {}: {error}", path.display())
            })?),
        };
    let mut client = Client::new(host, AGENT);
    let from = settings.from.map(MediaTime::from);
    let presentation = source::open(&mut client, &url, from).await.map_err(|e| e.to_string())?;
    Ok((client, presentation, copy))
}

struct Player {
    host: Host,
    records: Sink,
    shared: Rc<Shared>,
    feeds: Vec<FeedState>,
    playout: Playout<Frame>,
    measure: Measure,
    copy: Option<Copy>,
    ruler: Option<Ruler>,
    tracks: Vec<Track>,
    /// Tracks that the ruler knows.
    looked_at: Vec<usize>,
    actions: Actions,
    limit: Option<Duration>,
    is_live: bool,
    duration: Option<MediaTime>,
    playing_at: Option<Instant>,
    /// The timer `stall`.
    stalled_at: Option<Instant>,
    /// The timer `watch`.
    watch_at: Option<Instant>,
    failed: Option<String>,
    is_over: bool,
}

#[derive(Default)]
struct FeedState {
    has_come: bool,
    is_ended: bool,
}

/// How it ends.
struct End {
    reason: EndReason,
    text: Option<String>,
}

impl Player {
    fn new(
        host: &Host,
        settings: &Settings,
        records: &Sink,
        measure: Measure,
        copy: Option<Copy>,
        presentation: &Presentation,
    ) -> Self {
        let from = settings.from.filter(|_| !presentation.is_live).map(MediaTime::from);
        Player {
            host: host.clone(),
            records: records.clone(),
            shared: Shared::new(presentation.feeds.len()),
            feeds: presentation.feeds.iter().map(|_| FeedState::default()).collect(),
            playout: Playout::new(from),
            measure,
            copy,
            ruler: settings.reads_time_code.then(|| Ruler::new(host, records, LatencyBasis::Shown)),
            tracks: Vec::new(),
            looked_at: Vec::new(),
            actions: settings.actions.clone(),
            limit: settings.limit,
            is_live: presentation.is_live,
            duration: presentation.duration,
            playing_at: None,
            stalled_at: None,
            watch_at: Some(host.now() + WATCH_INTERVAL),
            failed: None,
            is_over: false,
        }
    }

    /// Says what was found, and starts to fetch it.
    fn begin(&mut self, client: Client, presentation: Presentation) {
        let now = self.host.now();
        let times = presentation.times;
        if let Some(connected_in) = times.connected_in {
            let after_ns = measure::nanos(connected_in);
            let peer = Some(times.peer.to_string().into());
            self.records.emit(now, event::Connected { after_ns, peer });
        }
        for text in presentation.warnings {
            self.warn(now, &text);
        }
        let to_ns = presentation.duration.map(|to| measure::nanos(to.to_duration()));
        let playing = event::Playing { from_ns: None, to_ns, tracks: Vec::new() };
        self.records.emit(now, playing);
        let mut first = Some(client);
        for (number, feed) in presentation.feeds.into_iter().enumerate() {
            let client = first.take().unwrap_or_else(|| Client::new(&self.host, AGENT));
            let shared = Rc::clone(&self.shared);
            self.host.spawn(load::load(self.host.clone(), client, feed, shared, number));
        }
        self.ask_for_more(now);
    }

    async fn run(&mut self, watch: &mut impl FnMut(&Progress)) -> End {
        let host = self.host.clone();
        let mut shutdown = pin!(host.shutdown_requested());
        let mut keys = Vec::new();
        loop {
            let now = self.host.now();
            while let Some(message) = self.shared.take() {
                self.take(now, message);
            }
            if let Some(end) = self.step(now, watch) {
                return end;
            }
            let shared = Rc::clone(&self.shared);
            keys.clear();
            let until = self.next_timeout();
            let timer = async {
                match until {
                    Some(at) => self.host.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let came = select(shared.bell.rung(&mut keys), timer);
            let woken = select(shutdown.as_mut(), select(self.actions.wait(true), came)).await;
            if matches!(woken, Either::First(())) {
                return End { reason: EndReason::Stopped, text: None };
            }
        }
    }

    fn take(&mut self, now: Instant, message: Message) {
        let current = self.shared.demands.get(message.feed).map(load::Demand::generation);
        if current != Some(message.generation) {
            return self.ask_for_more(now);
        }
        match message.what {
            Loaded::Piece(piece) => self.piece(now, message.feed, *piece),
            Loaded::Warning(text) => self.warn(now, &text),
            Loaded::Failed(text) => self.failed = Some(text),
            Loaded::Ended => {
                if let Some(feed) = self.feeds.get_mut(message.feed) {
                    feed.is_ended = true;
                    feed.has_come = true;
                }
                for place in 0..TRACKS_MAX {
                    if let Some(track) = self.measure.track(message.feed, place) {
                        self.playout.ended(track);
                    }
                }
            }
        }
        self.ask_for_more(now);
    }

    fn piece(&mut self, now: Instant, feed: usize, piece: Piece) {
        let is_first =
            self.feeds.get_mut(feed).is_some_and(|f| !std::mem::replace(&mut f.has_come, true));
        if is_first {
            for (place, track) in piece.tracks.iter().enumerate().take(TRACKS_MAX) {
                self.measure.add_track(now, feed, place, track);
                self.playout.add_track();
                let id = TrackId(u8::try_from(self.tracks.len()).unwrap_or(u8::MAX));
                self.tracks.push(Track { id, ..track.clone() });
            }
        }
        self.measure.piece(feed, &piece);
        for frame in piece.frames {
            let place = piece.tracks.iter().position(|track| track.id == frame.track);
            let track = place.and_then(|place| self.measure.track(feed, place));
            let Some(track) = track else { continue };
            self.measure.frame(track, &frame);
            self.look(track, place.and_then(|place| piece.tracks.get(place)), &frame);
            if let Some(copy) = &mut self.copy {
                copy.push_of(track, &frame);
            }
            // Decoded, and not shown.
            if frame.pts >= MediaTime::ZERO || self.is_live {
                let end = frame.pts + frame.duration.unwrap_or_default();
                self.playout.push(track, frame.pts, end, frame);
            }
        }
        if is_first && self.feeds.iter().all(|feed| feed.has_come) {
            let tracks = self.tracks.clone();
            if let Some(copy) = &mut self.copy {
                copy.begin(&tracks);
            }
        }
    }

    /// Shows a frame to the ruler, and its track where that is new or has changed.
    fn look(&mut self, number: usize, track: Option<&Track>, frame: &Frame) {
        let (Some(ruler), Some(track)) = (&self.ruler, track) else {
            return;
        };
        let Some(known) = self.tracks.get_mut(number) else {
            return;
        };
        if !self.looked_at.contains(&number) || known.codec != track.codec {
            known.codec = track.codec.clone();
            self.looked_at.push(number);
            ruler.track(number, track);
        }
        ruler.frame(number, track.codec.kind(), frame);
    }

    /// Does what is due; gives the end once it has come.
    fn step(&mut self, now: Instant, watch: &mut impl FnMut(&Progress)) -> Option<End> {
        if self.actions.take_stop() {
            return Some(End { reason: EndReason::Stopped, text: None });
        }
        while let Some(action) = self.actions.pop() {
            self.act(now, action);
        }
        // Every track is to be known before the clock starts.
        if self.feeds.iter().all(|feed| feed.has_come) {
            while let Some(shown) = self.playout.poll(now) {
                self.shown(now, shown);
            }
        }
        let playout = &self.playout;
        self.measure.tick(now, |track| playout.buffer(track, now));
        self.ask_for_more(now);
        if self.watch_at.is_some_and(|at| at <= now) {
            self.watch_at = Some(now + WATCH_INTERVAL);
            if let Some(ruler) = &self.ruler {
                ruler.second(now, WATCH_INTERVAL);
            }
            let position = self.playout.position(now);
            watch(&self.measure.progress(now, position, self.duration));
        }
        self.judge(now)
    }

    fn judge(&mut self, now: Instant) -> Option<End> {
        let is_dry = self.stalled_at.is_some() || !self.measure.has_shown();
        if let Some(text) = self.failed.take_if(|_| is_dry || self.is_over) {
            return Some(End { reason: EndReason::Failed, text: Some(text) });
        }
        if self.is_over {
            return Some(End { reason: EndReason::EndOfStream, text: None });
        }
        let is_done = |limit: Duration| self.playing_at.is_some_and(|at| at + limit <= now);
        if self.limit.is_some_and(is_done) {
            return Some(End { reason: EndReason::Done, text: None });
        }
        if self.stalled_at.is_some_and(|at| at + STALL_MAX <= now) {
            let text = format!("nothing more came for {} s", STALL_MAX.as_secs());
            return Some(End { reason: EndReason::Failed, text: Some(text) });
        }
        None
    }

    fn next_timeout(&self) -> Option<Instant> {
        let limit = self.limit.zip(self.playing_at).map(|(limit, at)| at + limit);
        let stall = self.stalled_at.map(|at| at + STALL_MAX);
        [self.playout.next_timeout(), self.measure.second_at, self.watch_at, limit, stall]
            .into_iter()
            .flatten()
            .min()
    }

    fn shown(&mut self, now: Instant, shown: Shown<Frame>) {
        match shown {
            Shown::Started { position } => {
                self.playing_at.get_or_insert(now);
                self.stalled_at = None;
                self.measure.started(now, position);
            }
            Shown::Frame { track, pts, at, .. } => {
                self.measure.shown(track);
                let is_video = self.tracks.get(track).is_some_and(is_video);
                if let Some(ruler) = self.ruler.as_ref().filter(|_| is_video) {
                    ruler.shown(pts, at);
                }
            }
            Shown::Stalled { position } => {
                self.stalled_at = Some(now);
                let position_ns = position.as_nanos();
                self.records.emit(now, event::Stalled { position_ns });
            }
            Shown::Resumed { stalled } => {
                self.stalled_at = None;
                self.records.emit(now, event::Resumed { stalled_ns: measure::nanos(stalled) });
            }
            Shown::Over => self.is_over = true,
        }
    }

    fn act(&mut self, now: Instant, action: Action) {
        let position = self.playout.position(now);
        let at = position.unwrap_or_default().to_duration();
        match action {
            Action::Pause if !self.playout.is_paused() && position.is_some() => {
                self.playout.pause(now);
                let position_ns = Some(measure::nanos(at));
                self.records.emit(now, event::Paused { position_ns });
            }
            Action::Resume => self.playout.resume(now),
            Action::Seek(to) => self.seek(now, to),
            Action::Forward(by) => self.seek(now, at.saturating_add(by)),
            Action::Back(by) => self.seek(now, at.saturating_sub(by)),
            Action::Pause | Action::Stop => {}
        }
    }

    fn seek(&mut self, now: Instant, to: Duration) {
        if self.is_live {
            return self.warn(now, "a live stream has no other place to go to");
        }
        let last = self.duration.map(|end| end.to_duration().saturating_sub(LAST));
        let to = to.min(last.unwrap_or(Duration::MAX));
        self.records.emit(now, event::Seeking { to_ns: measure::nanos(to) });
        self.playout.seek(to.into());
        self.stalled_at = None;
        for (feed, demand) in self.feeds.iter_mut().zip(&self.shared.demands) {
            feed.is_ended = false;
            demand.seek(to.into());
        }
        self.ask_for_more(now);
    }

    /// Asks each loader for one piece more whose tracks are not far enough ahead.
    fn ask_for_more(&mut self, now: Instant) {
        for (number, (feed, demand)) in self.feeds.iter().zip(&self.shared.demands).enumerate() {
            let is_ahead = |place: usize| {
                let track = self.measure.track(number, place)?;
                Some(self.playout.buffer(track, now).is_some_and(|ahead| ahead >= BUFFER))
            };
            let mut tracks = (0..TRACKS_MAX).map_while(is_ahead).peekable();
            let is_far = tracks.peek().is_some() && tracks.all(|is| is);
            if !feed.is_ended && !is_far {
                demand.want();
            }
        }
    }

    fn warn(&self, now: Instant, text: &str) {
        self.records.emit(now, event::Warning { text: text.into() });
    }

    async fn finish(mut self, end: End) -> Outcome {
        self.shared.demands.iter().for_each(load::Demand::finish);
        let now = self.host.now();
        if let Some(ruler) = self.ruler.take() {
            ruler.finish().await;
        }
        let movie = match self.copy.take() {
            None => None,
            Some(copy) => Some(copy.finish().await),
        };
        if let Some(why) = movie.as_ref().and_then(|movie| movie.failed.as_ref()) {
            let text = format!("the movie file is not whole: {why}").into();
            self.records.emit(now, event::Failure { text });
        }
        if let (EndReason::Failed, Some(text)) = (end.reason, &end.text) {
            self.records.emit(now, event::Failure { text: text.as_str().into() });
        }
        self.measure.finish(now, end.reason, end.text.as_deref());
        Outcome { reason: end.reason, text: end.text, error: None, movie }
    }
}

fn is_video(track: &Track) -> bool {
    track.codec.kind() == Kind::Video
}

/// Tracks of one feed.
const TRACKS_MAX: usize = 8;
/// How near the end a seek goes at most.
const LAST: Duration = Duration::from_secs(1);
