// @ts-check
// The statistics overlay, and its copies as text and JSON.

import { MinuteChart } from './chart.js';
import { copy } from './clipboard.js';
import { make, must, setText } from './dom.js';
import { bitrate, milliseconds } from './format.js';
import { bufferAhead_ms, WINDOW_MS } from './measure.js';
import { browserName } from './problems.js';
import { WAY_NAMES } from './playback.js';
import { Samples } from './quantiles.js';
import { StripReader } from './strip.js';

/** @typedef {import('./measure.js').Measures} Measures */

export class Stats {
  /**
   * @param {HTMLVideoElement} video
   * @param {import('./playback.js').Playback} playback
   * @param {import('./measure.js').Measure} measure
   * @param {string} token
   */
  constructor(video, playback, measure, token) {
    this.video = video;
    this.playback = playback;
    this.measure = measure;
    this.token = token;
    this.panel = must('stats', HTMLElement);
    this.toggleButton = must('stats-toggle', HTMLButtonElement);
    this.rows = must('stats-rows', HTMLDListElement);
    this.buffer = new Samples(WINDOW_MS);
    this.chart = new MinuteChart(must('chart', HTMLElement), WINDOW_MS);
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    setInterval(() => this.tick(), calm ? CALM_MS : DRAW_MS);
    this.toggleButton.addEventListener('click', () => this.toggle());
    must('stats-close', HTMLButtonElement).addEventListener('click', () => {
      this.toggle();
      this.toggleButton.focus();
    });
    this.copyOn(must('copy-text', HTMLButtonElement), () => this.text());
    this.copyOn(must('copy-json', HTMLButtonElement), () => JSON.stringify(this.json(), null, 2));
  }

  toggle() {
    this.panel.hidden = !this.panel.hidden;
    this.toggleButton.setAttribute('aria-pressed', String(!this.panel.hidden));
    this.tick();
  }

  /** As lines of text. */
  text() {
    const now = this.measure.now();
    const lines = [...ageLines(now, this.playback.isLive), ...this.lines(now)].map(([what, value]) => `${what}: ${value}`);
    return [`weir, ${this.playback.stream.name}, ${new Date().toISOString()}`, browserName(), ...lines].join('\n');
  }

  /** All that is measured; what is not known is absent. */
  json() {
    return {
      stream: this.playback.stream.name,
      session: this.token,
      at_utc_ms: Math.round(this.measure.clock.utcAt(performance.now()) ?? Date.now()),
      browser: browserName(),
      transport: this.playback.way,
      quality: this.playback.qualityText(),
      width: this.video.videoWidth || undefined,
      height: this.video.videoHeight || undefined,
      behind_playlist_ms: ms(this.playback.behindPlaylist_s()),
      ...this.measure.now(),
    };
  }

  tick() {
    const now_ms = performance.now();
    const buffer_ms = bufferAhead_ms(this.video);
    if (buffer_ms !== undefined) this.buffer.add(now_ms, buffer_ms);
    if (this.panel.hidden) return;
    const now = this.measure.now();
    this.drawAge(now);
    this.drawRows(this.lines(now));
    const ages = now.latency_ms !== undefined;
    setText(must('chart-title', HTMLElement), `${ages ? 'Age of the picture' : 'Buffer'}, ms, last minute`);
    this.chart.draw(ages ? this.measure.latency : this.buffer, now_ms);
  }

  /** @param {Measures} now */
  drawAge(now) {
    const known = now.latency_now_ms !== undefined && now.latency_ms !== undefined;
    must('age', HTMLElement).classList.toggle('none', !known);
    if (known) setText(must('age-now', HTMLElement), milliseconds(now.latency_now_ms ?? 0));
    const marks = must('age-marks', HTMLDListElement);
    const values = now.latency_ms ? [['p50', now.latency_ms.p50], ['p95', now.latency_ms.p95], ['p99', now.latency_ms.p99]] : [];
    fillPairs(marks, values.map(([name, value]) => [String(name), milliseconds(Number(value))]), true);
    setText(must('age-note', HTMLElement), ageNote(now, this.playback.isLive));
  }

  /** @param {[string, string][]} lines */
  drawRows(lines) {
    fillPairs(this.rows, lines, false);
  }

  /**
   * @param {Measures} now
   * @returns {[string, string][]}
   */
  lines(now) {
    /** @type {[string, string | undefined][]} */
    const lines = [
      ['Startup', now.startup_ms === undefined ? undefined : milliseconds(now.startup_ms)],
      ['Stalls', now.stalls === 0 && now.stalled_ms === 0 ? 'none' : `${now.stalls}, ${milliseconds(now.stalled_ms)} in all`],
      ['Seek to picture', now.seek_ms && `${milliseconds(now.seek_last_ms ?? 0)}, p95 ${milliseconds(now.seek_ms.p95)} of ${now.seek_ms.count}`],
      ['Buffer', now.buffer_ms === undefined ? undefined : milliseconds(now.buffer_ms)],
      ['Behind the playlist', this.playback.behindPlaylist_s()?.toFixed(1).concat(' s')],
      ['Frames', now.frames_decoded === undefined ? undefined : `${now.frames_decoded} decoded, ${now.frames_dropped} dropped`],
      ['Throughput', now.throughput_bps === undefined ? undefined : bitrate(now.throughput_bps)],
      ['Transport', this.playback.way ? WAY_NAMES[this.playback.way] : undefined],
      ['Quality', this.playback.way ? this.playback.qualityText() : undefined],
      ['Resolution', this.video.videoWidth ? `${this.video.videoWidth}×${this.video.videoHeight}` : undefined],
      ['Beep against flash', now.skew_ms && `${signed(now.skew_ms.p50)}, p95 ${milliseconds(now.skew_ms.p95)} of ${now.skew_ms.count}`],
      ['Server clock', now.clock && `${signed(now.clock.offset_ms)} ± ${now.clock.uncertainty_ms.toFixed(1)} ms`],
      ['Strips read', now.frames_read === undefined ? undefined
        : `${now.frames_read}, ${now.frames_skipped_by_reader || 'none'} skipped by the reader`],
      ['Frames not shown', now.frames_not_shown ? String(now.frames_not_shown) : undefined],
      ['Session', this.token.slice(0, 8)],
    ];
    return /** @type {[string, string][]} */ (lines.filter(([, value]) => value !== undefined && value !== ''));
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {() => string} text
   */
  copyOn(button, text) {
    const says = button.textContent ?? '';
    button.addEventListener('click', async () => {
      button.textContent = (await copy(text())) ? 'Copied' : 'Refused';
      setTimeout(() => { button.textContent = says; }, COPIED_MS);
    });
  }
}

/**
 * @param {Measures} now
 * @param {boolean} is_live
 * @returns {[string, string][]}
 */
function ageLines(now, is_live) {
  const ages = now.latency_ms;
  if (ages === undefined) return [['Age of the picture', ageNote(now, is_live)]];
  return [[
    'Age of the picture',
    `p50 ${milliseconds(ages.p50)}, p95 ${milliseconds(ages.p95)}, p99 ${milliseconds(ages.p99)} of ${ages.count} frames; ${ageNote(now, is_live)}`,
  ]];
}

/**
 * How the age is known, or why it is not.
 * @param {Measures} now
 * @param {boolean} is_live
 */
function ageNote(now, is_live) {
  if (!StripReader.isPossible()) return 'Not known: this browser does not tell single frames.';
  if (now.strip === 'recorded') return `Recorded: no age. The strip says frame ${now.frame_number}.`;
  if (now.latency_ms && now.clock) {
    const skipped = now.frames_skipped_by_reader ? `, ${now.frames_skipped_by_reader} frames skipped by the reader` : '';
    return `From capture to screen, ± ${now.clock.uncertainty_ms.toFixed(1)} ms${skipped}`;
  }
  if (now.strip === 'live') return 'Not known yet: the server’s clock is asked.';
  return is_live ? 'Not known: the picture has no time code.' : 'A movie has no age.';
}

/**
 * Pairs of a description list, changed in place.
 * @param {HTMLDListElement} list
 * @param {string[][]} pairs
 * @param {boolean} grouped each pair in a `div`
 */
function fillPairs(list, pairs, grouped) {
  const names = pairs.map(([name]) => name).join('\n');
  if (list.dataset.names !== names) {
    list.dataset.names = names;
    const made = pairs.map(([name]) => [make('dt', {}, [name]), make('dd')]);
    list.replaceChildren(...(grouped ? made.map((pair) => make('div', {}, pair)) : made.flat()));
  }
  const values = list.querySelectorAll('dd');
  pairs.forEach(([, value], i) => setText(values[i], value));
}

/** @param {number} value */
function signed(value) {
  return `${value < 0 ? '−' : '+'}${milliseconds(Math.abs(value))}`;
}

/** @param {number | undefined} seconds */
function ms(seconds) {
  return seconds === undefined ? undefined : Math.round(seconds * 1000);
}

const DRAW_MS = 250;
/** For those who want less motion. */
const CALM_MS = 1000;
const COPIED_MS = 1600;
