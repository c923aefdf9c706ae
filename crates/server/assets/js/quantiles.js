// @ts-check
// Samples of a bounded time, and their quantiles.

/**
 * @typedef {{p50: number, p95: number, p99: number, count: number}} Summary
 */

/** Samples not older than `kept_ms`, and at most `COUNT_MAX`. */
export class Samples {
  /** @param {number} kept_ms */
  constructor(kept_ms) {
    this.kept_ms = kept_ms;
    /** Oldest first. @type {{at_ms: number, value: number}[]} */
    this.list = [];
  }

  /**
   * @param {number} at_ms
   * @param {number} value
   */
  add(at_ms, value) {
    this.list.push({ at_ms, value });
    if (this.list.length > COUNT_MAX) this.list.splice(0, this.list.length - COUNT_MAX);
    this.forget(at_ms);
  }

  /** @param {number} now_ms */
  forget(now_ms) {
    let old = 0;
    while (old < this.list.length && this.list[old].at_ms < now_ms - this.kept_ms) old++;
    if (old > 0) this.list.splice(0, old);
  }

  clear() {
    this.list = [];
  }

  /** @returns {Summary | undefined} nothing of no samples */
  summary() {
    return summary(this.list.map((sample) => sample.value));
  }
}

/**
 * Nearest-rank quantiles.
 * @param {number[]} values
 * @returns {Summary | undefined}
 */
export function summary(values) {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (/** @type {number} */ q) => sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)];
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), count: sorted.length };
}

/** Three minutes at 60 frames a second. */
const COUNT_MAX = 10_800;
