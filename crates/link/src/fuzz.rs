//! Entries for fuzzing: whatever the bytes, none may panic, and what was read is written and read
//! back the same.

use core::time::Duration;

use crate::trace::{Format, PlotText, Stats, plot_text, svg};
use crate::{Change, Schedule, Settings, Table, Trace};

/// Reads `data` as a trace and as a table of delays.
pub fn fuzz_trace(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = Table::read("fuzz", &text);
    let Ok(trace) = Trace::read("fuzz", &text) else { return };
    let window = Duration::from_secs(1);
    let formats = [Format::Mahimahi, Format::TimeRate, Format::Json, Format::Csv];
    // Longer ones only take longer: they are made into as many windows.
    if trace.length() > Duration::from_secs(10_000) || trace.bytes() > 1e8 {
        return;
    }
    for format in formats {
        let Ok((written, _)) = trace.write(format, window) else { continue };
        let again = Trace::read_as(format, "fuzz", &written).expect("it was written just now");
        let (twice, notes) = again.write(format, window).expect("it was written before");
        assert_eq!((written, notes.len()), (twice, 0));
    }
    let _ = Stats::of(&trace, window);
    let _ = plot_text(&trace, PlotText { columns: 80, lines: 10 });
    let _ = svg(&trace, window);
}

/// Reads `data` as a change of settings and as a schedule. Files that they name hold a short trace.
pub fn fuzz_link_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let load = |_: &str| Ok("1\n2\n3\n".to_owned());
    if let Ok(change) = Change::from_text(&text, &load) {
        let again = Change::from_text(&change.to_string(), &load);
        assert_eq!(again.as_ref(), Ok(&change));
        let mut settings = Settings::default();
        change.apply(&mut settings);
        settings.check().expect("each setting was checked");
    }
    if let Ok(schedule) = Schedule::from_text(&text, &load) {
        let again = Schedule::from_text(&schedule.to_string(), &load);
        assert_eq!(again, Ok(schedule));
    }
}
