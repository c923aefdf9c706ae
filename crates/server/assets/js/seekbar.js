// @ts-check
// The seek bar: where the picture is, what is buffered, and what time a place stands for.

import { must } from './dom.js';
import { clockTime, spokenTime } from './format.js';

/** @typedef {import('./playback.js').Playback} Playback */

export class SeekBar {
  /**
   * @param {HTMLVideoElement} video
   * @param {Playback} playback
   */
  constructor(video, playback) {
    this.video = video;
    this.playback = playback;
    this.box = must('seek-box', HTMLElement);
    this.input = must('seek', HTMLInputElement);
    this.tip = must('seek-tip', HTMLOutputElement);
    this.played = must('played', HTMLElement);
    this.buffered = must('buffered', HTMLCanvasElement);
    /** While somebody drags, the thumb is theirs. */
    this.dragging = false;
    this.listen();
  }

  /** Shows how things stand. */
  draw() {
    const window = this.playback.window();
    this.box.hidden = window === undefined || window.end_s <= window.start_s;
    if (window === undefined || this.box.hidden) return;
    if (!this.dragging) {
      this.input.value = String(share(this.video.currentTime, window));
      this.input.setAttribute('aria-valuetext', this.spoken(this.video.currentTime, window));
    }
    this.played.style.setProperty('--played', this.input.value);
    this.drawBuffered(window);
  }

  listen() {
    const { input, box } = this;
    input.addEventListener('pointerdown', () => { this.dragging = true; });
    for (const event of ['pointerup', 'pointercancel', 'change']) {
      input.addEventListener(event, () => { this.dragging = false; });
    }
    input.addEventListener('input', () => {
      const window = this.playback.window();
      if (window === undefined) return;
      this.video.currentTime = window.start_s + input.valueAsNumber * (window.end_s - window.start_s);
      this.played.style.setProperty('--played', input.value);
    });
    box.addEventListener('pointermove', (event) => this.showTip(event.clientX));
    box.addEventListener('pointerleave', () => { this.tip.hidden = true; });
  }

  /** @param {number} client_x */
  showTip(client_x) {
    const window = this.playback.window();
    const box = this.box.getBoundingClientRect();
    if (window === undefined || box.width === 0) return;
    const at = Math.min(1, Math.max(0, (client_x - box.left) / box.width));
    const time_s = window.start_s + at * (window.end_s - window.start_s);
    this.tip.value = this.playback.isLive ? behind(window.end_s - time_s) : clockTime(time_s);
    this.tip.hidden = false;
    const margin = this.tip.offsetWidth / 2;
    this.tip.style.setProperty('--at', `${Math.min(box.width - margin, Math.max(margin, at * box.width))}px`);
  }

  /** @param {{start_s: number, end_s: number}} window */
  drawBuffered(window) {
    const context = this.buffered.getContext('2d');
    if (context === null) return;
    const { width } = this.buffered;
    context.clearRect(0, 0, width, 1);
    context.fillStyle = 'rgb(255 255 255 / 45%)';
    const { buffered } = this.video;
    for (let i = 0; i < buffered.length; i++) {
      const from = share(buffered.start(i), window) * width;
      context.fillRect(from, 0, share(buffered.end(i), window) * width - from, 1);
    }
  }

  /**
   * @param {number} time_s
   * @param {{start_s: number, end_s: number}} window
   */
  spoken(time_s, window) {
    if (this.playback.isLive) return `${spokenTime(window.end_s - time_s)} behind live`;
    return `${spokenTime(time_s)} of ${spokenTime(window.end_s)}`;
  }
}

/**
 * @param {number} seconds behind the live edge
 */
export function behind(seconds) {
  return seconds < 1 ? 'live' : `−${clockTime(seconds)}`;
}

/**
 * @param {number} time_s
 * @param {{start_s: number, end_s: number}} window
 */
function share(time_s, window) {
  return Math.min(1, Math.max(0, (time_s - window.start_s) / (window.end_s - window.start_s)));
}
