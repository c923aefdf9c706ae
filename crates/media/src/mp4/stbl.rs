//! The sample table box (ISO/IEC 14496-12 section 8.5 to 8.7) into a [`SampleTable`].

use super::boxes::{BoxView, pair};
use super::{Warnings, g711_entry};
use crate::movie::table::{Keys, Numbers, SampleTable, ShiftRun, Sizes, TimeRun};
use crate::{Codec, Error, Kind};

/// Reads a `stbl` box. Returns where the last byte of its samples is, too.
pub(super) fn read_table(
    stbl: &BoxView<'_>,
    codec: &Codec,
    warnings: &mut Warnings,
) -> Result<(SampleTable, u64), Error> {
    let mut sizes = read_sizes(stbl)?;
    let run_max = g711_entry::samples_in_a_run(codec, &mut sizes);
    let mut table = SampleTable::of_sizes(sizes);
    table.run_max = run_max;
    let count = table.count();
    if count == 0 {
        return Ok((table, 0));
    }
    let data_end = read_chunks(stbl, &mut table, warnings)?;
    table.times = read_times(&stbl.required(b"stts")?, count, warnings)?;
    if let Some(ctts) = stbl.child(b"ctts")? {
        table.shifts = read_shifts(&ctts, count)?;
    }
    if codec.kind() == Kind::Video
        && let Some(stss) = stbl.child(b"stss")?
    {
        table.keys = read_keys(&stss, count)?;
    }
    table.shrink();
    Ok((table, data_end))
}

/// `stsz` or `stz2` (section 8.7.3).
fn read_sizes(stbl: &BoxView<'_>) -> Result<Sizes, Error> {
    let mut sizes = Sizes::default();
    if let Some(stsz) = stbl.child(b"stsz")? {
        let mut fields = stsz.fields();
        fields.version_and_flags()?;
        let same_bytes = fields.u32()?;
        let count = fields.u32()?;
        if same_bytes > 0 {
            return Ok(Sizes { same_bytes, same_count: count, each: Numbers::default() });
        }
        let each = fields.table::<4>(count)?.iter();
        sizes.each = Numbers::of(each.map(|bytes| u32::from_be_bytes(*bytes).into()));
        return Ok(sizes);
    }
    let Some(stz2) = stbl.child(b"stz2")? else {
        return Err(stbl.error("has neither a stsz nor a stz2 box"));
    };
    let mut fields = stz2.fields();
    fields.version_and_flags()?;
    let field_bits = fields.u32()? & 0xff;
    let count = fields.u32()?;
    match field_bits {
        4 => {
            let bytes = fields.table::<1>(count.div_ceil(2))?;
            let halves = bytes.iter().flat_map(|&[byte]| [byte >> 4, byte & 15]);
            halves.take(count as usize).for_each(|size| sizes.each.push(size.into()));
        }
        8 => fields.table::<1>(count)?.iter().for_each(|&[size]| sizes.each.push(size.into())),
        16 => {
            for size in fields.table::<2>(count)? {
                sizes.each.push(u16::from_be_bytes(*size).into());
            }
        }
        _ => {
            let reason = format!("field_size is {field_bits}, 4, 8 or 16 are allowed");
            return Err(stz2.error_at(4, reason));
        }
    }
    Ok(sizes)
}

/// `stsc` (section 8.7.4) and `stco` or `co64` (section 8.7.5).
fn read_chunks(
    stbl: &BoxView<'_>,
    table: &mut SampleTable,
    warnings: &mut Warnings,
) -> Result<u64, Error> {
    let offsets = ChunkOffsets::read(stbl)?;
    let stsc = stbl.required(b"stsc")?;
    let mut fields = stsc.fields();
    fields.version_and_flags()?;
    let entry_count = fields.u32()?;
    let runs = fields.table::<12>(entry_count)?;
    let (count, mut sample, mut data_end) = (table.count(), 0u32, 0u64);
    table.chunks.firsts.reserve(offsets.len().min(count as usize));
    let mut previous = 0;
    for (number, run) in runs.iter().enumerate() {
        let ([first_chunk, per_chunk, description], at) = (three(run), 8 + number * 12);
        if first_chunk <= previous || (previous == 0 && first_chunk != 1) {
            let reason = format!("first_chunk {first_chunk} comes after chunk {previous}");
            return Err(stsc.error_at(at, reason));
        }
        previous = first_chunk;
        if description > 1 {
            warnings.push(format!(
                "{}: samples of a second sample description, the first is used for all",
                stsc.path
            ));
        }
        let next = runs.get(number + 1).map_or(u32::MAX, |run| three(run)[0]);
        for chunk in first_chunk..next {
            let Some(offset) = offsets.get(chunk - 1).filter(|_| sample < count) else {
                break;
            };
            let here = per_chunk.min(count - sample);
            if here > 0 {
                let end = table.chunks.push(sample, here, offset, &table.sizes);
                data_end = data_end.max(end);
                sample += here;
            }
        }
    }
    if sample < count {
        let reason = format!("the chunks hold {sample} samples, {count} have a size");
        return Err(stsc.error(reason));
    }
    Ok(data_end)
}

enum ChunkOffsets<'a> {
    Short(&'a [[u8; 4]]),
    Long(&'a [[u8; 8]]),
}

impl<'a> ChunkOffsets<'a> {
    fn read(stbl: &BoxView<'a>) -> Result<Self, Error> {
        if let Some(stco) = stbl.child(b"stco")? {
            let mut fields = stco.fields();
            fields.version_and_flags()?;
            let count = fields.u32()?;
            return Ok(ChunkOffsets::Short(fields.table(count)?));
        }
        let Some(co64) = stbl.child(b"co64")? else {
            return Err(stbl.error("has neither a stco nor a co64 box"));
        };
        let mut fields = co64.fields();
        fields.version_and_flags()?;
        let count = fields.u32()?;
        Ok(ChunkOffsets::Long(fields.table(count)?))
    }

    fn len(&self) -> usize {
        match self {
            ChunkOffsets::Short(all) => all.len(),
            ChunkOffsets::Long(all) => all.len(),
        }
    }

    fn get(&self, chunk: u32) -> Option<u64> {
        match self {
            ChunkOffsets::Short(all) => {
                all.get(chunk as usize).map(|offset| u32::from_be_bytes(*offset).into())
            }
            ChunkOffsets::Long(all) => {
                all.get(chunk as usize).map(|offset| u64::from_be_bytes(*offset))
            }
        }
    }
}

/// `stts` (section 8.6.1.2). Samples that it does not reach last as long as the last that it does.
fn read_times(
    stts: &BoxView<'_>,
    count: u32,
    warnings: &mut Warnings,
) -> Result<Vec<TimeRun>, Error> {
    let mut fields = stts.fields();
    fields.version_and_flags()?;
    let entry_count = fields.u32()?;
    let mut runs: Vec<TimeRun> = Vec::new();
    let (mut first, mut dts) = (0u32, 0i64);
    for entry in fields.table::<8>(entry_count)? {
        let (samples, mut delta) = pair(entry);
        if first >= count {
            break;
        }
        if delta > i32::MAX as u32 {
            warnings
                .push(format!("{}: a sample lasts {} ticks, 1 is used", stts.path, delta as i32));
            delta = 1;
        }
        if samples > 0 && runs.last().is_none_or(|run| run.delta != delta) {
            runs.push(TimeRun { dts, first, delta });
        }
        dts = dts.saturating_add(i64::from(samples).saturating_mul(i64::from(delta)));
        first = first.saturating_add(samples);
    }
    if first < count {
        warnings.push(format!("{}: {first} of {count} samples have a duration", stts.path));
    }
    Ok(runs)
}

/// `ctts` (section 8.6.1.3). Offsets count as signed in version 0 too: many files have it so.
fn read_shifts(ctts: &BoxView<'_>, count: u32) -> Result<Vec<ShiftRun>, Error> {
    let mut fields = ctts.fields();
    fields.version_and_flags()?;
    let entry_count = fields.u32()?;
    let mut runs: Vec<ShiftRun> = Vec::new();
    let mut first = 0u32;
    for entry in fields.table::<8>(entry_count)? {
        let (samples, shift) = pair(entry);
        let shift = shift as i32;
        if first >= count {
            break;
        }
        if samples > 0 && runs.last().map_or(0, |run| run.shift) != shift {
            runs.push(ShiftRun { first, shift });
        }
        first = first.saturating_add(samples);
    }
    if first < count && runs.last().is_some_and(|run| run.shift != 0) {
        runs.push(ShiftRun { first, shift: 0 });
    }
    Ok(runs)
}

/// `stss` (section 8.6.2).
fn read_keys(stss: &BoxView<'_>, count: u32) -> Result<Keys, Error> {
    let mut fields = stss.fields();
    fields.version_and_flags()?;
    let entry_count = fields.u32()?;
    let mut keys = Keys { all_below: 0, later: Vec::new() };
    for (number, entry) in fields.table::<4>(entry_count)?.iter().enumerate() {
        let sample = u32::from_be_bytes(*entry);
        let rises = keys.later.last().is_none_or(|&last| sample > last + 1);
        if sample == 0 || sample > count || !rises {
            let reason = format!("sample {sample}: rising numbers from 1 to {count} expected");
            return Err(stss.error_at(8 + number * 4, reason));
        }
        keys.later.push(sample - 1);
    }
    Ok(keys)
}

fn three(entry: &[u8; 12]) -> [u32; 3] {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *entry;
    [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::boxes::FourCc;
    use super::super::tests::tracks;
    use super::*;
    use crate::movie::table::RawSample;

    fn full_box(kind: &str, words: &[u32]) -> Vec<u8> {
        let bytes = 12 + 4 * words.len() as u32;
        let mut out = [&bytes.to_be_bytes()[..], kind.as_bytes(), &[0; 4]].concat();
        words.iter().for_each(|word| out.extend(word.to_be_bytes()));
        out
    }

    fn read(boxes: &[Vec<u8>]) -> Result<(Vec<RawSample>, Vec<String>), Error> {
        let body = boxes.concat();
        let (kind, path) = (FourCc(*b"stbl"), "stbl".to_owned());
        let view = BoxView { kind, path, at: 100, body_at: 108, body: &body };
        let mut warnings = Warnings::default();
        let (table, _) = read_table(&view, &tracks()[0].codec, &mut warnings)?;
        Ok((table.cursor(0, u32::MAX).collect(), warnings.0))
    }

    fn sample(index: u32, offset: u64, bytes: u32, dts: i64, shift: i32, delta: u32) -> RawSample {
        RawSample { index, offset, bytes, dts, shift, delta, key: true }
    }

    #[test]
    fn samples_follow_from_all_tables() {
        let (samples, warnings) = read(&[
            full_box("stsz", &[0, 4, 10, 20, 70_000, 40]),
            full_box("stsc", &[2, 1, 1, 1, 2, 3, 1]),
            full_box("co64", &[2, 1, 0, 0, 500]),
            full_box("stts", &[2, 1, 100, 1, 200]),
            full_box("ctts", &[2, 1, 50, 2, -50i32 as u32]),
            full_box("stss", &[2, 1, 4]),
        ])
        .unwrap();
        let mut expected = [
            sample(0, 1 << 32, 10, 0, 50, 100),
            sample(1, 500, 20, 100, -50, 200),
            sample(2, 520, 70_000, 300, -50, 200),
            sample(3, 70_520, 40, 500, 0, 200),
        ];
        (expected[1].key, expected[2].key) = (false, false);
        assert_eq!(samples, expected);
        assert_eq!(warnings, ["stbl/stts: 2 of 4 samples have a duration"]);
    }

    #[test]
    fn compact_sizes_of_four_bits_read() {
        let (samples, _) = read(&[
            full_box("stz2", &[4, 3, 0x1230_0000]),
            full_box("stsc", &[1, 1, 3, 1]),
            full_box("stco", &[1, 1000]),
            full_box("stts", &[1, 3, 1]),
        ])
        .unwrap();
        let sizes: Vec<_> = samples.iter().map(|sample| (sample.offset, sample.bytes)).collect();
        assert_eq!(sizes, [(1000, 1), (1001, 2), (1003, 3)]);
    }

    #[test]
    fn tables_that_contradict_each_other_are_errors_that_name_the_place() {
        let tables = |stsz: &[u32], stsc: &[u32], stco: &[u32], stss: &[u32]| {
            let boxes = [("stsz", stsz), ("stsc", stsc), ("stco", stco), ("stss", stss)];
            let mut boxes = boxes.map(|(kind, words)| full_box(kind, words)).to_vec();
            boxes.push(full_box("stts", &[1, 1, 1]));
            read(&boxes).unwrap_err().to_string()
        };
        let message = tables(&[0, 3, 1, 2], &[0], &[0], &[0]);
        let expected = "stbl/stsz at byte 128: 3 entries of 4 bytes expected, 8 bytes are left";
        assert_eq!(message, expected);
        let message = tables(&[7, 5], &[1, 1, 2, 1], &[2, 0, 99], &[0]);
        assert_eq!(message, "stbl/stsc at byte 128: the chunks hold 4 samples, 5 have a size");
        let message = tables(&[7, 5], &[1, 2, 2, 1], &[2, 0, 99], &[0]);
        assert_eq!(message, "stbl/stsc at byte 144: first_chunk 2 comes after chunk 0");
        let message = tables(&[7, 2], &[1, 1, 2, 1], &[1, 0], &[2, 2, 1]);
        let expected = "stbl/stss at byte 196: sample 1: rising numbers from 1 to 2 expected";
        assert_eq!(message, expected);
    }

    #[test]
    fn billions_of_samples_of_one_size_take_no_memory() {
        let (table, end) = {
            let body = [
                full_box("stsz", &[1, u32::MAX]),
                full_box("stsc", &[1, 1, u32::MAX, 1]),
                full_box("stco", &[1, 8]),
                full_box("stts", &[1, u32::MAX, 1]),
            ]
            .concat();
            let (kind, path) = (FourCc(*b"stbl"), "stbl".to_owned());
            let view = BoxView { kind, path, at: 0, body_at: 8, body: &body };
            read_table(&view, &tracks()[1].codec, &mut Warnings::default()).unwrap()
        };
        assert_eq!((table.count(), end), (u32::MAX, 8 + u64::from(u32::MAX)));
        assert!(table.memory_bytes() < 1000);
    }
}
