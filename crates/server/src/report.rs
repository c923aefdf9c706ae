//! What the server says of its viewers: records for machines, log lines for people.

use weir_media::MediaTime;
use weir_record::{Sink, event};
use weir_time::Instant;

use crate::Error;
use crate::movie::{Gap, Movie};
use crate::shard::Begun;
use crate::shard::Viewer;

pub(crate) fn viewer_joined(
    records: &Sink,
    now: Instant,
    viewer: &Viewer,
    user_agent: Option<&str>,
) {
    let transport = viewer.transport();
    tracing::info!(
        "viewer {} at {} set up {:?} over {transport}{}",
        viewer.number,
        viewer.peer,
        viewer.stream,
        user_agent.map(|agent| format!(" with {agent}")).unwrap_or_default(),
    );
    records.emit(
        now,
        event::ViewerJoined {
            viewer: viewer.number,
            stream: (&*viewer.stream).into(),
            peer: viewer.peer.to_string().into(),
            transport: transport.into(),
            user_agent: user_agent.map(Into::into),
        },
    );
}

pub(crate) fn viewer_playing(records: &Sink, now: Instant, viewer: Option<&Viewer>, begun: &Begun) {
    let Some(viewer) = viewer else { return };
    let tracks = begun.tracks.iter().map(|(track, seq, time)| event::TrackStart {
        track: *track,
        ssrc: viewer.ssrc(*track).map(|ssrc| ssrc.0),
        first_seq: Some(seq.0),
        rtp_timestamp: Some(time.0),
    });
    records.emit(
        now,
        event::ViewerPlaying {
            viewer: viewer.number,
            from_ns: begun.from.map(nanos),
            to_ns: begun.to.map(nanos),
            tracks: tracks.collect(),
        },
    );
}

/// What a slow viewer missed.
pub(crate) struct Skipped {
    pub(crate) frames: u64,
    pub(crate) from: MediaTime,
    pub(crate) to: MediaTime,
    pub(crate) stream_rate: Option<f64>,
    pub(crate) viewer_rate: Option<f64>,
}

pub(crate) fn viewer_skipped(records: &Sink, now: Instant, viewer: &Viewer, skipped: &Skipped) {
    tracing::warn!(
        "viewer {} at {} is too slow: it took {} of {:?}, which needs {}; it goes on {:.1} s \
         later, at the newest key frame",
        viewer.number,
        viewer.peer,
        rate(skipped.viewer_rate),
        viewer.stream,
        rate(skipped.stream_rate),
        (skipped.to - skipped.from).as_secs_f64(),
    );
    records.emit(
        now,
        event::ViewerSkipped {
            viewer: viewer.number,
            frames_skipped: skipped.frames,
            packets_skipped: None,
            bytes_skipped: None,
            from_pts_ns: skipped.from.as_nanos(),
            to_pts_ns: skipped.to.as_nanos(),
            stream_rate_bps: skipped.stream_rate.map(|rate| rate as u64),
            viewer_rate_bps: skipped.viewer_rate.map(|rate| rate as u64),
        },
    );
}

pub(crate) fn viewer_left(records: &Sink, now: Instant, viewer: &Viewer, reason: &str) {
    let lasted = now.since(viewer.joined);
    tracing::info!(
        "viewer {} at {} left {:?} after {:.1} s ({reason}): {} packets",
        viewer.number,
        viewer.peer,
        viewer.stream,
        lasted.as_secs_f64(),
        viewer.sent.packets,
    );
    records.emit(
        now,
        event::ViewerLeft {
            viewer: viewer.number,
            reason: reason.into(),
            packets: viewer.sent.packets,
            octets: viewer.sent.octets,
            lasted_ns: u64::try_from(lasted.as_nanos()).unwrap_or(u64::MAX),
            oversize: viewer.is_classroom().then_some(viewer.sent.oversize),
            images_dropped: viewer.is_classroom().then_some(viewer.sent.images_dropped),
        },
    );
}

pub(crate) fn file_cut_short(records: &Sink, now: Instant, text: &str) {
    tracing::error!("{text}: its connection is closed");
    records.emit(now, event::Failure { text: text.into() });
}

/// Part of a movie is left out; said once, whoever watches.
pub(crate) fn movie_damaged(records: &Sink, now: Instant, movie: &Movie, gap: &Gap) {
    let text = format!("the movie {:?}: {}", movie.name(), gap.in_words(movie.path()));
    tracing::warn!("{text}");
    records.emit(now, event::Failure { text: text.into() });
    let what = "samples of a movie that cannot be read".into();
    records.emit(now, event::Dropped { what, count: gap.samples });
}

pub(crate) fn movie_failed(
    records: &Sink,
    now: Instant,
    movie: &Movie,
    viewer: u64,
    error: &Error,
) {
    let (name, path) = (movie.name(), movie.path().display());
    let text = format!("the movie {name:?} ({path}) ends early for viewer {viewer}: {error}");
    tracing::error!("{text}");
    records.emit(now, event::Failure { text: text.into() });
}

fn rate(bits_per_second: Option<f64>) -> String {
    match bits_per_second {
        Some(rate) => format!("{:.2} Mbit/s", rate / 1e6),
        None => "an unknown rate".to_owned(),
    }
}

fn nanos(place: MediaTime) -> u64 {
    place.as_nanos().max(0) as u64
}
