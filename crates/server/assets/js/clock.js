// @ts-check
// The server's clock, judged by round trips: half of the shortest is how far off it may be.

import { serverTime } from './api.js';

export class ServerClock {
  constructor() {
    /** @type {{at_ms: number, offset_ms: number, round_trip_ms: number}[]} */
    this.trips = [];
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** Asks now and then from now on. */
  start() {
    const ask = async (/** @type {number} */ times) => {
      for (let i = 0; i < times; i++) {
        if (!document.hidden) await this.trip();
      }
      this.timer = setTimeout(() => ask(TRIPS), EVERY_MS);
    };
    void ask(TRIPS_AT_START);
  }

  /** What to add to this page's clock, and how far off that may be; absent before an answer. */
  estimate() {
    const best = this.trips.reduce(
      (/** @type {typeof this.trips[0] | undefined} */ a, b) => (a && a.round_trip_ms <= b.round_trip_ms ? a : b), undefined);
    if (best === undefined) return undefined;
    return { offset_ms: best.offset_ms, uncertainty_ms: best.round_trip_ms / 2 + RESOLUTION_MS / 2 };
  }

  /**
   * The server's time at a moment of this page's clock.
   * @param {number} page_ms as `performance.now()` counts
   * @returns {number | undefined} UTC in milliseconds
   */
  utcAt(page_ms) {
    const estimate = this.estimate();
    return estimate && performance.timeOrigin + page_ms + estimate.offset_ms;
  }

  async trip() {
    const sent_ms = performance.now();
    let utc_ms;
    try {
      utc_ms = await serverTime();
    } catch {
      return;
    }
    const got_ms = performance.now();
    const middle_ms = performance.timeOrigin + (sent_ms + got_ms) / 2;
    this.trips.push({
      at_ms: got_ms,
      // The server says whole milliseconds, cut off.
      offset_ms: utc_ms + RESOLUTION_MS / 2 - middle_ms,
      round_trip_ms: got_ms - sent_ms,
    });
    this.trips = this.trips.filter((trip) => trip.at_ms > got_ms - KEPT_MS).slice(-TRIPS_MAX);
  }
}

const RESOLUTION_MS = 1;
const TRIPS_AT_START = 6;
const TRIPS = 2;
const TRIPS_MAX = 64;
const EVERY_MS = 15_000;
/** Clocks drift: an older trip says little. */
const KEPT_MS = 180_000;
