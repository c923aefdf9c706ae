//! Traces and results that others have published, where they are at hand: `WEIR_ORACLES` names
//! their folder, else it is `shared/oracles` beside the project's.

use std::fs;
use std::path::PathBuf;

use super::*;

fn folder(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracles"));
    let folder = std::env::var_os("WEIR_ORACLES").map_or_else(beside, PathBuf::from).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no {}", folder.display());
    None
}

fn texts(folder: &std::path::Path) -> Vec<(String, String)> {
    let mut texts: Vec<_> = fs::read_dir(folder)
        .expect("it is a folder")
        .map(|entry| {
            let path = entry.expect("it is listed").path();
            let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("it is text"))
        })
        .collect();
    texts.sort();
    texts
}

/// The virtual time at which a session stands, and the milliseconds in its buffer.
struct Session<'a> {
    rates: &'a Rates,
    now: u64,
    buffer_ms: f64,
}

impl Session<'_> {
    /// Downloads a chunk: 0.95 of the rate is payload, and 80 ms are on top. Gives the time that it
    /// took; the client waits in steps of 500 ms while it has more than 60 s.
    fn download(&mut self, bytes: f64) -> f64 {
        let work = (bytes / 0.95 * 8e9).round() as u128;
        let (done, _) = self.rates.time_of(self.rates.work_until(self.now) + work);
        let took_ms = (done - self.now) as f64 / 1e6 + 80.0;
        self.now = done;
        self.buffer_ms = (self.buffer_ms - took_ms).max(0.0) + 4000.0;
        while self.buffer_ms > 60_000.0 {
            self.buffer_ms -= 500.0;
            self.now += 500 * MILLI;
        }
        took_ms
    }
}

#[test]
fn downloads_over_3g_take_as_long_as_was_published() {
    let (Some(traces), Some(logs)) = (folder("abr/norway3g"), folder("abr/norway3g-logs")) else {
        return;
    };
    let mut chunks = 0;
    for (name, log) in texts(&logs) {
        let name = name.strip_prefix("log_sim_rl_").expect("logs are named so");
        let text = fs::read_to_string(traces.join(name)).expect("each log has a trace");
        let trace = Trace::read(name, &text).expect("it is a trace");
        let Pace::Rates(rates) = trace.pace() else { panic!("{name} is of rates") };
        let mut session = Session { rates, now: 0, buffer_ms: 0.0 };
        for (number, line) in log.lines().enumerate() {
            let columns: Vec<f64> = line.split('\t').filter_map(|text| text.parse().ok()).collect();
            let (Some(bytes), Some(published_ms)) = (columns.get(4), columns.get(5)) else {
                continue;
            };
            let took_ms = session.download(*bytes);
            // They count in seconds as floating point, we in whole nanoseconds and bits.
            let error_ms = (took_ms - published_ms).abs();
            assert!(error_ms < 0.05, "{name}, chunk {number}: {took_ms} {published_ms}");
            chunks += 1;
        }
    }
    assert!(chunks > 1000, "{chunks}");
}

#[test]
fn every_published_trace_is_read_and_keeps_its_meaning_in_every_format() {
    let mut read = 0;
    for name in ["abr/norway3g", "abr/sabre/3Glogs", "abr/sabre/4Glogs"] {
        let Some(folder) = folder(name) else { return };
        for (name, text) in texts(&folder) {
            let trace = Trace::read(&name, &text).unwrap_or_else(|error| panic!("{error}"));
            let window = Duration::from_secs(1);
            for format in [Format::Json, Format::Csv, Format::TimeRate] {
                let (text, _) = trace.write(format, window).expect("it can be written");
                let again = Trace::read_as(format, &name, &text).expect("it was just written");
                let (Pace::Rates(one), Pace::Rates(other)) = (trace.pace(), again.pace()) else {
                    panic!("both are of rates");
                };
                assert_eq!(one.sums, other.sums, "{name} as {}", format.name());
            }
            let (text, _) = trace.write(Format::Mahimahi, window).expect("it can be written");
            let again = Trace::read(&name, &text).expect("it was just written");
            assert_eq!(again.length().as_millis(), trace.length().as_nanos().div_ceil(1_000_000));
            assert!(trace.bytes() - again.bytes() < 1500.0, "{name}");
            read += 1;
        }
    }
    assert_eq!(read, 142 + 86 + 40);
}
