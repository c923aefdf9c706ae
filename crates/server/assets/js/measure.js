// @ts-check
// What the viewer gets, measured: startup, stalls, seeks, frames, and the age of each picture.

import { Samples, summary } from './quantiles.js';
import { StripReader } from './strip.js';

/** @typedef {import('./clock.js').ServerClock} ServerClock */
/** @typedef {import('./playback.js').Playback} Playback */
/** @typedef {import('./quantiles.js').Summary} Summary */
/** @typedef {import('./timecode.js').Code} Code */

/**
 * What is not known is absent.
 * @typedef {object} Measures
 * @property {number} [startup_ms] from navigation, or from the click that began it, to the first frame
 * @property {number} stalls
 * @property {number} stalled_ms
 * @property {Summary} [seek_ms] from asking to the first frame of the new place
 * @property {number} [seek_last_ms]
 * @property {number} [buffer_ms]
 * @property {number} [frames_dropped]
 * @property {number} [frames_decoded]
 * @property {number} [throughput_bps]
 * @property {Summary} [latency_ms] over the last minute
 * @property {number} [latency_now_ms]
 * @property {Summary} [skew_ms] beep against flash
 * @property {{offset_ms: number, uncertainty_ms: number}} [clock]
 * @property {'live' | 'recorded'} [strip]
 * @property {number} [frame_number]
 * @property {number} [frames_read]
 * @property {number} [frames_skipped_by_reader]
 * @property {number} [frames_not_shown]
 */

export class Measure {
  /**
   * @param {HTMLVideoElement} video
   * @param {Playback} playback
   * @param {ServerClock} clock
   */
  constructor(video, playback, clock) {
    this.video = video;
    this.playback = playback;
    this.clock = clock;
    /** When watching was asked for; 0 is the navigation. */
    this.asked_ms = 0;
    /** @type {number | undefined} */
    this.startup_ms = undefined;
    this.stalls = 0;
    this.stalled_ms = 0;
    /** @type {number | null} */
    this.stall_began_ms = null;
    /** @type {number | null} */
    this.seek_began_ms = null;
    /** @type {number[]} */
    this.seeks_ms = [];
    this.latency = new Samples(WINDOW_MS);
    /** Latencies since they were last reported. @type {number[]} */
    this.unreported_ms = [];
    /** @type {Summary | undefined} */
    this.skew_ms = undefined;
    this.reader = new StripReader(video, (seen) => this.onSeen(seen));
    this.listen();
    this.reader.start();
  }

  /** Somebody pressed play on what had not begun: startup counts from here. */
  askedNow() {
    if (this.startup_ms === undefined) this.asked_ms = performance.now();
  }

  /** @returns {Measures} */
  now() {
    const quality = this.video.getVideoPlaybackQuality?.();
    const code = this.reader.hasStrip ? this.reader.last : null;
    this.latency.forget(performance.now());
    const reads = this.reader.read > 0;
    return {
      startup_ms: this.startup_ms,
      stalls: this.stalls,
      stalled_ms: this.stalled_ms + (this.stall_began_ms === null ? 0 : performance.now() - this.stall_began_ms),
      seek_ms: summary(this.seeks_ms),
      seek_last_ms: this.seeks_ms.at(-1),
      buffer_ms: bufferAhead_ms(this.video),
      frames_dropped: quality?.droppedVideoFrames,
      frames_decoded: quality?.totalVideoFrames,
      throughput_bps: this.playback.throughput_bps(),
      latency_ms: this.latency.summary(),
      latency_now_ms: code?.live ? this.latency.list.at(-1)?.value : undefined,
      skew_ms: this.skew_ms,
      clock: this.clock.estimate(),
      strip: code ? (code.live ? 'live' : 'recorded') : undefined,
      frame_number: code?.frame_number,
      frames_read: reads ? this.reader.read : undefined,
      frames_skipped_by_reader: reads ? this.reader.skipped : undefined,
      frames_not_shown: reads ? this.reader.not_shown : undefined,
    };
  }

  /** Latencies since the last call. */
  takeLatency() {
    const taken = summary(this.unreported_ms);
    this.unreported_ms = [];
    return taken;
  }

  listen() {
    const { video } = this;
    this.onFirstFrame(() => {
      if (this.startup_ms === undefined) this.startup_ms = performance.now() - this.asked_ms;
    });
    video.addEventListener('waiting', () => {
      const begun = this.startup_ms !== undefined;
      if (begun && !video.seeking && !video.paused && this.seek_began_ms === null) this.stall_began_ms ??= performance.now();
    });
    for (const event of ['playing', 'pause', 'seeking', 'ended', 'emptied']) {
      video.addEventListener(event, () => this.endStall());
    }
    video.addEventListener('timeupdate', () => {
      if (video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA) this.endStall();
    });
    video.addEventListener('seeking', () => {
      this.reader.jumped();
      if (this.startup_ms === undefined) return;
      this.seek_began_ms ??= performance.now();
    });
    video.addEventListener('seeked', () => {
      const began_ms = this.seek_began_ms;
      if (began_ms === null) return;
      this.onFirstFrame(() => {
        if (this.seek_began_ms !== began_ms || video.seeking) return;
        this.seek_began_ms = null;
        this.seeks_ms = [...this.seeks_ms, performance.now() - began_ms].slice(-SEEKS_MAX);
      });
    });
    video.addEventListener('emptied', () => {
      this.reader.jumped();
      this.seek_began_ms = null;
    });
  }

  endStall() {
    if (this.stall_began_ms === null) return;
    const stalled_ms = performance.now() - this.stall_began_ms;
    this.stall_began_ms = null;
    if (stalled_ms < STALL_MIN_MS) return;
    this.stalls++;
    this.stalled_ms += stalled_ms;
  }

  /** @param {() => void} then at the next frame that is presented */
  onFirstFrame(then) {
    if (StripReader.isPossible()) this.video.requestVideoFrameCallback(then);
    else if (this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) then();
    else this.video.addEventListener('loadeddata', then, { once: true });
  }

  /** @param {import('./strip.js').Seen} seen */
  onSeen({ code, shown_ms }) {
    const utc_ms = this.clock.utcAt(shown_ms);
    if (!code.live || utc_ms === undefined || this.video.paused) return;
    const latency_ms = utc_ms - code.captured_ms;
    this.latency.add(shown_ms, latency_ms);
    if (this.unreported_ms.length < UNREPORTED_MAX) this.unreported_ms.push(latency_ms);
  }
}

/**
 * How much is there to play without a further byte.
 * @param {HTMLVideoElement} video
 */
export function bufferAhead_ms(video) {
  const { buffered, currentTime } = video;
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) <= currentTime + JOIN_S && currentTime < buffered.end(i)) {
      return (buffered.end(i) - currentTime) * 1000;
    }
  }
  return video.readyState > HTMLMediaElement.HAVE_NOTHING ? 0 : undefined;
}

/** Latencies older than this are forgotten. */
export const WINDOW_MS = 60_000;
/** A shorter wait is not seen by anybody. */
const STALL_MIN_MS = 50;
const SEEKS_MAX = 200;
const UNREPORTED_MAX = 3600;
/** Media may begin a little after the place that was asked for. */
const JOIN_S = 0.1;
