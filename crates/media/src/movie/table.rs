//! The samples of a track in a few bytes each, whatever container they stand in.

/// Where each sample of a track is, when it is decoded and shown, and whether decoding can start
/// there. Samples are counted from 0; times are in ticks of the track's time scale. Samples that
/// have something in common are kept as runs, sizes and offsets in as few bytes as they need.
#[derive(Clone, Debug, Default)]
pub(crate) struct SampleTable {
    pub(crate) sizes: Sizes,
    pub(crate) chunks: Chunks,
    pub(crate) times: Vec<TimeRun>,
    pub(crate) shifts: Vec<ShiftRun>,
    pub(crate) keys: Keys,
    /// How many samples, all of one size, a cursor may give out as one; 0 like 1.
    pub(crate) run_max: u32,
    /// Where the bytes of the last sample that was appended end.
    pub(crate) next_offset: u64,
}

/// Samples with the same duration, up to the next run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeRun {
    pub(crate) dts: i64,
    pub(crate) first: u32,
    pub(crate) delta: u32,
}

/// Samples with the same distance from decoding to presentation, up to the next run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShiftRun {
    pub(crate) first: u32,
    pub(crate) shift: i32,
}

/// One sample as the table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawSample {
    pub(crate) index: u32,
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) dts: i64,
    pub(crate) shift: i32,
    pub(crate) delta: u32,
    pub(crate) key: bool,
}

impl SampleTable {
    /// A table of samples of which nothing is known but their sizes.
    pub(crate) fn of_sizes(sizes: Sizes) -> Self {
        SampleTable { sizes, ..SampleTable::default() }
    }

    pub(crate) fn count(&self) -> u32 {
        self.sizes.count()
    }

    /// The decoding time of a sample.
    pub(crate) fn dts(&self, index: u32) -> i64 {
        let run = self.times.partition_point(|run| run.first <= index).checked_sub(1);
        run.and_then(|run| self.times.get(run)).map_or(0, |run| run.dts_of(index))
    }

    /// Where the last sample ends in time.
    pub(crate) fn end(&self) -> i64 {
        let Some(last) = self.count().checked_sub(1) else {
            return 0;
        };
        let delta = self.times.last().map_or(0, |run| run.delta);
        self.dts(last).saturating_add(i64::from(delta))
    }

    /// The first sample in `0..count` for which `later` holds, given that it holds for all after
    /// it; `count` if there is none.
    pub(crate) fn first_where(&self, later: impl Fn(i64) -> bool) -> u32 {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low + (high - low) / 2;
            if later(self.dts(middle)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// The sample that the run starts with which a sample belongs to: see [`Cursor`].
    pub(crate) fn run_start(&self, index: u32) -> u32 {
        let chunk = self.chunks.firsts.partition_point(|&first| first <= index).saturating_sub(1);
        let first = self.chunks.firsts.get(chunk).copied().unwrap_or(0).min(index);
        index - (index - first) % self.run_samples(chunk)
    }

    /// Samples in each run of a chunk but the last: as many in each, so that none is short.
    fn run_samples(&self, chunk: usize) -> u32 {
        if self.run_max <= 1 {
            return 1;
        }
        let first = self.chunks.firsts.get(chunk).copied().unwrap_or(0);
        let end = self.chunks.firsts.get(chunk + 1).copied().unwrap_or(self.count());
        let count = end.saturating_sub(first).max(1);
        count.div_ceil(count.div_ceil(self.run_max))
    }

    /// The samples from `from` to before `to`.
    pub(crate) fn cursor(&self, from: u32, to: u32) -> Cursor<'_> {
        let to = to.min(self.count());
        let from = from.min(to);
        let chunk = self.chunks.firsts.partition_point(|&first| first <= from).saturating_sub(1);
        let first = self.chunks.firsts.get(chunk).copied().unwrap_or(0).min(from);
        let before = self.sizes.sum(first, from);
        Cursor {
            table: self,
            index: from,
            to,
            chunk,
            offset: self.chunks.offsets.get(chunk).saturating_add(before),
            time: self.times.partition_point(|run| run.first <= from).saturating_sub(1),
            shift: self.shifts.partition_point(|run| run.first <= from),
        }
    }

    /// Adds a sample. Its decoding time is not before that of the last one.
    pub(crate) fn append(&mut self, sample: &RawSample) {
        let index = self.count();
        let chunk_first = self.chunks.firsts.last().copied();
        if self.next_offset != sample.offset
            || chunk_first.is_none_or(|first| index - first >= CHUNK_SAMPLES_MAX)
        {
            self.chunks.firsts.push(index);
            self.chunks.offsets.push(sample.offset);
        }
        self.next_offset = sample.offset.saturating_add(u64::from(sample.bytes));
        let goes_on = |run: &TimeRun| run.delta == sample.delta && run.dts_of(index) == sample.dts;
        if !self.times.last().is_some_and(goes_on) {
            self.times.push(TimeRun { dts: sample.dts, first: index, delta: sample.delta });
        }
        if self.shifts.last().map_or(0, |run| run.shift) != sample.shift {
            self.shifts.push(ShiftRun { first: index, shift: sample.shift });
        }
        match (self.keys.all_below, sample.key) {
            (u32::MAX, true) => {}
            (u32::MAX, false) => self.keys.all_below = index,
            (_, true) => self.keys.later.push(index),
            (_, false) => {}
        }
        self.sizes.each.push(u64::from(sample.bytes));
    }

    /// Gives back what was reserved and not used.
    pub(crate) fn shrink(&mut self) {
        self.sizes.each.shrink();
        self.chunks.firsts.shrink_to_fit();
        self.chunks.offsets.shrink();
        self.times.shrink_to_fit();
        self.shifts.shrink_to_fit();
        self.keys.later.shrink_to_fit();
    }

    /// Bytes of memory that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.sizes.each.memory_bytes()
            + self.chunks.offsets.memory_bytes()
            + self.times.capacity() * size_of::<TimeRun>()
            + self.shifts.capacity() * size_of::<ShiftRun>()
            + (self.chunks.firsts.capacity() + self.keys.later.capacity()) * size_of::<u32>()
    }
}

impl TimeRun {
    pub(crate) fn dts_of(&self, index: u32) -> i64 {
        let samples = i64::from(index.saturating_sub(self.first));
        self.dts.saturating_add(samples.saturating_mul(i64::from(self.delta)))
    }
}

/// The bytes of each sample: first some that are all of one size, then each for itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) same_bytes: u32,
    pub(crate) same_count: u32,
    pub(crate) each: Numbers,
}

impl Sizes {
    pub(crate) fn count(&self) -> u32 {
        self.same_count.saturating_add(self.each.len() as u32)
    }

    pub(crate) fn get(&self, index: u32) -> u32 {
        match index.checked_sub(self.same_count) {
            None => self.same_bytes,
            Some(index) => self.each.get(index as usize) as u32,
        }
    }

    /// The bytes of the samples from `from` to before `to`.
    pub(crate) fn sum(&self, from: u32, to: u32) -> u64 {
        let same = to.min(self.same_count).saturating_sub(from);
        let same_bytes = u64::from(same) * u64::from(self.same_bytes);
        let place = |index: u32| index.saturating_sub(self.same_count) as usize;
        self.each.sum(place(from), place(to)) + same_bytes
    }
}

/// Runs of samples that follow one another in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunks {
    /// The first sample of each.
    pub(crate) firsts: Vec<u32>,
    /// Where each starts.
    pub(crate) offsets: Numbers,
}

impl Chunks {
    /// Adds a chunk of `count` samples from `first` on: joined to the one before where all samples
    /// have one size and it follows in the file, and else cut into pieces, so that the way to a
    /// sample is short in files with one chunk for all. Returns where it ends.
    pub(crate) fn push(&mut self, first: u32, count: u32, offset: u64, sizes: &Sizes) -> u64 {
        let end = first.saturating_add(count);
        if end <= sizes.same_count {
            if let Some(&before) = self.firsts.last() {
                let last = self.offsets.get(self.firsts.len() - 1);
                if last.saturating_add(sizes.sum(before, first)) == offset {
                    return offset.saturating_add(sizes.sum(first, end));
                }
            }
            self.firsts.push(first);
            self.offsets.push(offset);
            return offset.saturating_add(sizes.sum(first, end));
        }
        let (mut at, mut offset) = (first, offset);
        while at < end {
            self.firsts.push(at);
            self.offsets.push(offset);
            let next = at.saturating_add(CHUNK_SAMPLES_MAX).min(end);
            offset = offset.saturating_add(sizes.sum(at, next));
            at = next;
        }
        offset
    }
}

/// The samples at which decoding can start: all before one, and some of those after it.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) all_below: u32,
    pub(crate) later: Vec<u32>,
}

impl Default for Keys {
    /// All of them.
    fn default() -> Self {
        Keys { all_below: u32::MAX, later: Vec::new() }
    }
}

impl Keys {
    pub(crate) fn has(&self, index: u32) -> bool {
        index < self.all_below || self.later.binary_search(&index).is_ok()
    }

    /// How many there are among `samples` samples.
    pub(crate) fn count(&self, samples: u32) -> u32 {
        self.all_below.min(samples).saturating_add(self.later.len() as u32)
    }

    /// The sample that is the `number`th of them.
    pub(crate) fn get(&self, number: u32) -> Option<u32> {
        match number.checked_sub(self.all_below) {
            None => Some(number),
            Some(later) => self.later.get(later as usize).copied(),
        }
    }
}

/// Numbers in the least width that holds all of them.
#[derive(Clone, Debug)]
pub(crate) enum Numbers {
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
}

impl Default for Numbers {
    fn default() -> Self {
        Numbers::U16(Vec::new())
    }
}

impl Numbers {
    pub(crate) fn len(&self) -> usize {
        match self {
            Numbers::U16(all) => all.len(),
            Numbers::U32(all) => all.len(),
            Numbers::U64(all) => all.len(),
        }
    }

    /// These numbers, which are gone through twice: the width is known before the first is kept.
    pub(crate) fn of(numbers: impl ExactSizeIterator<Item = u64> + Clone) -> Self {
        let most = numbers.clone().max().unwrap_or(0);
        if u16::try_from(most).is_ok() {
            Numbers::U16(numbers.map(|number| number as u16).collect())
        } else if u32::try_from(most).is_ok() {
            Numbers::U32(numbers.map(|number| number as u32).collect())
        } else {
            Numbers::U64(numbers.collect())
        }
    }

    /// The sum of those from one place to before another, as far as there are any.
    pub(crate) fn sum(&self, from: usize, to: usize) -> u64 {
        fn within<T: Copy + Into<u64>>(all: &[T], from: usize, to: usize) -> u64 {
            let some = all.get(from..to.min(all.len())).unwrap_or(&[]);
            some.iter().map(|&number| number.into()).sum()
        }
        match self {
            Numbers::U16(all) => within(all, from, to),
            Numbers::U32(all) => within(all, from, to),
            Numbers::U64(all) => within(all, from, to),
        }
    }

    /// The number at a place; 0 where there is none.
    pub(crate) fn get(&self, index: usize) -> u64 {
        match self {
            Numbers::U16(all) => all.get(index).copied().unwrap_or(0).into(),
            Numbers::U32(all) => all.get(index).copied().unwrap_or(0).into(),
            Numbers::U64(all) => all.get(index).copied().unwrap_or(0),
        }
    }

    pub(crate) fn push(&mut self, number: u64) {
        match self {
            Numbers::U16(all) => match u16::try_from(number) {
                Ok(number) => all.push(number),
                Err(_) => {
                    *self = Numbers::U32(all.iter().map(|&number| number.into()).collect());
                    self.push(number);
                }
            },
            Numbers::U32(all) => match u32::try_from(number) {
                Ok(number) => all.push(number),
                Err(_) => {
                    *self = Numbers::U64(all.iter().map(|&number| number.into()).collect());
                    self.push(number);
                }
            },
            Numbers::U64(all) => all.push(number),
        }
    }

    pub(crate) fn shrink(&mut self) {
        match self {
            Numbers::U16(all) => all.shrink_to_fit(),
            Numbers::U32(all) => all.shrink_to_fit(),
            Numbers::U64(all) => all.shrink_to_fit(),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Numbers::U16(all) => all.capacity() * 2,
            Numbers::U32(all) => all.capacity() * 4,
            Numbers::U64(all) => all.capacity() * 8,
        }
    }
}

/// Walks over samples one by one; where a table has runs, over runs of samples that follow one
/// another in the file and last equally long, each as if it were one sample.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    table: &'a SampleTable,
    index: u32,
    to: u32,
    chunk: usize,
    /// Where the sample at `index` is, unless a new chunk starts there.
    offset: u64,
    time: usize,
    /// Runs of `shifts` that start at or before `index`.
    shift: usize,
}

impl Iterator for Cursor<'_> {
    type Item = RawSample;

    fn next(&mut self) -> Option<RawSample> {
        let (table, index) = (self.table, self.index);
        if index >= self.to {
            return None;
        }
        if table.chunks.firsts.get(self.chunk + 1) == Some(&index) {
            self.chunk += 1;
            self.offset = table.chunks.offsets.get(self.chunk);
        }
        if table.times.get(self.time + 1).is_some_and(|run| run.first == index) {
            self.time += 1;
        }
        if table.shifts.get(self.shift).is_some_and(|run| run.first == index) {
            self.shift += 1;
        }
        let time = table.times.get(self.time);
        let shift = self.shift.checked_sub(1).and_then(|run| table.shifts.get(run));
        let samples = self.run_from(index);
        let sample = RawSample {
            index,
            offset: self.offset,
            bytes: table.sizes.get(index).saturating_mul(samples),
            dts: time.map_or(0, |run| run.dts_of(index)),
            shift: shift.map_or(0, |run| run.shift),
            delta: time.map_or(0, |run| run.delta).saturating_mul(samples),
            key: table.keys.has(index),
        };
        self.offset = self.offset.saturating_add(u64::from(sample.bytes));
        self.index += samples;
        Some(sample)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.to - self.index) as usize;
        let runs = if self.table.run_max <= 1 { left } else { left.min(1) };
        (runs, Some(left))
    }
}

impl Cursor<'_> {
    /// How many samples from this one on go out as one: up to where something changes.
    fn run_from(&self, index: u32) -> u32 {
        let table = self.table;
        if table.run_max <= 1 {
            return 1;
        }
        let chunk = table.chunks.firsts.get(self.chunk).copied().unwrap_or(0).min(index);
        let samples = table.run_samples(self.chunk);
        let run_end = (index - (index - chunk) % samples).saturating_add(samples);
        let changes = [
            table.chunks.firsts.get(self.chunk + 1).copied(),
            table.times.get(self.time + 1).map(|run| run.first),
            table.shifts.get(self.shift).map(|run| run.first),
            Some(self.to),
        ];
        let end = changes.into_iter().flatten().fold(run_end, u32::min);
        end.saturating_sub(index).max(1)
    }
}

const CHUNK_SAMPLES_MAX: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples() -> impl Strategy<Value = Vec<RawSample>> {
        let one = (0u32..100_000, 0u32..3, -2i32..3, any::<bool>(), 0u64..3, 0i64..2);
        prop::collection::vec(one, 0..600).prop_map(|rows| {
            let (mut offset, mut dts) = (8, 0);
            let mut out = Vec::new();
            for (index, (bytes, delta, shift, key, gap, step)) in rows.into_iter().enumerate() {
                offset += if gap == 0 { 1 << 20 } else { 0 };
                dts += step;
                let index = index as u32;
                out.push(RawSample { index, offset, bytes, dts, shift, delta, key });
                offset += u64::from(bytes);
                dts += i64::from(delta);
            }
            out
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_appended_is_found_from_any_place(all in samples(), from in 0usize..600) {
            let mut table = SampleTable::default();
            all.iter().for_each(|sample| table.append(sample));
            prop_assert_eq!(table.count() as usize, all.len());
            let from = from.min(all.len());
            let found: Vec<_> = table.cursor(from as u32, u32::MAX).collect();
            prop_assert_eq!(&found[..], &all[from..]);
            let keys = (0..table.keys.count(table.count())).map_while(|n| table.keys.get(n));
            prop_assert!(keys.eq(all.iter().filter(|s| s.key).map(|s| s.index)));
            for sample in &all {
                prop_assert_eq!(table.dts(sample.index), sample.dts);
                let at = table.first_where(|dts| dts >= sample.dts);
                prop_assert_eq!(all[at as usize].dts, sample.dts);
            }
        }
    }

    #[test]
    fn a_chunk_of_many_samples_is_cut_into_pieces() {
        let mut sizes = Sizes::default();
        (0..1000u64).for_each(|bytes| sizes.each.push(bytes));
        let mut chunks = Chunks::default();
        assert_eq!(chunks.push(0, 1000, 40, &sizes), 40 + 999 * 500);
        assert_eq!(chunks.firsts, [0, 256, 512, 768]);
        let table = SampleTable { sizes, chunks, ..SampleTable::default() };
        assert_eq!(table.cursor(700, 701).next().unwrap().offset, 40 + 699 * 350);
    }

    #[test]
    fn two_hours_of_picture_take_some_bytes_a_sample() {
        let mut table = SampleTable::default();
        let count = 2 * 3600 * 30;
        for index in 0..count {
            let shift = [1024, 2560, 0, 512][index as usize % 4];
            let (offset, dts) = (u64::from(index) * 30_000, i64::from(index) * 512);
            let key = index % 60 == 0;
            table.append(&RawSample { index, offset, bytes: 25_000, dts, shift, delta: 512, key });
        }
        table.shrink();
        assert!(table.memory_bytes() < 24 * count as usize, "{}", table.memory_bytes());
    }
}
