//! Movie fragments (ISO/IEC 14496-12 section 8.8).

use super::Warnings;
use super::boxes::BoxView;
use super::moov::{FragmentDefaults, TrackDraft};
use crate::Error;
use crate::movie::table::RawSample;

/// What holds for all fragments of a file.
#[derive(Debug)]
pub(super) struct Fragments {
    file_bytes: u64,
    /// Bytes that the samples of the fragments may have together: more than the file has is
    /// nonsense, and this bounds the memory that a small file can ask for.
    bytes_left: u64,
    /// The first sample that the file is too short for.
    pub(super) cut: Option<Error>,
}

/// One track's part of a fragment.
struct Traf {
    /// Its place among the tracks.
    track: usize,
    defaults: FragmentDefaults,
    /// Where the samples are, unless a run says so.
    base: u64,
    dts: i64,
    /// Where the samples of the run before end.
    data_end: u64,
}

impl Fragments {
    pub(super) fn new(file_bytes: u64) -> Self {
        Fragments { file_bytes, bytes_left: file_bytes, cut: None }
    }

    /// Adds the samples of a `moof` box to the tracks.
    pub(super) fn read(
        &mut self,
        moof: &BoxView<'_>,
        tracks: &mut [TrackDraft],
        warnings: &mut Warnings,
    ) -> Result<(), Error> {
        // Unknown behind a track whose samples nobody counts.
        let mut base = Some(moof.at);
        for (number, child) in moof
            .children(0)
            .filter(|child| !matches!(child, Ok(c) if c.kind.0 != *b"traf"))
            .enumerate()
        {
            let mut view = child?;
            view.path = format!("{}[{number}]", view.path);
            let Some(mut traf) = read_header(&view, moof.at, base, tracks, warnings)? else {
                base = None;
                continue;
            };
            for run in view.children(0) {
                let run = run?;
                if run.kind.0 == *b"trun" {
                    self.read_run(&run, &mut traf, tracks)?;
                }
            }
            base = Some(traf.data_end);
        }
        Ok(())
    }

    /// Section 8.8.8.
    fn read_run(
        &mut self,
        trun: &BoxView<'_>,
        traf: &mut Traf,
        tracks: &mut [TrackDraft],
    ) -> Result<(), Error> {
        let Some(track) = tracks.get_mut(traf.track) else {
            return Ok(());
        };
        let mut fields = trun.fields();
        let (_, flags) = fields.version_and_flags()?;
        let count = fields.u32()?;
        let mut offset = traf.data_end;
        if flags & DATA_OFFSET != 0 {
            offset = traf.base.saturating_add_signed(fields.i32()?.into());
        }
        let first_flags = if flags & FIRST_FLAGS != 0 { Some(fields.u32()?) } else { None };
        let row_bytes = 4 * (flags & ROW_FIELDS).count_ones() as usize;
        if row_bytes == 0 && traf.defaults.bytes == 0 && count > 0 {
            return Err(trun.error(format!("{count} samples without bytes")));
        }
        if row_bytes > 0 && count as usize > fields.left() / row_bytes {
            let left = fields.left();
            let reason = format!("{count} samples of {row_bytes} bytes, {left} bytes are left");
            return Err(trun.error_at(fields.at(), reason));
        }
        let mut field = |mask: u32, default: u32| {
            if flags & mask != 0 { fields.u32() } else { Ok(default) }
        };
        for number in 0..count {
            let delta = field(SAMPLE_DURATION, traf.defaults.duration)?.min(i32::MAX as u32);
            let bytes = field(SAMPLE_SIZE, traf.defaults.bytes)?;
            let mut sample_flags = field(SAMPLE_FLAGS, traf.defaults.flags)?;
            if let Some(first_flags) = first_flags.filter(|_| number == 0) {
                sample_flags = first_flags;
            }
            let shift = field(SAMPLE_SHIFT, 0)? as i32;
            if self.cut.is_some() {
                return Ok(());
            }
            let index = track.table.count();
            let key = sample_flags & (NOT_SYNC | DEPENDS_ON_OTHERS) == 0;
            let sample = RawSample { index, offset, bytes, dts: traf.dts, shift, delta, key };
            let end = offset.saturating_add(bytes.into());
            if end > self.file_bytes {
                self.cut = Some(Error::Truncated {
                    path: format!("{} (sample {number})", trun.path),
                    offset: trun.at,
                    needed_bytes: end,
                    file_bytes: self.file_bytes,
                });
                return Ok(());
            }
            let Some(bytes_left) = self.bytes_left.checked_sub(bytes.into()) else {
                let file_bytes = self.file_bytes;
                let reason = format!("the samples have more bytes than the file ({file_bytes})");
                return Err(trun.error(reason));
            };
            self.bytes_left = bytes_left;
            if index == u32::MAX {
                return Err(trun.error("more samples than 32 bits count"));
            }
            track.table.append(&sample);
            traf.dts = traf.dts.saturating_add(i64::from(delta));
            offset = end;
        }
        traf.data_end = offset;
        Ok(())
    }
}

/// `tfhd` and `tfdt` (sections 8.8.7 and 8.8.12); `None` for a track that is not carried.
fn read_header(
    view: &BoxView<'_>,
    moof_at: u64,
    base: Option<u64>,
    tracks: &[TrackDraft],
    warnings: &mut Warnings,
) -> Result<Option<Traf>, Error> {
    let tfhd = view.required(b"tfhd")?;
    let mut fields = tfhd.fields();
    let (_, flags) = fields.version_and_flags()?;
    let track_id = fields.u32()?;
    let Some(number) = tracks.iter().position(|track| track.track_id == track_id) else {
        return Ok(None);
    };
    let Some(track) = tracks.get(number) else {
        return Ok(None);
    };
    let base = match flags {
        flags if flags & BASE_DATA_OFFSET != 0 => fields.u64()?,
        flags if flags & BASE_IS_MOOF != 0 => moof_at,
        _ => base.ok_or_else(|| {
            tfhd.error("its data offsets count from the end of a track that is not carried")
        })?,
    };
    if flags & DESCRIPTION_INDEX != 0 && fields.u32()? > 1 {
        warnings.push(format!(
            "{}: samples of a second sample description, the first is used for all",
            tfhd.path
        ));
    }
    let mut defaults = track.defaults;
    for (mask, value) in [
        (DEFAULT_DURATION, &mut defaults.duration),
        (DEFAULT_SIZE, &mut defaults.bytes),
        (DEFAULT_FLAGS, &mut defaults.flags),
    ] {
        if flags & mask != 0 {
            *value = fields.u32()?;
        }
    }
    let mut dts = track.table.end();
    if let Some(tfdt) = view.child(b"tfdt")? {
        let mut fields = tfdt.fields();
        let (version, _) = fields.version_and_flags()?;
        let start = i64::try_from(fields.time(version)?).unwrap_or(i64::MAX);
        if start < dts {
            let at = tfdt.at;
            warnings.push(format!(
                "{} at byte {at}: starts at tick {start}, before the end {dts} of the fragment \
                 before; {dts} is used",
                tfdt.path
            ));
        }
        dts = start.max(dts);
    }
    Ok(Some(Traf { track: number, defaults, base, dts, data_end: base }))
}

/// Flags of `tfhd`.
const BASE_DATA_OFFSET: u32 = 0x1;
const DESCRIPTION_INDEX: u32 = 0x2;
const DEFAULT_DURATION: u32 = 0x8;
const DEFAULT_SIZE: u32 = 0x10;
const DEFAULT_FLAGS: u32 = 0x20;
pub(super) const BASE_IS_MOOF: u32 = 0x2_0000;

/// Flags of `trun`.
pub(super) const DATA_OFFSET: u32 = 0x1;
const FIRST_FLAGS: u32 = 0x4;
pub(super) const SAMPLE_DURATION: u32 = 0x100;
pub(super) const SAMPLE_SIZE: u32 = 0x200;
pub(super) const SAMPLE_FLAGS: u32 = 0x400;
pub(super) const SAMPLE_SHIFT: u32 = 0x800;
const ROW_FIELDS: u32 = SAMPLE_DURATION | SAMPLE_SIZE | SAMPLE_FLAGS | SAMPLE_SHIFT;

/// sample_is_non_sync_sample (section 8.8.3.1).
const NOT_SYNC: u32 = 0x1_0000;
/// sample_depends_on is 1: it needs others.
const DEPENDS_ON_OTHERS: u32 = 0x100_0000;
