// @ts-check
// Leaves what the page measured with the server: every few seconds, and when the page goes away.

import { postMeasures } from './api.js';

/**
 * @param {string} token
 * @param {string} name of the stream
 * @param {import('./measure.js').Measure} measure
 */
export function reportMeasures(token, name, measure) {
  let failures = 0;
  let sent = '';

  /** @param {boolean} at_end */
  async function send(at_end) {
    const body = bodyOf(name, measure);
    // A page that stands still has nothing new to say.
    const says = JSON.stringify({ ...body, at_utc_ms: 0, buffer_ms: 0 });
    if (failures >= FAILURES_MAX || measure.startup_ms === undefined || (says === sent && !at_end)) return;
    const worked = await postMeasures(token, body, at_end);
    sent = worked ? says : '';
    failures = worked ? 0 : failures + 1;
  }

  setInterval(() => void send(false), EVERY_MS);
  addEventListener('pagehide', () => void send(true));
}

/**
 * Counters are totals since the page began; latencies are those since the last report.
 * @param {string} name
 * @param {import('./measure.js').Measure} measure
 */
function bodyOf(name, measure) {
  const now = measure.now();
  const round = (/** @type {number | undefined} */ value) => (value === undefined ? undefined : Math.round(value));
  const latency = measure.takeLatency();
  return {
    stream: name,
    at_utc_ms: Math.round(measure.clock.utcAt(performance.now()) ?? performance.timeOrigin + performance.now()),
    startup_ms: round(now.startup_ms),
    stalls: now.stalls,
    stalled_ms: Math.round(now.stalled_ms),
    buffer_ms: round(now.buffer_ms),
    frames_dropped: now.frames_dropped,
    frames_decoded: now.frames_decoded,
    throughput_bps: round(now.throughput_bps),
    latency_ms: latency && {
      p50: Math.round(latency.p50), p95: Math.round(latency.p95), p99: Math.round(latency.p99), count: latency.count,
    },
    frames_skipped_by_reader: now.frames_skipped_by_reader,
  };
}

const EVERY_MS = 5000;
/** A server that refuses so often in a row is not asked again. */
const FAILURES_MAX = 5;
