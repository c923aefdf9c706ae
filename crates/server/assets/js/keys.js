// @ts-check
// The keyboard. Keys that a focused control needs stay its own.

/** @typedef {import('./controls.js').Controls} Controls */

/**
 * @param {Controls} controls
 * @param {{toggleStats: () => void, toggleQuality: () => void, toggleHelp: () => void}} parts
 */
export function listenToKeys(controls, parts) {
  /** @type {Record<string, () => void>} */
  const actions = {
    ' ': () => controls.togglePlay(),
    k: () => controls.togglePlay(),
    ArrowLeft: () => controls.seekBy(-5),
    ArrowRight: () => controls.seekBy(5),
    j: () => controls.seekBy(-10),
    l: () => controls.seekBy(10),
    ArrowUp: () => controls.louder(0.1),
    ArrowDown: () => controls.louder(-0.1),
    ',': () => controls.step(-1),
    '.': () => controls.step(1),
    Home: () => controls.seekToShare(0),
    End: () => (controls.playback.isLive ? controls.goLive() : controls.seekToShare(1)),
    m: () => controls.toggleMute(),
    f: () => void controls.toggleFull(),
    p: () => void controls.togglePip(),
    q: parts.toggleQuality,
    i: parts.toggleStats,
    '?': parts.toggleHelp,
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector('dialog[open]') && event.key !== '?') return;
    if (isOwnKey(event)) return;
    const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : null;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = digit === null ? actions[key] : () => controls.seekToShare(digit / 10);
    if (action === undefined || (event.repeat && !REPEATING.includes(key))) return;
    event.preventDefault();
    action();
    controls.wake();
  });
}

/**
 * Whether the focused element does something of its own with this key.
 * @param {KeyboardEvent} event
 */
function isOwnKey(event) {
  const at = event.target;
  if (!(at instanceof HTMLElement)) return false;
  if (at.closest('button, a, summary')) return event.key === ' ' || event.key === 'Enter';
  // The seek bar's arrows are the page's, so that they go by seconds.
  if (at instanceof HTMLInputElement) return at.type !== 'range' || (at.id !== 'seek' && event.key.startsWith('Arrow'));
  return false;
}

/** Keys that may be held. */
const REPEATING = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'j', 'l', ',', '.'];
