// @ts-check
// A chart of the last minute, drawn by uPlot, which is loaded when the first chart is shown.

/**
 * @typedef {import('./quantiles.js').Samples} Samples
 */

export class MinuteChart {
  /**
   * @param {HTMLElement} place
   * @param {number} window_ms
   */
  constructor(place, window_ms) {
    this.place = place;
    this.window_ms = window_ms;
    /** @type {any} */
    this.plot = null;
    this.loading = false;
  }

  /**
   * @param {Samples} samples
   * @param {number} now_ms
   */
  draw(samples, now_ms) {
    if (this.plot === null) {
      void this.load();
      return;
    }
    const width = this.place.clientWidth;
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
    const shown = thinned(samples.list);
    this.plot.setData([
      shown.map((sample) => (sample.at_ms - now_ms) / 1000),
      shown.map((sample) => sample.value),
    ]);
  }

  async load() {
    if (this.loading) return;
    this.loading = true;
    await loadUplot();
    const Plot = /** @type {any} */ (window).uPlot;
    if (Plot === undefined) return;
    const axis = { stroke: '#a9b7c3', font: '11px system-ui, sans-serif', grid: { stroke: 'rgba(255,255,255,0.10)', width: 1 }, ticks: { show: false } };
    this.plot = new Plot({
      width: Math.max(100, this.place.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      padding: [6, 6, 0, 0],
      scales: {
        x: { time: false, range: [-this.window_ms / 1000, 0] },
        y: { range: (/** @type {any} */ _plot, /** @type {number} */ min, /** @type {number} */ max) => yRange(min, max) },
      },
      axes: [
        { ...axis, size: 22, values: (/** @type {any} */ _plot, /** @type {number[]} */ at) => at.map((s) => (s === 0 ? 'now' : `${s} s`)) },
        { ...axis, size: 48, space: 26 },
      ],
      series: [{}, { stroke: '#58c4d6', width: 1.5, points: { show: false }, spanGaps: false }],
    }, [[], []], this.place);
    // It says nothing that the figures above it do not.
    this.plot.root.setAttribute('aria-hidden', 'true');
  }
}

/**
 * From zero, and never so narrow that noise looks like a mountain.
 * @param {number | null} min
 * @param {number | null} max
 * @returns {[number, number]}
 */
function yRange(min, max) {
  const top = Math.max(max ?? 0, TOP_MIN);
  return [Math.min(0, min ?? 0), top * 1.1];
}

/**
 * At most `POINTS_MAX` of the samples; of each group the highest, since peaks are what matters.
 * @param {{at_ms: number, value: number}[]} list
 */
function thinned(list) {
  const group = Math.ceil(list.length / POINTS_MAX);
  if (group <= 1) return list;
  const kept = [];
  for (let i = 0; i < list.length; i += group) {
    kept.push(list.slice(i, i + group).reduce((a, b) => (b.value > a.value ? b : a)));
  }
  return kept;
}

/** @type {Promise<void> | undefined} */
let uplot;

function loadUplot() {
  uplot ??= new Promise((resolve) => {
    const style = document.createElement('link');
    style.rel = 'stylesheet';
    style.href = '/assets/vendor/uPlot.min.css';
    const script = document.createElement('script');
    script.src = '/assets/vendor/uPlot.iife.min.js';
    script.addEventListener('load', () => resolve());
    script.addEventListener('error', () => resolve());
    document.head.append(style, script);
  });
  return uplot;
}

const HEIGHT = 104;
const TOP_MIN = 100;
const POINTS_MAX = 600;
