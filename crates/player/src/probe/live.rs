//! What a stream is made of, by its description and by what comes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_dial::rtsp::{Lower, TrackDescription};
use weir_media::{Codec, MediaTime};
use weir_net::Host;
use weir_proto::rtsp::url::Url;
use weir_record::Sink;
use weir_record::stats::PlaySummary;

use super::gauge::Gauge;
use super::{Report, Track, codec, kind_name};
use crate::measure::{Measure, Taken};
use crate::rtsp::{Outcome, Settings, run};

/// Plays a stream as the settings say, and gives what was seen of it beside how the play ended.
/// Records go to `records`; `Seen::report` wants their summary.
pub async fn stream(host: &Host, settings: Settings, records: &Sink) -> (Outcome, Seen) {
    // It is in the settings as the user wrote it.
    let source = match Url::parse(&settings.dial.url) {
        Ok(url) => url.without_userinfo().to_string(),
        Err(_) => String::new(),
    };
    let probe = StreamProbe::default();
    let (outcome, probe) = run(host, settings, records, Some(probe), |_| {}).await;
    (outcome, Seen { source, probe: probe.unwrap_or_default() })
}

/// What was seen of a stream.
pub struct Seen {
    source: String,
    probe: StreamProbe,
}

impl Seen {
    /// Whether the server described the stream.
    pub fn is_described(&self) -> bool {
        !self.probe.tracks.is_empty()
    }

    /// What it is made of, with what the records' summary says of losses and oddities.
    pub fn report(&self, summary: &PlaySummary) -> Report {
        let probe = &self.probe;
        let tracks = probe.tracks.iter().map(|(number, seen)| {
            let mut track = seen.said.clone();
            if let Some(config) = &seen.codec {
                codec::fill(config, &mut track);
            }
            if let Some(gauge) = &seen.gauge {
                gauge.fill(&mut track);
                let total = summary.tracks.iter().find(|total| total.track == *number);
                track.packets_lost = total.and_then(|total| total.lost);
            }
            track
        });
        let rates = probe.tracks.values().filter_map(|seen| seen.gauge.as_ref());
        Report {
            source: self.source.clone(),
            format: match probe.lower {
                Some(lower) => format!("RTSP over {}", lower.name().to_uppercase()),
                None => "RTSP".to_owned(),
            },
            duration_ns: probe.duration_ns,
            watched_ns: probe.watched_ns,
            data_rate_bps: rates.map(Gauge::data_rate_bps).sum(),
            tracks: tracks.collect(),
            warnings: summary.warning_texts.iter().map(ToString::to_string).collect(),
            ..Report::default()
        }
    }
}

/// Looks at the frames of a stream as they come.
#[derive(Default)]
pub(crate) struct StreamProbe {
    tracks: BTreeMap<u8, SeenTrack>,
    lower: Option<Lower>,
    duration_ns: Option<u64>,
    watched_ns: Option<u64>,
}

/// One track: what the description says of it, and what came.
struct SeenTrack {
    said: Track,
    codec: Option<Codec>,
    /// `None` for one that cannot be read.
    gauge: Option<Gauge>,
}

impl StreamProbe {
    /// The server described the stream; again where the player changes to TCP.
    pub(crate) fn described(&mut self, tracks: &[TrackDescription]) {
        self.tracks = tracks.iter().map(|track| (track.track, SeenTrack::new(track))).collect();
    }

    /// A frame came.
    pub(crate) fn take(&mut self, taken: &Taken, measure: &Measure) {
        let Some(seen) = self.tracks.get_mut(&taken.track) else {
            return;
        };
        if let (Some(gauge), Some(rate)) = (&mut seen.gauge, measure.clock_rate_hz(taken.track)) {
            let pts = MediaTime::from_ticks(taken.unit.rtp_ticks, rate.max(1));
            gauge.push(pts, None, taken.unit.payload.len() as u64, taken.unit.key.starts());
        }
        if seen.codec.is_none() {
            seen.codec = measure.codec(taken.track);
        }
    }

    /// The play is over.
    pub(crate) fn ended(&mut self, measure: &Measure, lower: Lower, watched: Duration) {
        self.lower = Some(lower);
        self.duration_ns = measure.range_end().map(super::file::nanos);
        self.watched_ns = u64::try_from(watched.as_nanos()).ok();
        for (number, seen) in &mut self.tracks {
            if seen.codec.is_none() {
                seen.codec = measure.codec(*number);
            }
        }
    }
}

impl SeenTrack {
    fn new(track: &TrackDescription) -> Self {
        let readable = track.depacketiser.as_ref();
        let codec = readable.ok().and_then(|depacketiser| depacketiser.codec());
        let name = codec.as_ref().map_or(track.encoding.as_str(), |codec| codec.name());
        SeenTrack {
            said: Track {
                track: Some(track.track),
                kind: Some(kind_name(track.kind)),
                codec: Some(name.to_owned()),
                unreadable: track.depacketiser.as_ref().err().cloned(),
                clock_rate_hz: (track.clock_rate_hz > 0).then_some(track.clock_rate_hz),
                payload_type: Some(track.payload_type),
                ..Track::default()
            },
            gauge: readable.is_ok().then(|| Gauge::new(track.kind)),
            codec,
        }
    }
}
