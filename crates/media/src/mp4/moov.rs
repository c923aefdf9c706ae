//! The movie box (ISO/IEC 14496-12 section 8.2.1): tracks and their time lines.

use super::boxes::{BoxView, FourCc};
use super::stsd::{self, Description};
use super::{SkippedTrack, Warnings, stbl};
use crate::movie::{Format, Layout, Movie, SampleTable, TimeLine, TrackIndex};
use crate::{Codec, Error, Kind, MediaTime, Track, TrackId};

/// What a `moov` box says.
#[derive(Debug)]
pub(super) struct Moov {
    pub(super) tracks: Vec<TrackDraft>,
    pub(super) skipped: Vec<SkippedTrack>,
    /// More samples may follow in `moof` boxes.
    pub(super) fragmented: bool,
}

/// A track that is carried.
#[derive(Debug)]
pub(super) struct TrackDraft {
    /// Its place in the file, from 0.
    pub(super) trak: usize,
    /// The number by which fragments call it.
    pub(super) track_id: u32,
    pub(super) codec: Codec,
    pub(super) length_bytes: u8,
    pub(super) line: TimeLine,
    pub(super) table: SampleTable,
    /// Where its sample table is, and where the samples in it end.
    pub(super) stbl_path: String,
    pub(super) stbl_at: u64,
    pub(super) data_end: u64,
    pub(super) defaults: FragmentDefaults,
    edit_end: Option<MediaTime>,
}

/// What a `trex` box says (section 8.8.3).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FragmentDefaults {
    pub(super) duration: u32,
    pub(super) bytes: u32,
    pub(super) flags: u32,
}

impl TrackDraft {
    pub(super) fn track(&self, id: TrackId) -> Track {
        let clock_rate_hz = match &self.codec {
            Codec::Aac(config) => config.sample_rate_hz,
            Codec::Opus(_) => crate::opus::CLOCK_RATE_HZ,
            Codec::G711(config) => config.sample_rate_hz,
            _ => self.line.rate_hz,
        };
        Track { id, codec: self.codec.clone(), clock_rate_hz }
    }

    /// To be called when all samples are known.
    pub(super) fn settle(&mut self, warnings: &mut Warnings) {
        let lowest = self.table.shifts.iter().map(|run| run.shift).min().unwrap_or(0);
        self.line.lead = -i64::from(lowest.min(0));
        let end = self.line.end(&self.table);
        if let Some(edit_end) = self.edit_end
            && end - edit_end > EDIT_END_EARLY_MIN
        {
            warnings.push(format!(
                "trak[{}]: the edit list ends it {:.3} s before its last sample; that is played too",
                self.trak,
                (end - edit_end).as_secs_f64()
            ));
        }
        self.table.shrink();
    }
}

impl Moov {
    /// The movie, once all samples are known.
    pub(super) fn into_movie(self, mut warnings: Warnings) -> Result<Movie, Error> {
        let Moov { tracks: drafts, mut skipped, .. } = self;
        let mut tracks = Vec::new();
        for mut draft in drafts {
            if draft.table.count() == 0 {
                let reason = "it has no samples".to_owned();
                skipped.push(SkippedTrack { place: place(draft.trak), codec: None, reason });
                continue;
            }
            draft.settle(&mut warnings);
            let track = draft.track(TrackId(tracks.len() as u8));
            let TrackDraft { table, line, length_bytes, .. } = draft;
            let index = TrackIndex { table, line, length_bytes, layout: Layout::Whole };
            tracks.push((track, index));
        }
        Movie::new(Format::Mp4, tracks, skipped, warnings)
    }

    pub(super) fn read(moov: &BoxView<'_>, warnings: &mut Warnings) -> Result<Moov, Error> {
        let movie_rate_hz = read_time_scale(&moov.required(b"mvhd")?)?;
        let mut out = Moov { tracks: Vec::new(), skipped: Vec::new(), fragmented: false };
        let mut trak = 0;
        for child in moov.children(0) {
            let mut view = child?;
            match &view.kind.0 {
                b"trak" => {
                    view.path = format!("{}[{trak}]", view.path);
                    match read_track(&view, trak, movie_rate_hz, warnings)? {
                        Ok(track) => out.tracks.push(track),
                        Err(skipped) => out.skipped.push(skipped),
                    }
                    trak += 1;
                    if trak > TRACKS_MAX {
                        return Err(view.error(format!("more than {TRACKS_MAX} tracks")));
                    }
                }
                b"mvex" => out.fragmented = true,
                b"cmov" => {
                    let skipped = "compressed movie boxes are not supported";
                    return Err(view.error(skipped));
                }
                _ => {}
            }
        }
        if let Some(mvex) = moov.child(b"mvex")? {
            read_defaults(&mvex, &mut out.tracks)?;
            // An edit that was written before the fragments does not know where they end.
            out.tracks.iter_mut().for_each(|track| track.edit_end = None);
        }
        Ok(out)
    }
}

/// A track, or why it is not carried.
fn read_track(
    view: &BoxView<'_>,
    trak: usize,
    movie_rate_hz: u32,
    warnings: &mut Warnings,
) -> Result<Result<TrackDraft, SkippedTrack>, Error> {
    let skip = |codec: Option<FourCc>, reason: String| {
        Ok(Err(SkippedTrack {
            place: place(trak),
            codec: codec.map(|codec| codec.to_string()),
            reason,
        }))
    };
    let mdia = view.required(b"mdia")?;
    let handler = read_handler(&mdia.required(b"hdlr")?)?;
    let kind = match &handler.0 {
        b"vide" => Kind::Video,
        b"soun" => Kind::Audio,
        _ => {
            return skip(None, format!("it is neither picture nor sound (handler {handler})"));
        }
    };
    let minf = mdia.required(b"minf")?;
    let stbl = minf.required(b"stbl")?;
    let (codec, length_bytes, data_reference) = match stsd::read(&stbl.required(b"stsd")?, kind)? {
        Description::Carried { codec, length_bytes, data_reference } => {
            (codec, length_bytes, data_reference)
        }
        Description::Other(codec, reason) => return skip(Some(codec), reason),
    };
    if !is_in_this_file(&minf, data_reference)? {
        return skip(None, "its samples are in another file".to_owned());
    }
    let rate_hz = read_time_scale(&mdia.required(b"mdhd")?)?;
    let mut line = TimeLine { rate_hz, media_time: 0, delay: MediaTime::ZERO, lead: 0 };
    let mut edit_end = None;
    if let Some(edts) = view.child(b"edts")?
        && let Some(elst) = edts.child(b"elst")?
    {
        edit_end = read_edits(&elst, movie_rate_hz, &mut line, warnings)?;
    }
    let (table, data_end) = stbl::read_table(&stbl, &codec, warnings)?;
    Ok(Ok(TrackDraft {
        trak,
        track_id: read_track_id(&view.required(b"tkhd")?)?,
        codec,
        length_bytes,
        line,
        table,
        stbl_path: stbl.path.clone(),
        stbl_at: stbl.at,
        data_end,
        defaults: FragmentDefaults::default(),
        edit_end,
    }))
}

pub(super) fn place(trak: usize) -> String {
    format!("trak[{trak}]")
}

/// The time scale of `mvhd` and `mdhd` (sections 8.2.2 and 8.4.2), which start alike.
fn read_time_scale(view: &BoxView<'_>) -> Result<u32, Error> {
    let mut fields = view.fields();
    let (version, _) = fields.version_and_flags()?;
    fields.time(version)?;
    fields.time(version)?;
    match fields.u32()? {
        0 => Err(view.error("the time scale is 0")),
        rate_hz => Ok(rate_hz),
    }
}

/// Section 8.3.2.
fn read_track_id(tkhd: &BoxView<'_>) -> Result<u32, Error> {
    let mut fields = tkhd.fields();
    let (version, _) = fields.version_and_flags()?;
    fields.time(version)?;
    fields.time(version)?;
    fields.u32()
}

/// Section 8.4.3.
fn read_handler(hdlr: &BoxView<'_>) -> Result<FourCc, Error> {
    let mut fields = hdlr.fields();
    fields.version_and_flags()?;
    fields.u32()?;
    Ok(FourCc(fields.u32()?.to_be_bytes()))
}

/// What the data reference box says (section 8.7.2); a file without one has its own samples.
fn is_in_this_file(minf: &BoxView<'_>, data_reference: u16) -> Result<bool, Error> {
    let dref = match minf.child(b"dinf")? {
        Some(dinf) => dinf.child(b"dref")?,
        None => None,
    };
    let Some(dref) = dref else { return Ok(true) };
    let number = usize::from(data_reference).saturating_sub(1);
    match dref.children(8).nth(number).transpose()? {
        Some(entry) => Ok(entry.fields().version_and_flags()?.1 & SELF_CONTAINED != 0),
        None => Ok(true),
    }
}

/// Section 8.6.6. Returns when the edit ends, if it says so.
fn read_edits(
    elst: &BoxView<'_>,
    movie_rate_hz: u32,
    line: &mut TimeLine,
    warnings: &mut Warnings,
) -> Result<Option<MediaTime>, Error> {
    let mut fields = elst.fields();
    let (version, _) = fields.version_and_flags()?;
    let count = fields.u32()?;
    let mut delay_ticks = 0i64;
    let mut found = None;
    for number in 0..count {
        let duration = fields.time(version)?;
        let media_time = if version == 1 { fields.u64()? as i64 } else { i64::from(fields.i32()?) };
        let rate = fields.u32()?;
        if found.is_some() {
            let unused = count - number;
            warnings.push(format!(
                "{}: {unused} more edits after the first, which alone is used",
                elst.path
            ));
            break;
        }
        if media_time < 0 {
            delay_ticks = delay_ticks.saturating_add(i64::try_from(duration).unwrap_or(i64::MAX));
            continue;
        }
        if rate != NORMAL_RATE {
            let rate = f64::from(rate as i32) / f64::from(NORMAL_RATE);
            warnings.push(format!("{}: plays at {rate} times the rate, 1 is used", elst.path));
        }
        line.media_time = media_time;
        found = Some(duration);
    }
    line.delay = MediaTime::from_ticks(delay_ticks, movie_rate_hz);
    Ok(found.filter(|&ticks| ticks > 0).map(|ticks| {
        let ticks = i64::try_from(ticks).unwrap_or(i64::MAX);
        MediaTime::from_ticks(ticks, movie_rate_hz) + line.delay
    }))
}

fn read_defaults(mvex: &BoxView<'_>, tracks: &mut [TrackDraft]) -> Result<(), Error> {
    for child in mvex.children(0) {
        let view = child?;
        if view.kind.0 != *b"trex" {
            continue;
        }
        let mut fields = view.fields();
        fields.version_and_flags()?;
        let track_id = fields.u32()?;
        fields.u32()?;
        let (duration, bytes, flags) = (fields.u32()?, fields.u32()?, fields.u32()?);
        if let Some(track) = tracks.iter_mut().find(|track| track.track_id == track_id) {
            track.defaults = FragmentDefaults { duration, bytes, flags };
        }
    }
    Ok(())
}

/// As many as a [`crate::TrackId`] counts.
const TRACKS_MAX: usize = 255;
const SELF_CONTAINED: u32 = 1;
/// 1 as a fixed-point number of 16.16 bits.
const NORMAL_RATE: u32 = 0x1_0000;
/// Edit lists are written in the coarse ticks of the movie: less than this is rounding.
const EDIT_END_EARLY_MIN: MediaTime = MediaTime::from_nanos(1_000_000_000);
