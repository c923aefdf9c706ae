//! One line that shows what goes over the links now.

use std::io::IsTerminal;

use weir_emulator::{Command, DirectionStatus, LinkStatus, Remote, Reply};
use weir_net::terminal_columns;
use weir_time::Instant;

use crate::log;

/// The line, where standard error is a terminal.
pub(super) struct Live {
    remote: Remote,
    is_shown: bool,
    was_shown: bool,
    last: Option<(Instant, Vec<LinkStatus>)>,
}

impl Live {
    pub(super) fn new(remote: Remote, is_wanted: bool) -> Self {
        let is_shown = is_wanted && std::io::stderr().is_terminal();
        Live { remote, is_shown, was_shown: false, last: None }
    }

    pub(super) fn show(&mut self, now: Instant) {
        if !self.is_shown {
            return;
        }
        let Reply::Links(links) = self.remote.ask(Command::Show) else { return };
        if let Some((since, before)) = &self.last {
            let seconds = now.since(*since).as_secs_f64();
            let texts = before.iter().zip(&links).map(|(before, link)| one(before, link, seconds));
            let mut line = texts.collect::<Vec<_>>().join("   ");
            let columns = usize::from(terminal_columns().unwrap_or(80)).saturating_sub(1);
            if let Some((cut, _)) = line.char_indices().nth(columns) {
                line.truncate(cut);
            }
            log::show(&format!("\r{line}\x1b[K"));
            self.was_shown = true;
        }
        self.last = Some((now, links));
    }

    pub(super) fn end(&mut self) {
        if self.was_shown {
            log::show("\r\x1b[K");
        }
    }
}

fn one(before: &LinkStatus, link: &LinkStatus, seconds: f64) -> String {
    let up = way(&before.up, &link.up, seconds);
    format!("{} up {up} | down {}", link.name, way(&before.down, &link.down, seconds))
}

fn way(before: &DirectionStatus, now: &DirectionStatus, seconds: f64) -> String {
    let bytes = now.counters.delivered_bytes - before.counters.delivered_bytes;
    let offered = now.counters.offered_packets - before.counters.offered_packets;
    let dropped = now.counters.dropped_packets() - before.counters.dropped_packets();
    let mbit = bytes as f64 * 8.0 / seconds.max(1e-9) / 1e6;
    let mut text = format!("{mbit:.2} Mbit/s");
    if now.queue_packets > 0 {
        text += &format!(", {} queued", now.queue_packets);
    }
    if dropped > 0 && offered > 0 {
        text += &format!(", {:.1} % dropped", 100.0 * dropped as f64 / offered as f64);
    }
    text
}
