//! A certificate for people: within 100 columns.

use std::fmt::{self, Display};

use super::text_of;
use super::{Certificate, Delay, DirectionCertificate, Gauge, Jitter, Loss, Queue, Rate, Stretch};
use crate::text::{bit_rate, bytes, millis, percent};

impl Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.span_ns as f64 / 1e9;
        writeln!(f, "Asked against achieved: {}, {span:.1} s, seed {}", self.driver, self.seed)?;
        for (part, model) in &self.models {
            writeln!(f, "  {part} is modelled: {model}")?;
        }
        for sentence in &self.fidelity {
            paragraph(f, "  ", sentence)?;
        }
        for direction in &self.directions {
            write!(f, "{direction}")?;
        }
        gauges(f, &self.gauges)?;
        if let Some(capture) = &self.capture {
            let (file, size) = (capture.file.display(), bytes(capture.bytes));
            write!(f, "\nCapture {file}: {} packets, {size}", capture.packets)?;
            if capture.packets_missed > 0 {
                write!(f, "; {} are missing or lack their fate", capture.packets_missed)?;
            }
            writeln!(f)?;
            if let Some(why) = &capture.failed {
                paragraph(f, "  ", &format!("It ended before the run did: {why}"))?;
            }
        }
        writeln!(f)?;
        for warning in &self.warnings {
            paragraph(f, "", &format!("Warning: {warning}"))?;
        }
        paragraph(f, "", &self.verdict())?;
        self.cpu(f)
    }
}

impl Certificate {
    fn cpu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(used) = self.machine.cpu_share else { return Ok(()) };
        write!(f, "The driver used {} of a CPU", percent(round(used)))?;
        if let Some(waited) = self.machine.cpu_wait_share {
            write!(f, " and waited for one {} of the time", percent(round(waited)))?;
        }
        writeln!(f, ".")
    }
}

impl Display for DirectionCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = text_of(self.direction);
        if self.packets() == 0 {
            let settings = self.stretches.last().and_then(|stretch| stretch.settings.as_deref());
            let settings = settings.unwrap_or("several settings");
            return writeln!(f, "\n{} {way}: no packet came ({settings})", self.link);
        }
        let used = self.stretches.iter().filter(|stretch| stretch.counts.offered_packets > 0);
        for stretch in used.clone().take(STRETCHES_SHOWN) {
            writeln!(f)?;
            let span = stretch.from_ns + stretch.span_ns;
            let (from, until) = (stretch.from_ns as f64 / 1e9, span as f64 / 1e9);
            writeln!(f, "{} {way}, {from:.1} to {until:.1} s", self.link)?;
            stretch.fmt(f)?;
        }
        let more = used.count().saturating_sub(STRETCHES_SHOWN);
        if more > 0 {
            writeln!(f, "\n{} {way}: {more} more stretches of settings: see --json", self.link)?;
        }
        Ok(())
    }
}

impl Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let several = "several settings, changed faster than they could be told apart";
        row(f, "asked", self.settings.as_deref().unwrap_or(several))?;
        let counts = &self.counts;
        let came = bytes(counts.offered_bytes);
        let left = bytes(counts.delivered_bytes);
        let (offered, delivered) = (counts.offered_packets, counts.delivered_packets);
        row(f, "packets", &format!("{offered} in ({came}), {delivered} out ({left})"))?;
        for (packets, why) in [
            (counts.dropped_inside_packets, "because too many were inside"),
            (counts.dropped_policer_packets, "by the policer"),
            (counts.dropped_aqm_packets, "by active queue management"),
            (counts.dropped_blackout_packets, "in blackouts"),
            (counts.dropped_other_packets, "for other reasons"),
        ] {
            if packets > 0 {
                row(f, "", &format!("{packets} dropped {why}"))?;
            }
        }
        if counts.duplicated_packets > 0 {
            row(f, "", &format!("{} copied", counts.duplicated_packets))?;
        }
        self.rate.iter().try_for_each(|rate| rate.fmt(f))?;
        self.delay.iter().try_for_each(|delay| delay.fmt(f))?;
        self.jitter.iter().try_for_each(|jitter| jitter.fmt(f))?;
        self.loss.iter().try_for_each(|loss| loss.fmt(f))?;
        self.queue.fmt(f)
    }
}

impl Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (achieved, asked) = (bit_rate(self.achieved_bps), bit_rate(self.asked_bps));
        let busy = self.busy_ns as f64 / 1e9;
        let error = self.error * 100.0;
        let text = format!("{achieved} of {asked}: {error:+.2}%, over {busy:.2} s of busy queue");
        row(f, "rate", &text)
    }
}

impl Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99) = (millis(self.p50_ns), millis(self.p99_ns));
        row(f, "delay", &format!("{p50} at the median, {p99} at p99, queue included"))?;
        let [p50, p99, max] = [self.error_p50_ns, self.error_p99_ns, self.error_max_ns].map(millis);
        row(f, "late", &format!("{p50} at the median, {p99} at p99, {max} at most"))?;
        if let Some((p50, p99)) = self.timer_p50_ns.zip(self.timer_p99_ns) {
            let (p50, p99) = (millis(p50), millis(p99));
            row(f, "", &format!("of which the timer: {p50} at the median, {p99} at p99"))?;
        }
        Ok(())
    }
}

impl Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packets, p) = (self.packets, self.p_value);
        let verdict = verdict(self.p_value);
        let text = format!("{verdict} (Kolmogorov-Smirnov, {packets} packets, p = {p:.3})");
        row(f, "jitter", &text)
    }
}

impl Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.asked == Some(0.0) && self.lost_packets == 0 {
            return row(f, "loss", "none, as asked");
        }
        let achieved = percent(round(self.achieved));
        let asked = self.asked.map_or(String::new(), |asked| format!(" of {}", percent(asked)));
        let (low, high) = (percent(round(self.low)), percent(round(self.high)));
        let (lost, tested) = (self.lost_packets, self.tested_packets);
        let text =
            format!("{achieved}{asked}: {lost} of {tested} packets, 95% sure of {low} to {high}");
        row(f, "loss", &text)?;
        if let Some(p) = self.p_value {
            row(f, "", &format!("{} (chi-square, p = {p:.3})", verdict(p)))?;
        }
        let Some((mean, max)) = self.burst_mean.zip(self.burst_max) else { return Ok(()) };
        let asked = self.burst_asked.map_or(String::new(), |asked| format!(" of {asked:.2}"));
        row(f, "bursts", &format!("{mean:.2}{asked} packets on average, {max} at most"))
    }
}

impl Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = format!("{} packets ({}) at most", self.packets_max, bytes(self.bytes_max));
        let waited = self.p50_ns.zip(self.p99_ns).map_or(String::new(), |(p50, p99)| {
            format!("; {} at the median, {} at p99", millis(p50), millis(p99))
        });
        row(f, "queue", &format!("{most}{waited}"))?;
        match self.overflows {
            0 => Ok(()),
            1 => row(f, "", &format!("overflowed once: {} packets dropped", self.dropped_packets)),
            times => {
                let dropped = self.dropped_packets;
                row(f, "", &format!("overflowed {times} times: {dropped} packets dropped"))
            }
        }
    }
}

fn gauges(f: &mut fmt::Formatter<'_>, gauges: &[Gauge]) -> fmt::Result {
    for (place, Gauge { link, name, max, last }) in gauges.iter().enumerate() {
        if place == 0 {
            writeln!(f, "\nBeside the links")?;
        }
        let (name, max, last) = match name.strip_suffix("_bytes") {
            Some(name) => (name.replace('_', " "), bytes(*max), bytes(*last)),
            None => (name.replace('_', " "), max.to_string(), last.to_string()),
        };
        row(f, link, &format!("{name}: {max} at most, {last} at the end"))?;
    }
    Ok(())
}

fn verdict(p_value: f64) -> &'static str {
    if p_value >= P_VALUE_MIN { "as asked" } else { "NOT as asked" }
}

/// A share to the digits that are worth showing.
fn round(share: f64) -> f64 {
    (share * 1e5).round() / 1e5
}

/// A figure under its name.
fn row(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    let mut first = format!("  {name:<9}");
    for line in wrapped(text, COLUMNS - NAME_COLUMNS) {
        writeln!(f, "{first}{line}")?;
        first = " ".repeat(NAME_COLUMNS);
    }
    Ok(())
}

fn paragraph(f: &mut fmt::Formatter<'_>, indent: &str, text: &str) -> fmt::Result {
    wrapped(text, COLUMNS - indent.len()).iter().try_for_each(|line| writeln!(f, "{indent}{line}"))
}

/// The words of a text in lines; a word that is too long has one of its own.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

const COLUMNS: usize = 100;
const NAME_COLUMNS: usize = 11;
const STRETCHES_SHOWN: usize = 12;
/// A test that fails by chance does so in one of a hundred runs.
const P_VALUE_MIN: f64 = 0.01;
