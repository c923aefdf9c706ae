// @ts-check
// Copying, also where the page has no secure context (plain HTTP from another machine).

import { icon, make, setIcon } from './dom.js';

/**
 * A button that copies `text`; `what` names it for screen readers.
 * @param {string} text
 * @param {string} what
 */
export function copyButton(text, what) {
  const button = make('button', { class: 'copy', type: 'button', 'aria-label': `Copy ${what}`, title: 'Copy' }, [icon('copy')]);
  button.addEventListener('click', async () => {
    const worked = await copy(text);
    setIcon(button, worked ? 'done' : 'warn');
    button.classList.toggle('done', worked);
    button.setAttribute('aria-label', worked ? `Copied ${what}` : `Could not copy ${what}`);
    setTimeout(() => {
      setIcon(button, 'copy');
      button.classList.remove('done');
      button.setAttribute('aria-label', `Copy ${what}`);
    }, SHOWN_MS);
  });
  return button;
}

/**
 * Puts text on the clipboard; says whether that worked.
 * @param {string} text
 * @returns {Promise<boolean>}
 */
export async function copy(text) {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // Refused: the older way may still be allowed.
  }
  return copyBySelection(text);
}

/** @param {string} text */
function copyBySelection(text) {
  const before = document.activeElement;
  const area = make('textarea', { class: 'only-read', 'aria-hidden': 'true', tabindex: '-1' });
  area.value = text;
  (document.fullscreenElement ?? document.body).append(area);
  area.select();
  const worked = document.execCommand('copy');
  area.remove();
  if (before instanceof HTMLElement) before.focus();
  return worked;
}

/** How long a button says that it copied. */
const SHOWN_MS = 1600;
