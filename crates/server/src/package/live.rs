//! Live streams: playlists and descriptions of the segments that are there.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use weir_media::{Frame, MediaTime, Track};
use weir_net::Host;
use weir_proto::{dash, hls};
use weir_time::{Instant, Utc};

use super::movie::{channels, content, size};
use super::segmenter::{Lane, Segment, Segmenter};
use super::{Place, Refusal, Resource, init_name, playlist, segment_type};
use crate::live::Live;

/// The segments of a live stream, and who waits for the first.
pub(crate) struct Package {
    state: Mutex<State>,
    /// A moment on both clocks of a host, as it was when somebody first asked.
    since: OnceLock<(Instant, Utc)>,
}

struct State {
    segmenter: Segmenter,
    /// Those who wait, by numbers of their own.
    waiting: BTreeMap<u64, Waker>,
    waits: u64,
}

impl Package {
    /// Of a stream with these tracks. Goes on where `before` has ended, of the same name.
    pub(crate) fn new(tracks: &[Track], before: Option<&Package>) -> Package {
        let segmenter = match before {
            Some(before) => Segmenter::new(tracks, Some(&before.lock().segmenter)),
            None => Segmenter::new(tracks, None),
        };
        let since = before.map_or_else(OnceLock::new, |before| before.since.clone());
        Package {
            state: Mutex::new(State { segmenter, waiting: BTreeMap::new(), waits: 0 }),
            since,
        }
    }

    /// Takes frames, in order of decoding.
    pub(crate) fn push(&self, frames: &[Frame], now: Instant) {
        let mut state = self.lock();
        let mut closed = false;
        for frame in frames {
            closed |= state.segmenter.push(frame, now);
        }
        if closed {
            state.wake();
        }
    }

    /// The parameter sets of a track are others from the next frame on.
    pub(crate) fn change(&self, track: &Track) {
        self.lock().segmenter.change(track);
    }

    /// The stream has ended.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.segmenter.end();
        state.wake();
    }

    /// Whether somebody asked for a playlist.
    pub(crate) fn is_watched(&self) -> bool {
        self.lock().segmenter.is_watched()
    }

    /// Waits until `ready` says so of the segments, or the stream has ended, or too long.
    async fn wait(&self, host: &Host, ready: impl Fn(&Segmenter) -> bool) {
        let number = {
            let mut state = self.lock();
            state.waits += 1;
            state.waits
        };
        let _leave = Waiting { package: self, number };
        let come = poll_fn(|cx| {
            let mut state = self.lock();
            if ready(&state.segmenter) || state.segmenter.ended {
                return Poll::Ready(());
            }
            state.waiting.insert(number, cx.waker().clone());
            Poll::Pending
        });
        weir_net::timeout(host, WAIT_MAX, come).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        std::mem::take(&mut self.waiting).into_values().for_each(Waker::wake);
    }
}

/// Somebody who waits; nobody any more once this is dropped.
struct Waiting<'a> {
    package: &'a Package,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.package.lock().waiting.remove(&self.number);
    }
}

pub(super) async fn resource(
    host: &Host,
    live: &Arc<Live>,
    place: Place<'_>,
    session: String,
) -> Result<Resource, Refusal> {
    let package = live.package();
    let since = *package.since.get_or_init(|| (host.now(), host.utc()));
    if package.lock().segmenter.lanes.is_empty() {
        let left_out = package.lock().segmenter.left_out.join("; ");
        return Err(Refusal::NotCarried(left_out));
    }
    match place {
        Place::Multivariant | Place::Mpd => {
            package.wait(host, has_all).await;
            let mut state = package.lock();
            let State { segmenter, .. } = &mut *state;
            if segmenter.lanes.first().is_none_or(|main| main.segments.is_empty()) {
                return Err(Refusal::NotFound);
            }
            let target_s = segmenter.settle_target_duration_s();
            if place == Place::Multivariant {
                let text = multivariant(segmenter, &session).write();
                return Ok(playlist(hls::CONTENT_TYPE, text, None));
            }
            let text = mpd(segmenter, target_s, since, host.utc(), &session).write();
            Ok(playlist(dash::CONTENT_TYPE, text, None))
        }
        Place::Playlist(folder) => {
            if package.lock().segmenter.lane(folder).is_none() {
                return Err(Refusal::NotFound);
            }
            let has_one = |segmenter: &Segmenter| {
                segmenter.lane(folder).is_some_and(|lane| !lane.segments.is_empty())
            };
            package.wait(host, has_one).await;
            let mut state = package.lock();
            let target_s = state.segmenter.settle_target_duration_s();
            let lane = state.segmenter.lane(folder).filter(|lane| !lane.segments.is_empty());
            let lane = lane.ok_or(Refusal::NotFound)?;
            let text = media(lane, target_s, state.segmenter.ended, since, &session).write();
            Ok(playlist(hls::CONTENT_TYPE, text, None))
        }
        Place::Init(folder, number) => {
            let state = package.lock();
            let lane = state.segmenter.lane(folder).ok_or(Refusal::NotFound)?;
            let init = lane.init(number).ok_or(Refusal::NotFound)?;
            Ok(kept(lane, vec![init]))
        }
        Place::Segment(folder, number) => {
            let state = package.lock();
            let lane = state.segmenter.lane(folder).ok_or(Refusal::NotFound)?;
            let segment = lane.segment(number).ok_or(Refusal::NotFound)?;
            Ok(kept(lane, segment.pieces.clone()))
        }
    }
}

/// Whether every track has a segment; one that brings nothing is not waited for for ever.
fn has_all(segmenter: &Segmenter) -> bool {
    let main = segmenter.lanes.first().map_or(0, |main| main.segments.len());
    main > 1 || (main > 0 && segmenter.lanes.iter().all(|lane| !lane.segments.is_empty()))
}

fn kept(lane: &Lane, body: Vec<bytes::Bytes>) -> Resource {
    let content_type = segment_type(&lane.track);
    Resource { content_type, max_age_s: Some(MAX_AGE_S), etag: None, body }
}

/// How long a client waits for the first segment: three of a stream whose key frames are 4 s
/// apart, or one where they are 10 s apart.
const WAIT_MAX: Duration = Duration::from_secs(12);
/// About as long as a segment is in a playlist.
const MAX_AGE_S: u32 = 20;

// --- Playlists

const SOUND_GROUP: &str = "sound";

fn multivariant(segmenter: &Segmenter, session: &str) -> hls::Multivariant {
    let lanes: Vec<&Lane> =
        segmenter.lanes.iter().filter(|lane| !lane.segments.is_empty()).collect();
    let uri = |lane: &Lane| format!("{}/index.m3u8{session}", lane.folder);
    let has_pictures = lanes.first().is_some_and(|main| size(&main.track).is_some());
    let independent_segments =
        lanes.iter().all(|lane| lane.segments.iter().all(|segment| segment.independent));
    if !has_pictures {
        let variants = lanes.iter().map(|lane| variant(lane, &[], uri(lane))).collect();
        return hls::Multivariant { independent_segments, sounds: Vec::new(), variants };
    }
    let (main, sounds) = lanes.split_at(1);
    let renditions = sounds.iter().enumerate().map(|(number, lane)| hls::Rendition {
        group: SOUND_GROUP.to_owned(),
        name: format!("Sound {}", number + 1),
        is_default: number == 0,
        channels: channels(&lane.track),
        uri: uri(lane),
    });
    let variants = main.iter().map(|main| variant(main, sounds, uri(main))).collect();
    hls::Multivariant { independent_segments, sounds: renditions.collect(), variants }
}

fn variant(main: &Lane, sounds: &[&Lane], uri: String) -> hls::Variant {
    let mut codecs = vec![main.codecs.clone()];
    for sound in sounds {
        if !codecs.contains(&sound.codecs) {
            codecs.push(sound.codecs.clone());
        }
    }
    let (peak, average) = main.bit_rates();
    let rates = sounds.iter().map(|sound| sound.bit_rates());
    let (sound_peak, sound_average) =
        rates.fold((0, 0), |most, rate| (most.0.max(rate.0), most.1.max(rate.1)));
    hls::Variant {
        uri,
        bandwidth_bps: (peak + sound_peak).max(1),
        average_bandwidth_bps: Some((average + sound_average).max(1)),
        codecs,
        resolution: size(&main.track),
        frame_rate: main.frame_rate(),
        sound_group: (!sounds.is_empty()).then(|| SOUND_GROUP.to_owned()),
    }
}

fn media(
    lane: &Lane,
    target_s: u64,
    ended: bool,
    since: (Instant, Utc),
    session: &str,
) -> hls::Media {
    let rate_hz = lane.rate_hz();
    let first = lane.window().next();
    let mut before = None;
    let segments = lane.window().map(|segment| {
        let discontinuity = before.is_some_and(|before| before != segment.epoch.number);
        before = Some(segment.epoch.number);
        hls::Segment {
            uri: format!("{}.m4s{session}", segment.number),
            map_uri: format!("{}{session}", init_name(segment.init)),
            duration: segment.span(rate_hz),
            discontinuity,
            program_date_time: Some(segment.anchor.to_utc(segment.start(rate_hz), since)),
        }
    });
    hls::Media {
        kind: hls::MediaKind::Live,
        target_duration_s: Some(target_s),
        media_sequence: first.map_or(1, |segment| segment.number),
        discontinuity_sequence: first.map_or(0, |segment| segment.epoch.number),
        independent_segments: lane.window().all(|segment| segment.independent),
        segments: segments.collect(),
        ended,
    }
}

fn mpd(
    segmenter: &Segmenter,
    target_s: u64,
    since: (Instant, Utc),
    now: Utc,
    session: &str,
) -> dash::Mpd {
    let target = MediaTime::from_nanos(i64::try_from(target_s).unwrap_or(1) * 1_000_000_000);
    let lanes = &segmenter.lanes;
    let spans = lanes.iter().map(|lane| {
        lane.window()
            .map(|segment| segment.span(lane.rate_hz()))
            .fold(MediaTime::ZERO, |sum, span| sum + span)
    });
    // A period for each stretch between discontinuities.
    let mut epochs: Vec<_> = lanes.iter().flat_map(Lane::window).map(|each| each.epoch).collect();
    epochs.sort_by_key(|epoch| epoch.number);
    epochs.dedup_by_key(|epoch| epoch.number);
    let periods = epochs.iter().map(|epoch| dash::Period {
        id: epoch.number,
        start: epoch.start,
        representations: lanes
            .iter()
            .filter_map(|lane| representation(lane, epoch.number, session))
            .collect(),
    });
    let begun = segmenter.begun.map(|anchor| anchor.to_utc(MediaTime::ZERO, since));
    let longest = spans.max().unwrap_or(target);
    let ends = lanes.iter().filter_map(|lane| {
        let last = lane.segments.back()?;
        Some(last.start(lane.rate_hz()) + last.span(lane.rate_hz()))
    });
    dash::Mpd {
        duration: if segmenter.ended { ends.max() } else { None },
        live: Some(dash::Live {
            availability_start: begun.unwrap_or(now),
            window: longest,
            update_period: (!segmenter.ended).then_some(target),
            now,
        }),
        segment_max: target,
        buffer_min: target,
        periods: periods.collect(),
    }
}

/// The segments of a track in one period; `None` if there are none.
fn representation(lane: &Lane, epoch: u64, session: &str) -> Option<dash::Representation> {
    let all: Vec<&Segment> = lane.window().filter(|each| each.epoch.number == epoch).collect();
    let first = all.first()?;
    let independent = all.iter().all(|segment| segment.independent);
    let Lane { folder, .. } = lane;
    let start_ticks = first.epoch.start.to_ticks(lane.rate_hz());
    let runs = all.iter().enumerate().map(|(number, segment)| {
        // As long as until the next, for rounding may part them by a tick.
        let next = all.get(number + 1).map(|next| next.start_ticks);
        let until_next = next.and_then(|next| next.checked_sub(segment.start_ticks));
        let near = until_next.filter(|ticks| ticks.abs_diff(segment.ticks) <= 1);
        dash::Run { start_ticks: segment.start_ticks, ticks: near.unwrap_or(segment.ticks) }
    });
    Some(dash::Representation {
        id: folder.clone(),
        codecs: lane.codecs.clone(),
        bandwidth_bps: lane.bit_rates().0,
        content: content(&lane.track, lane.frame_rate()),
        starts_with_sap: independent.then_some(1),
        init_uri: format!("{folder}/{}{session}", init_name(first.init)),
        media_uri: format!("{folder}/$Number$.m4s{session}"),
        timeline: dash::Timeline {
            rate_hz: lane.rate_hz(),
            offset_ticks: u64::try_from(start_ticks).unwrap_or(0),
            first_number: first.number,
            runs: runs.collect(),
        },
    })
}
