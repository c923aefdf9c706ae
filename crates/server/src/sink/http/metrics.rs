//! Metrics for Prometheus, in its text format (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use weir_net::os;
use weir_proto::http::ResponseHead;

use super::answer::Answer;
use super::viewers::audience;
use crate::shard::Shard;

/// `GET /metrics`.
pub(super) async fn page(shard: &Rc<Shard>) -> Answer {
    let audience = audience(shard).await;
    let context = &shard.context;
    let mut viewers = BTreeMap::from([("rtsp", 0), ("hls", 0), ("dash", 0), ("progressive", 0)]);
    viewers.insert("rtsp", audience.rows.len());
    let sessions_dropped = {
        let sessions = context.http.sessions();
        for (_, session) in sessions.iter() {
            *viewers.entry(session.protocol.unwrap_or("unknown")).or_default() += 1;
        }
        sessions.dropped()
    };
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let counters = &context.http.counters;
    let mut page = Page(String::new());
    let viewers = viewers.iter().map(|(protocol, count)| (*protocol, *count as f64));
    page.several("weir_viewers", "gauge", "Viewers now.", "protocol", viewers);
    let streams = context.hub.live_names().len() as f64;
    page.one("weir_live_streams", "gauge", "Live streams now.", streams);
    let sent = [("rtsp", audience.bytes as f64), ("http", count(&counters.bytes))];
    page.several("weir_sent_bytes_total", "counter", "Bytes sent.", "protocol", sent);
    let responses = CLASSES.into_iter().zip(counters.responses.iter().map(count));
    let help = "HTTP responses by the class of their status.";
    page.several("weir_http_responses_total", "counter", help, "class", responses);
    let help = "HTTP connections now.";
    page.one("weir_http_connections", "gauge", help, count(&counters.connections));
    let help = "HTTP connections beyond the bound, which got a 503.";
    let refused = count(&counters.connections_refused);
    page.one("weir_http_connections_refused_total", "counter", help, refused);
    let help = "Slow viewers moved on to the newest key frame.";
    page.one("weir_skips_total", "counter", help, audience.skips as f64);
    let dropped = [
        ("packets refused by the system", audience.packets_refused as f64),
        ("rtcp of no viewer", context.rtcp_dropped() as f64),
        ("http sessions beyond the bound", sessions_dropped as f64),
        ("http peers that took nothing", count(&counters.stalled)),
        ("http requests that came too slowly", count(&counters.heads_late)),
    ];
    page.several("weir_dropped_total", "counter", "What was dropped.", "what", dropped);
    if let Some(usage) = os::process_usage().filter(|_| !shard.host.is_virtual()) {
        let bytes = usage.resident_bytes as f64;
        page.one("process_resident_memory_bytes", "gauge", "Memory in use.", bytes);
        let seconds = usage.cpu.as_secs_f64();
        page.one("process_cpu_seconds_total", "counter", "Processor time used.", seconds);
    }
    let head = ResponseHead::new(StatusCode::OK)
        .with(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")
        .with(CACHE_CONTROL, "no-store");
    Answer::new(head, page.0)
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn several<'a>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        self.head(name, kind, help);
        for (of, value) in values {
            let _ = writeln!(self.0, "{name}{{{label}=\"{of}\"}} {value}");
        }
    }
}
