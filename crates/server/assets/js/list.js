// @ts-check
// The list of streams and movies: asked again every few seconds, and changed in place, so that
// focus and open parts stay.

import { addressRows } from './addresses.js';
import { ApiError, streams } from './api.js';
import { copyButton } from './clipboard.js';
import { icon, make, must, setText } from './dom.js';
import { clockTime, trackText } from './format.js';

/** @typedef {import('./api.js').Stream} Stream */
/** @typedef {{element: HTMLLIElement, shows: string}} Card */

const count = must('count', HTMLElement);
const search = must('search', HTMLInputElement);
const trouble = must('trouble', HTMLElement);

/** Cards by kind and name. @type {Map<string, Card>} */
const cards = new Map();
/** @type {Stream[] | null} */
let known = null;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let again;
let asking = false;

for (const item of document.querySelectorAll('.commands li')) {
  const command = item.querySelector('code')?.textContent ?? '';
  item.append(copyButton(command, `the command ${command}`));
}
search.addEventListener('input', () => show());
document.addEventListener('keydown', (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === '/' && !typing && known !== null && known.length >= SEARCH_FROM) {
    event.preventDefault();
    search.focus();
  }
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void ask();
});

async function ask() {
  if (asking) return;
  asking = true;
  clearTimeout(again);
  try {
    known = await streams();
    trouble.hidden = true;
    show();
  } catch (error) {
    setText(must('trouble-text', HTMLElement), troubleText(error));
    trouble.hidden = false;
    if (known === null) setText(count, '');
  }
  asking = false;
  if (!document.hidden) again = setTimeout(ask, ASK_MS);
}

function show() {
  if (known === null) return;
  const wanted = search.value.trim().toLocaleLowerCase();
  const found = known.filter((stream) => stream.name.toLocaleLowerCase().includes(wanted));
  must('search-box', HTMLElement).hidden = known.length < SEARCH_FROM;
  must('empty', HTMLElement).hidden = known.length > 0;
  must('nothing-found', HTMLElement).hidden = known.length === 0 || found.length > 0;
  const open = known.length <= OPEN_UP_TO;
  fill('live', found.filter((stream) => stream.kind === 'live'), open);
  fill('movies', found.filter((stream) => stream.kind !== 'live'), open);
  setText(count, countText(known, found));
}

/**
 * @param {'live' | 'movies'} section
 * @param {Stream[]} found
 * @param {boolean} open whether new cards show their addresses
 */
function fill(section, found, open) {
  must(section, HTMLElement).hidden = found.length === 0;
  const list = must(`${section}-cards`, HTMLUListElement);
  const wanted = found.map((stream) => cardOf(section, stream, open));
  for (const child of [...list.children]) {
    if (!wanted.includes(/** @type {HTMLLIElement} */ (child))) child.remove();
  }
  wanted.forEach((element, place) => {
    if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
  });
}

/**
 * The card of a stream, made anew only when what it shows has changed.
 * @param {string} section
 * @param {Stream} stream
 * @param {boolean} open
 */
function cardOf(section, stream, open) {
  const key = `${section}/${stream.name}`;
  const shows = JSON.stringify({ ...stream, viewers: 0 });
  let card = cards.get(key);
  if (card === undefined || card.shows !== shows) {
    const was = card?.element.querySelector('details');
    const element = makeCard(stream, was ? was.open : open);
    card?.element.replaceWith(element);
    card = { element, shows };
    cards.set(key, card);
  }
  const viewers = card.element.querySelector('.viewers');
  if (viewers instanceof HTMLElement) {
    viewers.hidden = !stream.viewers;
    setText(viewers, stream.viewers === 1 ? '1 watching' : `${stream.viewers} watching`);
  }
  return card.element;
}

/**
 * @param {Stream} stream
 * @param {boolean} open
 */
function makeCard(stream, open) {
  const badges = [];
  if (stream.kind === 'live') badges.push(make('span', { class: 'badge live' }, ['Live']));
  if (stream.pattern) badges.push(make('span', { class: 'badge' }, ['Test pattern']));
  if (stream.duration_s !== undefined) {
    badges.push(make('span', { class: 'badge' }, [clockTime(stream.duration_s)]));
  }
  badges.push(make('span', { class: 'badge viewers', hidden: '' }));
  const tracks = (stream.tracks ?? []).map(trackText).join(' · ');
  const details = make('details', {}, [
    make('summary', {}, [icon('next'), 'Addresses', make('span', { class: 'only-read' }, [`of ${stream.name}`])]),
    make('ul', { class: 'addresses' }, addressRows(stream, location.href)),
  ]);
  details.open = open;
  const words = make('div', {}, [
    make('h3', {}, [make('a', { href: stream.urls.page, dir: 'auto' }, [stream.name])]),
    make('div', { class: 'badges' }, badges),
  ]);
  if (tracks) words.append(make('p', { class: 'tracks' }, [tracks]));
  return make('li', { class: 'card' }, [
    make('div', { class: 'top' }, [
      words,
      make('a', { class: 'button main', href: stream.urls.page, 'aria-label': `Watch ${stream.name}` }, [icon('play'), 'Watch']),
    ]),
    details,
  ]);
}

/**
 * @param {Stream[]} all
 * @param {Stream[]} found
 */
function countText(all, found) {
  if (all.length === 0) return '';
  if (found.length < all.length) return `${found.length} of ${all.length} match`;
  const live = all.filter((stream) => stream.kind === 'live').length;
  const movies = all.length - live;
  const parts = [];
  if (live > 0) parts.push(`${live} live`);
  if (movies > 0) parts.push(movies === 1 ? '1 movie' : `${movies} movies`);
  return parts.join(', ');
}

/** @param {unknown} error */
function troubleText(error) {
  if (error instanceof ApiError) return [error.message, error.hint].filter(Boolean).join('. ');
  return 'The server does not answer. Is it still running? This page goes on asking.';
}

/** How often the list is asked for. */
const ASK_MS = 4000;
/** From so many on there is a search box. */
const SEARCH_FROM = 8;
/** Up to so many all addresses are shown. */
const OPEN_UP_TO = 4;

void ask();
