//! Traces as pictures: characters for a terminal, or SVG.

use core::fmt::Write as _;
use core::time::Duration;

use super::{Pace, Trace, Window, windows};
use crate::text::Span;

/// How large a plot in characters is.
#[derive(Clone, Copy, Debug)]
pub struct PlotText {
    /// Columns of the whole, 40 at least.
    pub columns: usize,
    /// Lines of the area in which the rate is drawn, 4 at least.
    pub lines: usize,
}

/// One pass of a trace in characters: an area below the rate, a column for each part of the time.
pub fn text(trace: &Trace, size: PlotText) -> String {
    let columns = size.columns.max(40) - GUTTER_COLUMNS;
    let lines = size.lines.max(4);
    let parts = parts(trace, columns);
    let top = top(&parts);
    let unit = Unit::of(top);
    let mut text = String::new();
    for line in (0..lines).rev() {
        let said = match line {
            0 => "0".to_owned(),
            _ if line == lines - 1 => unit.say(top),
            _ if line == lines / 2 => unit.say(top * (line as f64 + 1.0) / lines as f64),
            _ => String::new(),
        };
        let _ = write!(text, "{said:>GUTTER_TEXT$} |");
        for part in &parts {
            let eighths = (part.bits_per_second / top * lines as f64 * 8.0).round() as usize;
            text.push(BLOCKS[eighths.saturating_sub(line * 8).min(8)]);
        }
        let kept = text.trim_end().len();
        text.truncate(kept);
        text.push('\n');
    }
    let _ = writeln!(text, "{:>GUTTER_TEXT$} +{}", "", "-".repeat(parts.len()));
    let end = seconds(trace.length());
    let _ = writeln!(
        text,
        "{:>GUTTER_TEXT$}  0 s{end:>width$}",
        "",
        width = parts.len().saturating_sub(3)
    );
    text
}

/// One pass of a trace as an SVG picture: the mean rate of each window of this length, and below it
/// the latency, where the trace says one.
pub fn svg(trace: &Trace, window: Duration) -> String {
    let windows = thinned(windows(trace, window));
    let latencies = latencies(trace);
    let height = if latencies.is_empty() { HEIGHT } else { HEIGHT + LATENCY_HEIGHT };
    let end = trace.length().as_secs_f64();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}: rate, mean of each {}</text>\n",
        escaped(trace.name()),
        Span(window),
    );
    let top = top(&windows);
    let unit = Unit::of(top);
    let frame = Frame { top: 32.0, bottom: HEIGHT - 30.0, end, value_max: top };
    frame.axes(&mut svg, |value| unit.say(value));
    let steps: Vec<(f64, f64, f64)> = windows
        .iter()
        .map(|part| (part.begin.as_secs_f64(), part.end.as_secs_f64(), part.bits_per_second))
        .collect();
    frame.area(&mut svg, &steps, "#1f77b4");
    if !latencies.is_empty() {
        let most = latencies.iter().map(|step| step.2).fold(0.0, f64::max);
        let frame = Frame {
            top: HEIGHT + 20.0,
            bottom: HEIGHT + LATENCY_HEIGHT - 30.0,
            end,
            value_max: ceiling(most),
        };
        let y = HEIGHT + 10.0;
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{y}\" font-size=\"14\">latency</text>");
        frame.axes(&mut svg, |value| format!("{} ms", rounded(value)));
        frame.area(&mut svg, &latencies, "#d62728");
    }
    svg.push_str("</svg>\n");
    svg
}

/// An area of a picture in which something is drawn over time.
struct Frame {
    top: f64,
    bottom: f64,
    /// The time at its right edge.
    end: f64,
    value_max: f64,
}

impl Frame {
    fn axes(&self, svg: &mut String, say: impl Fn(f64) -> String) {
        let (left, right) = (LEFT, WIDTH - RIGHT);
        for quarter in 0..=4 {
            let value = self.value_max * f64::from(quarter) / 4.0;
            let (y, said) = (self.y(value), say(value));
            let _ = writeln!(
                svg,
                "<path d=\"M{left} {y:.1}H{right}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{said}</text>",
                left - 6.0,
                y + 4.0
            );
        }
        for fifth in 0..=5 {
            let time = self.end * f64::from(fifth) / 5.0;
            let (x, y) = (self.x(time), self.bottom + 18.0);
            let said = seconds(Duration::from_secs_f64(time));
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{said}</text>"
            );
        }
    }

    fn area(&self, svg: &mut String, steps: &[(f64, f64, f64)], colour: &str) {
        let mut path = String::new();
        for (begin, end, value) in steps {
            let y = self.y(*value);
            let letter = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {y:.1}H{:.1}", self.x(*begin), self.x(*end));
        }
        let (left, right, bottom) = (self.x(0.0), self.x(self.end), self.bottom);
        let _ = writeln!(
            svg,
            "<path d=\"{path}V{bottom:.1}H{left:.1}Z\" fill=\"{colour}\" fill-opacity=\"0.25\"/>\
             <path d=\"{path}\" fill=\"none\" stroke=\"{colour}\"/>\
             <path d=\"M{left:.1} {bottom:.1}H{right:.1}\" stroke=\"#333\"/>"
        );
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.end * (WIDTH - RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - value / self.value_max * (self.bottom - self.top)
    }
}

/// One pass in so many equal parts; fewer where a part would be shorter than a millisecond.
fn parts(trace: &Trace, count: usize) -> Vec<Window> {
    let window = trace.length() / u32::try_from(count).unwrap_or(u32::MAX);
    let mut parts = windows(trace, window.max(Duration::from_millis(1)));
    // What is left over by rounding is no part.
    parts.truncate(count);
    parts
}

/// At most as many steps as a picture has room for: each the mean of some neighbours.
fn thinned(windows: Vec<Window>) -> Vec<Window> {
    let together = windows.len().div_ceil(STEPS_MAX).max(1);
    let mean = |some: &[Window]| {
        let bits = |part: &Window| part.bits_per_second * (part.end - part.begin).as_secs_f64();
        let (first, last) = (some.first()?, some.last()?);
        let span = (last.end - first.begin).as_secs_f64();
        let bits_per_second = some.iter().map(bits).sum::<f64>() / span;
        Some(Window { begin: first.begin, end: last.end, bits_per_second })
    };
    windows.chunks(together).filter_map(mean).collect()
}

/// Beginning, end and latency in milliseconds of each step.
fn latencies(trace: &Trace) -> Vec<(f64, f64, f64)> {
    let Pace::Rates(rates) = trace.pace() else { return Vec::new() };
    if !rates.has_latency {
        return Vec::new();
    }
    let segments = rates.segments();
    let together = segments.len().div_ceil(STEPS_MAX).max(1);
    let mut begin = 0.0;
    let mut steps = Vec::new();
    for some in segments.chunks(together) {
        let end = begin + some.iter().map(|segment| segment.span.as_secs_f64()).sum::<f64>();
        let latency = some.iter().filter_map(|segment| segment.latency).max();
        let millis = latency.unwrap_or_default().as_secs_f64() * 1e3;
        steps.push((begin, end, millis));
        begin = end;
    }
    steps
}

fn top(parts: &[Window]) -> f64 {
    ceiling(parts.iter().map(|part| part.bits_per_second).fold(0.0, f64::max))
}

/// The next round number: 1, 2, 4, 6, 8 or 10 times a power of ten.
fn ceiling(value: f64) -> f64 {
    let mut unit = 1.0;
    while unit * 10.0 < value {
        unit *= 10.0;
    }
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    unit * steps.into_iter().find(|step| step * unit >= value).unwrap_or(10.0)
}

struct Unit {
    bits: f64,
    name: &'static str,
}

impl Unit {
    fn of(top: f64) -> Self {
        let (bits, name) = match top {
            top if top >= 1e9 => (1e9, "Gbit/s"),
            top if top >= 1e6 => (1e6, "Mbit/s"),
            top if top >= 1e3 => (1e3, "kbit/s"),
            _ => (1.0, "bit/s"),
        };
        Unit { bits, name }
    }

    fn say(&self, bits_per_second: f64) -> String {
        format!("{} {}", rounded(bits_per_second / self.bits), self.name)
    }
}

fn seconds(span: Duration) -> String {
    format!("{} s", rounded(span.as_secs_f64()))
}

/// With two places at most, without needless zeros.
fn rounded(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            // Other control characters are not allowed in XML.
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Room for the scale of a plot in characters, and with its line.
const GUTTER_TEXT: usize = 11;
const GUTTER_COLUMNS: usize = GUTTER_TEXT + 2;
const STEPS_MAX: usize = 2000;
const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 300.0;
const LATENCY_HEIGHT: f64 = 160.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 24.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Trace {
        Trace::read("a<b", "0 8\n2 8\n4 0\n6 4\n8 1\n").expect("it is a trace")
    }

    #[test]
    fn a_plot_in_characters_shows_the_rate_over_time() {
        let plot = text(&trace(), PlotText { columns: 45, lines: 4 });
        let lines = [
            "   8 Mbit/s |████████",
            "            |████████",
            "            |████████        ████████",
        ];
        let plotted: Vec<&str> = plot.lines().collect();
        assert_eq!(plotted[0], lines[0]);
        assert!(plotted[2].contains("████████        ████████"), "{plot}");
        assert!(plotted[3].trim_start().starts_with("0 |"), "{plot}");
        assert!(plotted[5].ends_with("8 s"), "{plot}");
        assert!(plotted.iter().all(|line| line.chars().count() <= 45), "{plot}");
    }

    #[test]
    fn a_picture_is_whole_and_its_name_is_safe() {
        let picture = svg(&trace(), Duration::from_secs(1));
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert!(picture.contains("a&lt;b") && !picture.contains("latency"));
        let text = "[{\"duration_ms\": 1000, \"bandwidth_kbps\": 500, \"latency_ms\": 20}]";
        let trace = Trace::read("t", text).expect("it is a trace");
        assert!(svg(&trace, Duration::from_secs(1)).contains("latency"));
    }

    #[test]
    fn scales_end_at_round_numbers() {
        assert_eq!(
            [0.5, 3.0, 7.0, 11.0, 95.0, 100.0].map(ceiling),
            [1.0, 4.0, 8.0, 20.0, 100.0, 100.0]
        );
    }
}
