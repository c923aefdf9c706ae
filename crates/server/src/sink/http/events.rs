//! What pages measure, written down as records.

use std::rc::Rc;

use http::StatusCode;
use serde::Deserialize;
use weir_record::event;

use super::answer::Answer;
use super::connection::Request;
use super::names::authorize;
use super::sessions::is_token;
use crate::access::Action;
use crate::shard::Shard;

/// The body of `POST /api/v1/sessions/TOKEN/events`: totals since the page began to play.
#[derive(Deserialize)]
struct Measured {
    stream: String,
    at_utc_ms: f64,
    startup_ms: Option<f64>,
    stalls: Option<u64>,
    stalled_ms: Option<f64>,
    buffer_ms: Option<f64>,
    frames_dropped: Option<u64>,
    frames_decoded: Option<u64>,
    throughput_bps: Option<f64>,
    latency_ms: Option<Latency>,
    frames_skipped_by_reader: Option<u64>,
}

#[derive(Deserialize)]
struct Latency {
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    count: Option<u64>,
}

/// Takes what a page has measured.
pub(super) async fn take(shard: &Rc<Shard>, request: &Request, token: &str) -> Answer {
    let refuse = |status, error: &str| {
        let hint = "Expected a JSON object with `stream`, `at_utc_ms` and what was measured";
        Answer::json_error(status, error, hint)
    };
    if !is_token(token) {
        return refuse(StatusCode::BAD_REQUEST, "a token has 16 to 64 hexadecimal digits");
    }
    let measured: Measured = match serde_json::from_slice(&request.body) {
        Ok(measured) => measured,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if let Err(denied) = authorize(shard, Action::Play, &measured.stream, request) {
        return *denied;
    }
    if !shard.context.hub.knows(&shard.host, &measured.stream).await {
        return refuse(StatusCode::NOT_FOUND, "there is no such stream");
    }
    shard.context.records.emit(shard.host.now(), report(token, &measured));
    Answer::empty(StatusCode::NO_CONTENT)
}

fn report(token: &str, measured: &Measured) -> event::PageReport {
    let latency = measured.latency_ms.as_ref();
    event::PageReport {
        session: token.into(),
        stream: measured.stream.as_str().into(),
        utc_ns: ns(Some(measured.at_utc_ms)).unwrap_or(0),
        startup_ns: ns(measured.startup_ms),
        stalls: measured.stalls,
        stalled_ns: ns(measured.stalled_ms),
        buffer_ns: ns(measured.buffer_ms),
        frames_decoded: measured.frames_decoded,
        frames_dropped: measured.frames_dropped,
        throughput_bps: measured.throughput_bps.filter(|rate| *rate >= 0.0).map(|rate| rate as u64),
        latency_frames: latency.and_then(|latency| latency.count),
        latency_p50_ns: ns_signed(latency.and_then(|latency| latency.p50)),
        latency_p95_ns: ns_signed(latency.and_then(|latency| latency.p95)),
        latency_p99_ns: ns_signed(latency.and_then(|latency| latency.p99)),
        frames_skipped_by_reader: measured.frames_skipped_by_reader,
    }
}

/// Milliseconds as whole nanoseconds; what is negative was not measured.
fn ns(ms: Option<f64>) -> Option<u64> {
    ms.filter(|ms| *ms >= 0.0).map(|ms| (ms * 1e6).round() as u64)
}

/// A latency is negative where the clocks of page and server differ by more than it.
fn ns_signed(ms: Option<f64>) -> Option<i64> {
    ms.map(|ms| (ms * 1e6).round() as i64)
}
