//! Histograms of times between packets, in a terminal and as a picture.

use std::fmt::Write;

use weir_emulator::capture::summary::Distribution;

/// Several distributions over the same ranges of values.
pub(super) struct Bars {
    names: Vec<String>,
    /// Lower ends of the ranges, in nanoseconds; each ends where the next begins.
    ranges: Vec<u64>,
    /// How many values each has in each range, by name.
    counts: Vec<Vec<u64>>,
}

impl Bars {
    /// Of distributions with their names: in steps of 1, 2 and 5, from the first range that has
    /// values to the last.
    pub(super) fn of(held: &[(&str, &Distribution)]) -> Bars {
        let ends = steps();
        let place = |value: u64| ends.partition_point(|end| *end <= value).saturating_sub(1);
        let mut counts = vec![vec![0; ends.len()]; held.len()];
        for ((_, Distribution(held)), counts) in held.iter().zip(&mut counts) {
            for (least, count) in held.buckets() {
                // The middle of the bucket: it begins a little below what it holds.
                if let Some(sum) = counts.get_mut(place(least + least / 128)) {
                    *sum += count;
                }
            }
        }
        let is_used = |range: &usize| counts.iter().any(|counts| counts[*range] > 0);
        let first = (0..ends.len()).find(is_used).unwrap_or(0);
        let last = (0..ends.len()).rev().find(is_used).unwrap_or(0);
        Bars {
            names: held.iter().map(|(name, _)| (*name).to_owned()).collect(),
            ranges: ends.get(first..=last).unwrap_or_default().to_vec(),
            counts: counts
                .iter()
                .map(|c| c.get(first..=last).unwrap_or_default().to_vec())
                .collect(),
        }
    }

    /// A line for each range, within 100 columns.
    pub(super) fn in_words(&self) -> String {
        if self.names.is_empty() {
            return String::new();
        }
        let width = (COLUMNS - LABEL_COLUMNS) / self.names.len() - COUNT_COLUMNS;
        let mut text = format!("  {:>1$}", "from", LABEL_COLUMNS - 4);
        for name in &self.names {
            let _ = write!(text, "  {name:<0$}", width + COUNT_COLUMNS - 2);
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        for (range, from) in self.ranges.iter().enumerate() {
            let mut line = format!("  {:>1$}", label(*from), LABEL_COLUMNS - 4);
            for counts in &self.counts {
                let (count, max) = (counts[range], counts.iter().max().copied().unwrap_or(0));
                let drawn = format!("{} {count}", bar(count, max, width));
                let drawn = if count == 0 { String::new() } else { drawn };
                let _ = write!(line, "  {drawn:<0$}", width + COUNT_COLUMNS - 2);
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// Pictures below one another.
pub(super) fn svg(pictures: &[(String, Bars)]) -> String {
    let height = pictures.len() * PICTURE_HEIGHT;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (place, (name, bars)) in pictures.iter().enumerate() {
        picture(&mut text, place * PICTURE_HEIGHT, name, bars);
    }
    text + "</svg>\n"
}

fn picture(text: &mut String, top: usize, name: &str, bars: &Bars) {
    let (left, right, base) = (60, WIDTH - 20, top + PICTURE_HEIGHT - 50);
    let name = name.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        text,
        "<text x=\"{left}\" y=\"{}\" font-size=\"15\">{name}: time between packets</text>",
        top + 24
    );
    for (place, name) in bars.names.iter().enumerate() {
        let (x, color) = (left + 420 + place * 130, COLORS[place % COLORS.len()]);
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{color}\"/><text x=\"{}\" y=\"{}\">{name}</text>",
            top + 14,
            x + 18,
            top + 25
        );
    }
    let max = bars.counts.iter().flatten().max().copied().unwrap_or(0).max(1);
    let tall = PICTURE_HEIGHT - 110;
    let _ = writeln!(
        text,
        "<line x1=\"{left}\" y1=\"{base}\" x2=\"{right}\" y2=\"{base}\" stroke=\"black\"/>"
    );
    let _ = writeln!(
        text,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{max}</text>",
        left - 6,
        base - tall + 4
    );
    let _ = writeln!(text, "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">0</text>", left - 6);
    let step = (right - left) / bars.ranges.len().max(1);
    let each = (step.saturating_sub(4) / bars.names.len().max(1)).max(1);
    for (range, from) in bars.ranges.iter().enumerate() {
        let x = left + range * step;
        for (place, counts) in bars.counts.iter().enumerate() {
            let high = (counts[range] as f64 / max as f64 * tall as f64).round() as usize;
            let (x, y, color) = (x + 2 + place * each, base - high, COLORS[place % COLORS.len()]);
            if counts[range] > 0 {
                let _ = writeln!(
                    text,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{each}\" height=\"{high}\" fill=\"{color}\"><title>{}</title></rect>",
                    counts[range]
                );
            }
        }
        let label = label(*from);
        let _ = writeln!(
            text,
            "<text x=\"{x}\" y=\"{0}\" transform=\"rotate(30 {x} {0})\" font-size=\"10\">{label}</text>",
            base + 14
        );
    }
}

/// Zero, then 1, 2 and 5 microseconds, and so on to 500 s.
fn steps() -> Vec<u64> {
    let powers = (3..12).map(|power| 10_u64.pow(power));
    let steps = powers.flat_map(|power| [power, 2 * power, 5 * power]);
    std::iter::once(0).chain(steps).collect()
}

fn label(from: u64) -> String {
    match from {
        0 => "0 us".to_owned(),
        1..1_000_000 => format!("{} us", from / 1000),
        1_000_000..1_000_000_000 => format!("{} ms", from / 1_000_000),
        _ => format!("{} s", from / 1_000_000_000),
    }
}

/// A bar of eighths of a column.
fn bar(count: u64, max: u64, width: usize) -> String {
    let eighths = (count as f64 / max.max(1) as f64 * (width * 8) as f64).round() as usize;
    let mut text = "█".repeat(eighths / 8);
    let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    text += parts[eighths % 8];
    if text.is_empty() { "▏".to_owned() } else { text }
}

const COLUMNS: usize = 96;
const LABEL_COLUMNS: usize = 12;
const COUNT_COLUMNS: usize = 11;
const WIDTH: usize = 900;
const PICTURE_HEIGHT: usize = 320;
/// Blue and orange: told apart by nearly everybody.
const COLORS: [&str; 2] = ["#0072b2", "#e69f00"];

#[cfg(test)]
mod tests {
    use weir_record::Histogram;

    use super::*;

    fn of(values: &[u64]) -> Distribution {
        let mut histogram = Histogram::new();
        values.iter().for_each(|value| histogram.record(*value));
        Distribution(histogram)
    }

    #[test]
    fn both_histograms_stand_side_by_side_over_the_same_ranges() {
        let sends = of(&[1_000_000, 1_100_000, 1_200_000, 1_300_000]);
        let arrivals = of(&[1_000_000, 2_100_000, 11_000_000, 11_000_000]);
        let text = Bars::of(&[("sends", &sends), ("arrivals", &arrivals)]).in_words();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[0].contains("sends") && lines[0].contains("arrivals"));
        assert!(lines[1].trim_start().starts_with("1 ms") && lines[1].contains("█ 4"), "{text}");
        assert!(lines[4].contains("10 ms"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn a_picture_is_well_formed() {
        let held = of(&[5_000, 2_000_000]);
        let picture = svg(&[("a<b".to_owned(), Bars::of(&[("arrivals", &held)]))]);
        let mut reader = picture.matches("<rect").count();
        reader -= 2;
        assert_eq!(reader, 2, "{picture}");
        assert!(picture.contains("a&lt;b") && picture.ends_with("</svg>\n"));
    }
}
