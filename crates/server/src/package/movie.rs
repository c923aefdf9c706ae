//! Movies: playlists and descriptions of their table of segments, and segments read when somebody
//! asks for one.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use weir_media::movie::Sample;
use weir_media::mp4::segment;
use weir_media::{Codec, Frame, Kind, MediaTime, Track};
use weir_net::Host;
use weir_proto::{dash, hls};

use super::table::{Rendition, Segment, Starts, Table};
use super::{Packed, Place, Refusal, Resource, playlist, segment_type};
use crate::hub::Hub;
use crate::movie::{Movie, Readable};

/// Segments and playlists stay as they are until the file is replaced: this long nobody asks.
const MAX_AGE_S: u32 = 60;

pub(super) async fn resource(
    hub: &Arc<Hub>,
    host: &Host,
    movie: &Arc<Movie>,
    place: Place<'_>,
    session: String,
) -> Result<Resource, Refusal> {
    let table = table(host, movie).await;
    if table.renditions.is_empty() {
        return Err(Refusal::NotCarried(nothing_carried(&table.left_out)));
    }
    let etag = |what: &str| Some(format!("\"{:016x}-{what}\"", movie.identity()));
    let in_folder = |folder: &str| table.by_folder(folder).ok_or(Refusal::NotFound);
    match place {
        Place::Multivariant => {
            let text = multivariant(&table, &session).write();
            Ok(playlist(hls::CONTENT_TYPE, text, etag(&format!("multivariant{session}"))))
        }
        Place::Mpd => {
            let text = mpd(&table, &session).write();
            Ok(playlist(dash::CONTENT_TYPE, text, etag(&format!("mpd{session}"))))
        }
        Place::Playlist(folder) => {
            let text = media(in_folder(folder)?, &session).write();
            Ok(playlist(hls::CONTENT_TYPE, text, etag(&format!("{folder}{session}"))))
        }
        Place::Init(folder, 1) => {
            let rendition = in_folder(folder)?;
            Ok(Resource {
                content_type: segment_type(&rendition.track),
                max_age_s: Some(MAX_AGE_S),
                etag: etag(&format!("{folder}-init")),
                body: vec![init(rendition).map_err(|source| failed(movie, source))?],
            })
        }
        Place::Init(..) => Err(Refusal::NotFound),
        Place::Segment(folder, number) => {
            let rendition = in_folder(folder)?;
            let index = number.checked_sub(1).and_then(|index| usize::try_from(index).ok());
            let index = index.ok_or(Refusal::NotFound)?;
            let segment = rendition.segment(index).ok_or(Refusal::NotFound)?;
            let key = (movie.identity(), rendition.track.id.0, index);
            let load = async {
                let work = Work::new(movie, rendition, segment, number);
                host.blocking(move || work.pack()).await
            };
            let packed = hub.segments.get(key, load).await.map_err(Refusal::Failed)?;
            Ok(Resource {
                content_type: segment_type(&rendition.track),
                max_age_s: Some(MAX_AGE_S),
                etag: etag(&format!("{folder}-{number}")),
                body: packed.pieces.clone(),
            })
        }
    }
}

/// The movie's table, made when somebody first asks.
pub(crate) async fn table(host: &Host, movie: &Arc<Movie>) -> Arc<Table> {
    if let Some(table) = movie.table.get() {
        return Arc::clone(table);
    }
    let reader = Arc::clone(movie);
    host.blocking(move || {
        let table = reader.table.get_or_init(|| {
            let table = Table::new(reader.index());
            tell(&reader, &table);
            Arc::new(table)
        });
        Arc::clone(table)
    })
    .await
}

/// Says what a viewer will miss.
fn tell(movie: &Movie, table: &Table) {
    let name = movie.name();
    for reason in &table.left_out {
        tracing::warn!("{name}: {reason}");
    }
    let Some(picture) = table.picture() else { return };
    let longest_s = picture.longest().as_secs_f64();
    if picture.starts == Starts::Anywhere {
        tracing::warn!(
            "{name}: its key frames are too far apart for segments that start with one: by HLS \
             and DASH a seek shows nothing until the next"
        );
    } else if longest_s > LONG_S {
        tracing::warn!(
            "{name}: its key frames are up to {longest_s:.1} s apart: segments for HLS and DASH \
             are that long, and so is the wait for a seek"
        );
    }
}

const LONG_S: f64 = 15.0;

fn nothing_carried(left_out: &[String]) -> String {
    match left_out {
        [] => "the movie has no frames".to_owned(),
        reasons => reasons.join("; "),
    }
}

fn failed(movie: &Movie, source: weir_media::Error) -> Refusal {
    Refusal::Failed(movie.error(source))
}

fn init(rendition: &Rendition) -> Result<Bytes, weir_media::Error> {
    segment::init(&rendition.track, u64::try_from(rendition.lead_ticks).unwrap_or(0))
}

// --- Playlists

const SOUND_GROUP: &str = "sound";

fn multivariant(table: &Table, session: &str) -> hls::Multivariant {
    let uri = |rendition: &Rendition| format!("{}/index.m3u8{session}", rendition.folder);
    let independent_segments = table.renditions.iter().all(|each| each.starts == Starts::Alone);
    let Some(picture) = table.picture() else {
        // A variant for each track of sound: the client plays the first unless told otherwise.
        let variants = table.sounds().map(|sound| variant(sound, &[], uri(sound)));
        let (sounds, variants) = (Vec::new(), variants.collect());
        return hls::Multivariant { independent_segments, sounds, variants };
    };
    let sounds: Vec<&Rendition> = table.sounds().collect();
    let renditions = sounds.iter().enumerate().map(|(number, sound)| hls::Rendition {
        group: SOUND_GROUP.to_owned(),
        name: format!("Sound {}", number + 1),
        is_default: number == 0,
        channels: channels(&sound.track),
        uri: uri(sound),
    });
    hls::Multivariant {
        independent_segments,
        sounds: renditions.collect(),
        variants: vec![variant(picture, &sounds, uri(picture))],
    }
}

fn variant(main: &Rendition, sounds: &[&Rendition], uri: String) -> hls::Variant {
    let mut codecs = vec![main.codecs.clone()];
    for sound in sounds {
        if !codecs.contains(&sound.codecs) {
            codecs.push(sound.codecs.clone());
        }
    }
    // The most expensive sound goes with it.
    let sound = |rate: fn((u64, u64)) -> u64| {
        sounds.iter().map(|sound| rate(sound.bit_rates())).max().unwrap_or(0)
    };
    let (peak, average) = main.bit_rates();
    hls::Variant {
        uri,
        bandwidth_bps: (peak + sound(|(peak, _)| peak)).max(1),
        average_bandwidth_bps: Some((average + sound(|(_, average)| average)).max(1)),
        codecs,
        resolution: size(&main.track),
        frame_rate: main.frame_rate,
        sound_group: (!sounds.is_empty()).then(|| SOUND_GROUP.to_owned()),
    }
}

fn media(rendition: &Rendition, session: &str) -> hls::Media {
    let segments = rendition.segments().enumerate().map(|(number, segment)| hls::Segment {
        uri: format!("{}.m4s{session}", number + 1),
        map_uri: format!("init.mp4{session}"),
        duration: rendition.span(segment.ticks),
        discontinuity: false,
        program_date_time: None,
    });
    hls::Media {
        kind: hls::MediaKind::Vod,
        target_duration_s: None,
        media_sequence: 1,
        discontinuity_sequence: 0,
        independent_segments: rendition.starts == Starts::Alone,
        segments: segments.collect(),
        ended: true,
    }
}

fn mpd(table: &Table, session: &str) -> dash::Mpd {
    let all = table.renditions.iter();
    dash::Mpd {
        duration: Some(table.duration),
        live: None,
        segment_max: all.clone().map(Rendition::longest).max().unwrap_or_default(),
        buffer_min: BUFFER_MIN,
        periods: vec![dash::Period {
            id: 0,
            start: MediaTime::ZERO,
            representations: all.map(|each| representation(each, session)).collect(),
        }],
    }
}

const BUFFER_MIN: MediaTime = MediaTime::from_nanos(2_000_000_000);

fn representation(rendition: &Rendition, session: &str) -> dash::Representation {
    let Rendition { folder, .. } = rendition;
    let unsigned = |ticks: i64| u64::try_from(ticks).unwrap_or(0);
    let runs = rendition.segments().map(|segment| {
        // The first lasts from its first frame on.
        let start = segment.ticks.0.max(rendition.first_ticks).min(segment.ticks.1 - 1);
        dash::Run { start_ticks: unsigned(start), ticks: unsigned(segment.ticks.1 - start) }
    });
    dash::Representation {
        id: folder.clone(),
        codecs: rendition.codecs.clone(),
        bandwidth_bps: rendition.bit_rates().0,
        content: content(&rendition.track, rendition.frame_rate),
        starts_with_sap: match rendition.starts {
            Starts::Alone => Some(1),
            Starts::WithLeading => Some(3),
            Starts::Anywhere => None,
        },
        init_uri: format!("{folder}/init.mp4{session}"),
        media_uri: format!("{folder}/$Number$.m4s{session}"),
        timeline: dash::Timeline {
            rate_hz: rendition.track.clock_rate_hz.max(1),
            offset_ticks: 0,
            first_number: 1,
            runs: runs.collect(),
        },
    }
}

/// What a description says of a track.
pub(super) fn content(track: &Track, frame_rate: Option<f64>) -> dash::Content {
    if let Some((width, height)) = size(track) {
        let frame_rate = frame_rate.map(fraction);
        return dash::Content::Picture(dash::Picture { width, height, frame_rate });
    }
    let sample_rate_hz = match &track.codec {
        Codec::Aac(config) => config.output_rate_hz(),
        _ => track.clock_rate_hz,
    };
    let channels = channels(track).unwrap_or(2);
    dash::Content::Sound(dash::Sound { sample_rate_hz, channels })
}

/// A frame rate as two whole numbers: that of a television standard where it is one.
fn fraction(rate: f64) -> (u32, u32) {
    let (whole, thousandths) = (rate.round(), (rate * 1000.0).round());
    if (rate - whole).abs() < 0.002 {
        (whole.max(1.0) as u32, 1)
    } else if (rate * 1.001 - (rate * 1.001).round()).abs() < 0.002 {
        ((rate * 1.001).round() as u32 * 1000, 1001)
    } else {
        (thousandths.max(1.0) as u32, 1000)
    }
}

/// Width and height of a track of pictures.
pub(super) fn size(track: &Track) -> Option<(u32, u32)> {
    match &track.codec {
        Codec::H264(config) => config.picture().ok().map(|picture| (picture.width, picture.height)),
        Codec::H265(config) => config.picture().ok().map(|picture| (picture.width, picture.height)),
        Codec::Vp9(config) => Some((config.width.into(), config.height.into())),
        Codec::Av1(config) => Some((config.width.into(), config.height.into())),
        _ => None,
    }
}

/// The channels of a track of sound.
pub(super) fn channels(track: &Track) -> Option<u8> {
    match &track.codec {
        Codec::Aac(config) => Some(config.channels),
        Codec::Opus(config) => Some(config.channels),
        _ => None,
    }
}

// --- Segments

/// A segment to be read and packed.
struct Work {
    movie: Arc<Movie>,
    track: Track,
    lead_ticks: i64,
    segment: Segment,
    sequence: u32,
}

impl Work {
    fn new(movie: &Arc<Movie>, rendition: &Rendition, segment: Segment, number: u64) -> Self {
        Work {
            movie: Arc::clone(movie),
            track: rendition.track.clone(),
            lead_ticks: rendition.lead_ticks,
            segment,
            sequence: number as u32,
        }
    }

    /// Reads it. Blocks.
    fn pack(&self) -> Result<Packed, crate::Error> {
        let (from, to) = self.segment.samples;
        let samples = self.movie.index().samples(self.track.id, from, to.saturating_add(1));
        let mut samples: Vec<_> = samples.collect();
        let ticks = |time: MediaTime| time.to_ticks(self.track.clock_rate_hz.max(1));
        let behind = samples.iter().find(|sample| sample.index >= to).map(|next| ticks(next.dts));
        samples.retain(|sample| sample.index < to);
        let opening = samples.first().map_or(0, |first| ticks(first.duration));
        let Readable { samples, frames, stretches, gaps } = self.movie.read(&samples)?;
        for gap in gaps {
            let what = gap.in_words(self.movie.path());
            tracing::warn!("the movie {:?}: {what}", self.movie.name());
        }
        let mut shown: Vec<i64> = samples.iter().map(|sample| ticks(sample.pts)).collect();
        if self.sequence == 1 && self.track.codec.kind() == Kind::Video {
            hide(&mut shown, opening);
        }
        // A frame lasts until the next one is decoded, so that segments join.
        let begins = samples.iter().skip(1).map(|next| ticks(next.dts));
        let own = |last: &Sample| ticks(last.dts).saturating_add(ticks(last.duration));
        let ends: Vec<i64> = begins.chain(behind.or_else(|| samples.last().map(own))).collect();
        let rows = samples.iter().zip(&frames).enumerate().map(|(number, (sample, frame))| {
            let dts = ticks(sample.dts);
            let pts = shown.get(number).copied().unwrap_or(dts);
            let end = ends.get(number).copied().unwrap_or(dts);
            segment::Sample {
                duration_ticks: u32::try_from(end - dts).unwrap_or(0),
                composition_ticks: i32::try_from(pts - dts).unwrap_or(0),
                starts: frame.key.starts(),
                bytes: frame.payload.len() as u32,
            }
        });
        let rows: Vec<_> = rows.collect();
        let first = samples.first().map_or(0, |sample| ticks(sample.dts));
        let decode_ticks = u64::try_from(first.saturating_add(self.lead_ticks)).unwrap_or(0);
        let kind = self.track.codec.kind();
        let head = segment::media_head(kind, self.sequence, decode_ticks, &rows)
            .map_err(|source| self.movie.error(source))?;
        Ok(packed(head, &frames, &stretches))
    }
}

/// Gives pictures that are decoded and not shown, for the presentation starts behind them, a tick
/// each at its start. Browsers drop what comes before the start, and with the key frame among it
/// all pictures up to the next. `shown` are presentation times in ticks, `frame_ticks` is how long
/// a picture lasts.
fn hide(shown: &mut [i64], frame_ticks: i64) {
    let mut hidden: Vec<i64> = shown.iter().copied().filter(|pts| *pts < 0).collect();
    hidden.sort_unstable();
    let count = hidden.len() as i64;
    if count > frame_ticks / 2 {
        return;
    }
    for pts in shown.iter_mut() {
        *pts = match hidden.binary_search(pts) {
            Ok(rank) => rank as i64,
            Err(_) => (*pts).max(count),
        };
    }
}

/// The pieces of a segment: its head, and the payloads as they were read, those that follow one
/// another in memory as one piece.
fn packed(head: Bytes, frames: &[Frame], stretches: &[Bytes]) -> Packed {
    let payload_bytes: usize = frames.iter().map(|frame| frame.payload.len()).sum();
    let read_bytes: usize = stretches.iter().map(Bytes::len).sum();
    let mut pieces = vec![head];
    if read_bytes > 2 * payload_bytes {
        // Sound stands thinly among pictures: these are not kept with it.
        let mut data = BytesMut::with_capacity(payload_bytes);
        frames.iter().for_each(|frame| data.extend_from_slice(&frame.payload));
        pieces.push(data.freeze());
    } else {
        frames.iter().for_each(|frame| push_joined(&mut pieces, &frame.payload, stretches));
    }
    let held_bytes = if pieces.len() == 2 { payload_bytes } else { read_bytes };
    let bytes = held_bytes + pieces[0].len() + pieces.len() * size_of::<Bytes>();
    Packed { pieces, bytes }
}

/// Adds a payload; to the last piece, if both are one slice of a stretch.
fn push_joined(pieces: &mut Vec<Bytes>, payload: &Bytes, stretches: &[Bytes]) {
    if payload.is_empty() {
        return;
    }
    if let Some(last) = pieces.last_mut() {
        let (start, middle) = (last.as_ptr() as usize, payload.as_ptr() as usize);
        let end = middle + payload.len();
        let holds = |stretch: &&Bytes| {
            let at = stretch.as_ptr() as usize;
            at <= start && end <= at + stretch.len()
        };
        if start + last.len() == middle
            && let Some(stretch) = stretches.iter().find(holds)
        {
            let at = stretch.as_ptr() as usize;
            *last = stretch.slice(start - at..end - at);
            return;
        }
    }
    pieces.push(payload.clone());
}
