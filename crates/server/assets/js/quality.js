// @ts-check
// The menu of qualities and transports.

import { icon, make, must } from './dom.js';
import { bitrate } from './format.js';
import { WAY_NAMES } from './playback.js';

/** @typedef {import('./playback.js').Playback} Playback */

export class QualityMenu {
  /** @param {Playback} playback */
  constructor(playback) {
    this.playback = playback;
    this.button = must('quality', HTMLButtonElement);
    this.menu = must('quality-menu', HTMLElement);
    this.button.addEventListener('click', () => this.toggle());
    this.menu.addEventListener('keydown', (event) => this.onKey(event));
    document.addEventListener('pointerdown', (event) => {
      const inside = event.target instanceof Node && this.button.parentElement?.contains(event.target);
      if (!inside) this.close();
    });
    this.menu.addEventListener('focusout', (event) => {
      if (!(event.relatedTarget instanceof Node && this.menu.contains(event.relatedTarget))) this.close();
    });
    playback.addEventListener('levels', () => this.fill());
    playback.addEventListener('way', () => this.fill());
    this.fill();
  }

  toggle() {
    if (this.menu.hidden) this.open();
    else this.close();
  }

  open() {
    this.fill();
    this.menu.hidden = false;
    this.button.setAttribute('aria-expanded', 'true');
    const items = this.items();
    (items.find((item) => item.getAttribute('aria-checked') === 'true') ?? items[0])?.focus();
  }

  close() {
    if (this.menu.hidden) return;
    const had_focus = this.menu.contains(document.activeElement);
    this.menu.hidden = true;
    this.button.setAttribute('aria-expanded', 'false');
    if (had_focus) this.button.focus();
  }

  fill() {
    const focused = this.items().indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    const { playback } = this;
    const children = [];
    const levels = playback.levels();
    if (levels.length > 0) {
      const chosen = playback.level;
      const group = [this.item('Automatic', '', chosen === -1, () => { playback.level = -1; })];
      for (const level of levels) {
        group.push(this.item(level.label, level.bitrate_bps ? bitrate(level.bitrate_bps) : '', chosen === level.index, () => {
          playback.level = level.index;
        }));
      }
      children.push(make('p', { 'aria-hidden': 'true' }, ['Quality']), make('div', { role: 'group', 'aria-label': 'Quality' }, group));
    }
    const ways = playback.ways().map((way) => this.item(WAY_NAMES[way], '', playback.way === way, () => {
      const { currentTime } = playback.video;
      playback.start(way, playback.isLive ? null : currentTime);
      void playback.video.play().catch(() => {});
    }));
    children.push(make('p', { 'aria-hidden': 'true' }, ['Transport']), make('div', { role: 'group', 'aria-label': 'Transport' }, ways));
    this.menu.replaceChildren(...children);
    this.button.disabled = ways.length === 0;
    if (focused >= 0) this.items()[focused]?.focus();
  }

  /**
   * @param {string} label
   * @param {string} small
   * @param {boolean} checked
   * @param {() => void} choose
   */
  item(label, small, checked, choose) {
    const button = make('button', { type: 'button', role: 'menuitemradio', 'aria-checked': String(checked), tabindex: '-1' }, [icon('done'), label]);
    if (small) button.append(make('small', {}, [small]));
    button.addEventListener('click', () => {
      choose();
      this.close();
    });
    return button;
  }

  items() {
    return [...this.menu.querySelectorAll('button')];
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const items = this.items();
    const at = items.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to !== undefined) items[(to + items.length) % items.length]?.focus();
    else if (event.key === 'Escape' || event.key === 'Tab' || event.key === 'q') this.close();
    else if (event.key !== 'Enter' && event.key !== ' ') return;
    event.stopPropagation();
    if (event.key !== 'Enter' && event.key !== ' ' && event.key !== 'Tab') event.preventDefault();
  }
}
