// @ts-check
// Reads the time-code strip of each frame that the browser presents.

import { decode, HEIGHT_SHARE } from './timecode.js';

/** @typedef {import('./timecode.js').Code} Code */

/**
 * @typedef {object} Seen a frame with a strip
 * @property {Code} code
 * @property {number} shown_ms when it was shown, as `performance.now()` counts
 * @property {number} media_time_s
 */

/** Watches a video, frame by frame. */
export class StripReader {
  /**
   * @param {HTMLVideoElement} video
   * @param {(seen: Seen) => void} onSeen for each new frame with a strip
   */
  constructor(video, onSeen) {
    this.video = video;
    this.onSeen = onSeen;
    /** Frames whose strip was read. */
    this.read = 0;
    /** Frames that were presented without this reader being called in time. */
    this.skipped = 0;
    /** Frames that were never presented, by the gaps in their numbers. */
    this.not_shown = 0;
    /** @type {Code | null} */
    this.last = null;
    /** Frames in a row without a strip. */
    this.without = 0;
    this.presented = 0;
    const canvas = document.createElement('canvas');
    this.context = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
  }

  /** Whether this browser tells frames one by one. */
  static isPossible() {
    return 'requestVideoFrameCallback' in HTMLVideoElement.prototype;
  }

  start() {
    if (!StripReader.isPossible() || this.context === null) return;
    /** @type {VideoFrameRequestCallback} */
    const onFrame = (_now, frame) => {
      this.video.requestVideoFrameCallback(onFrame);
      this.look(frame);
    };
    this.video.requestVideoFrameCallback(onFrame);
  }

  /** Another place of the stream, or another stream: gaps in the numbers mean nothing. */
  jumped() {
    this.last = null;
    this.without = 0;
  }

  /** Whether the picture has a strip, as far as the last second tells. */
  get hasStrip() {
    return this.last !== null && this.without < LOOK_EACH;
  }

  /** @param {VideoFrameCallbackMetadata} frame */
  look(frame) {
    const jump = frame.presentedFrames - this.presented;
    // The count begins anew with each source.
    const skipped = this.presented > 0 && jump > 1 ? jump - 1 : 0;
    this.presented = frame.presentedFrames;
    // Pictures without a strip are looked at now and then only.
    if (this.without >= LOOK_EACH && frame.presentedFrames % LOOK_EACH !== 0) return;
    const code = this.decode(frame.width, frame.height);
    if (code === null) {
      this.without++;
      return;
    }
    if (this.without < LOOK_EACH) this.skipped += skipped;
    this.without = 0;
    const gap = this.last ? code.frame_number - this.last.frame_number : 1;
    if (gap === 0) return;
    if (gap > 1 && gap < GAP_MAX) this.not_shown += Math.max(0, gap - 1 - skipped);
    this.last = code;
    this.read++;
    this.onSeen({ code, shown_ms: shownAt(frame), media_time_s: frame.mediaTime });
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  decode(width, height) {
    const context = this.context;
    if (context === null || width === 0 || height === 0) return null;
    const strip_height = height * HEIGHT_SHARE;
    const scale = Math.min(1, WIDTH_MAX / width);
    const canvas = context.canvas;
    const [w, h] = [Math.round(width * scale), Math.round(strip_height * scale)];
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
    }
    context.drawImage(this.video, 0, 0, width, strip_height, 0, 0, w, h);
    return decode(context.getImageData(0, 0, w, h));
  }
}

/**
 * When a frame reaches the screen, as far as the browser says.
 * @param {VideoFrameCallbackMetadata} frame
 */
function shownAt(frame) {
  const after = frame.expectedDisplayTime - frame.presentationTime;
  return after >= 0 && after < DISPLAY_DELAY_MAX_MS ? frame.expectedDisplayTime : frame.presentationTime;
}

/** The strip is read at this width at most: 16 pixels a cell. */
const WIDTH_MAX = 640;
/** After so many frames without a strip, only one of so many is looked at. */
const LOOK_EACH = 30;
/** A longer gap in the numbers is a jump in the stream, not frames left out. */
const GAP_MAX = 300;
const DISPLAY_DELAY_MAX_MS = 100;
