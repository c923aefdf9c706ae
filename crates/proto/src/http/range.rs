//! Byte ranges (RFC 9110 section 14).

/// A part of a file that is there: never empty, never past the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteRange {
    /// The first byte's place.
    pub first: u64,
    /// The last byte's place.
    pub last: u64,
}

impl ByteRange {
    /// How many bytes it has.
    pub fn bytes(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a Range field asks of a file of a certain length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// The whole file: the field is not understood, or asks for too much at once, and is ignored.
    Whole,
    /// These parts, in the order in which they were asked for; at least one, at most
    /// [`RANGES_MAX`]. Where some overlap they are joined, and in the order of the file.
    Parts(Vec<ByteRange>),
    /// Nothing of what it asks for is there.
    Unsatisfiable,
}

/// Ranges that one request may ask for (RFC 9110 section 14.2); a field with more is ignored.
pub const RANGES_MAX: usize = 16;

impl Ranges {
    /// Reads the value of a Range field, for a file of `length` bytes.
    pub fn parse(value: &str, length: u64) -> Ranges {
        let Some((unit, set)) = value.split_once('=') else { return Ranges::Whole };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Ranges::Whole;
        }
        let mut parts = Vec::new();
        let mut specs = 0;
        // A list may have empty members (RFC 9110 section 5.6.1.2).
        for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])) {
            if spec.is_empty() {
                continue;
            }
            specs += 1;
            let Some(part) = read_spec(spec, length) else { return Ranges::Whole };
            if specs > RANGES_MAX {
                return Ranges::Whole;
            }
            parts.extend(part);
        }
        match (specs, parts.is_empty()) {
            (0, _) => Ranges::Whole,
            (_, true) => Ranges::Unsatisfiable,
            _ => Ranges::Parts(join(parts)),
        }
    }
}

/// `None`: the specification is wrong; `Some(None)`: the file has nothing of it.
fn read_spec(spec: &str, length: u64) -> Option<Option<ByteRange>> {
    let (first, last) = spec.split_once('-')?;
    let end = length.checked_sub(1);
    if first.is_empty() {
        // The last so many bytes.
        let suffix = read_number(last)?;
        let part = end.filter(|_| suffix > 0);
        return Some(part.map(|end| ByteRange { first: length.saturating_sub(suffix), last: end }));
    }
    let first = read_number(first)?;
    let last = if last.is_empty() { u64::MAX } else { read_number(last)? };
    if last < first {
        return None;
    }
    let part = end.filter(|end| first <= *end);
    Some(part.map(|end| ByteRange { first, last: last.min(end) }))
}

/// Digits alone; what is too large for any file is as good as the largest number.
fn read_number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Joins parts that overlap: nobody gets a byte twice.
fn join(parts: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut sorted = parts.clone();
    sorted.sort_unstable();
    let overlap = sorted.windows(2).any(|two| two[1].first <= two[0].last);
    if !overlap {
        return parts;
    }
    let mut joined: Vec<ByteRange> = Vec::new();
    for part in sorted {
        match joined.last_mut() {
            Some(before) if part.first <= before.last => before.last = before.last.max(part.last),
            _ => joined.push(part),
        }
    }
    joined
}
