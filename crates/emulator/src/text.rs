//! Figures as people write them.

use std::time::Duration;

/// A rate in bits a second as it is asked for: `5mbit`.
pub fn rate_asked(bits: u64) -> String {
    let steps = [(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1000, "kbit")];
    match steps.iter().find(|(unit, _)| bits >= *unit) {
        Some((unit, name)) => format!("{}{name}", bits as f64 / *unit as f64),
        None => format!("{bits}bit"),
    }
}

/// A time span as it is asked for: `40ms`.
pub fn span_asked(span: Duration) -> String {
    let nanos = span.as_nanos();
    match nanos {
        0 => "0ms".to_owned(),
        _ if !nanos.is_multiple_of(1000) => format!("{nanos}ns"),
        _ if nanos < 1_000_000 => format!("{}us", nanos / 1000),
        _ => format!("{}ms", nanos as f64 / 1e6),
    }
}

/// `5.000 Mbit/s`.
pub fn bit_rate(bps: f64) -> String {
    match bps.abs() {
        size if size >= 1e9 => format!("{:.3} Gbit/s", bps / 1e9),
        size if size >= 1e6 => format!("{:.3} Mbit/s", bps / 1e6),
        size if size >= 1e3 => format!("{:.1} kbit/s", bps / 1e3),
        _ => format!("{bps:.0} bit/s"),
    }
}

/// `1.2 MB`.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// `0.012 ms`: milliseconds to the microsecond; `1.500 s` from one second on.
pub fn millis(nanos: u64) -> String {
    match nanos {
        0..1_000_000_000 => format!("{:.3} ms", nanos as f64 / 1e6),
        _ => format!("{:.3} s", nanos as f64 / 1e9),
    }
}

/// `1.03 %` of a share, with three digits that count.
pub fn percent(share: f64) -> String {
    let number = share * 100.0;
    let digits = match number.abs() {
        size if size == 0.0 || size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{number:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_keep_the_digits_that_count() {
        let texts = [0.0, 0.01, 0.0103, 0.25, 1.0, 0.00012].map(percent);
        assert_eq!(texts, ["0%", "1%", "1.03%", "25%", "100%", "0.012%"]);
    }
}
