// @ts-check
// What went wrong, in words for whoever watches, and what to do about it.

import { codecName } from './format.js';

/** @typedef {import('./api.js').Stream} Stream */
/** @typedef {import('./api.js').Track} Track */

/**
 * @typedef {object} Problem
 * @property {string} title
 * @property {string} text
 * @property {string} todo
 * @property {boolean} asks_again whether the page tries by itself
 */

/**
 * @param {string} name
 * @param {string} [hint] the server's
 * @returns {Problem}
 */
export function noSuchStream(name, hint) {
  return {
    title: `There is no stream called “${name}”`,
    text: hint ?? 'It may have ended, or not begun yet, or the file was moved.',
    todo: 'This page goes on asking, and plays it when it is there.',
    asks_again: true,
  };
}

/** @returns {Problem} */
export function noAnswer() {
  return {
    title: 'The server does not answer',
    text: 'The connection to it was lost, or it was stopped.',
    todo: 'This page goes on trying. If that does not help, see whether the server still runs.',
    asks_again: true,
  };
}

/**
 * @param {string} text
 * @param {string} [hint]
 * @returns {Problem}
 */
export function serverSays(text, hint) {
  return {
    title: 'The server cannot send this',
    text: sentence(text),
    todo: hint ? sentence(hint) : 'The server’s log says more.',
    asks_again: false,
  };
}

/**
 * @param {Track[]} tracks that this browser cannot play
 * @param {Stream} stream
 * @returns {Problem}
 */
export function codecNotPlayable(tracks, stream) {
  const names = [...new Set(tracks.map((track) =>
    codecName(track.codec) + (track.codecs ? ` (${track.codecs})` : '')))].join(' and ');
  const other = stream.urls.rtsp ?? stream.urls.mp4;
  return {
    title: `${browserName()} cannot play ${names}`,
    text: `“${stream.name}” is coded that way, and the server does not recode.`,
    todo: other
      ? `Another browser may, and ffplay, VLC and weir play do: ${other}`
      : 'Another browser may be able to.',
    asks_again: false,
  };
}

/**
 * @param {Stream} stream
 * @returns {Problem}
 */
export function noWay(stream) {
  const codecs = (stream.tracks ?? []).map((track) => codecName(track.codec)).join(' and ');
  return {
    title: 'This cannot be played in a browser',
    text: codecs
      ? `The server has no address for browsers of ${codecs}.`
      : 'The server has no address for browsers of this stream.',
    todo: stream.urls.rtsp ? `ffplay, VLC and weir play take it from ${stream.urls.rtsp}` : '',
    asks_again: false,
  };
}

/**
 * @param {string} details of the browser or of hls.js
 * @param {Stream} stream
 * @returns {Problem}
 */
export function decodingFailed(details, stream) {
  const codecs = (stream.tracks ?? []).map((track) => codecName(track.codec)).join(' and ');
  return {
    title: 'The picture could not be decoded',
    text: `${browserName()} gave up${codecs ? ` on ${codecs}` : ''}: ${details}.`,
    todo: 'Try again, or choose another transport in the quality menu.',
    asks_again: false,
  };
}

/**
 * Tracks that this browser says it cannot play.
 * @param {Stream} stream
 * @param {(type: string) => boolean} canPlay
 * @returns {Track[]}
 */
export function unplayable(stream, canPlay) {
  return (stream.tracks ?? []).filter(
    (track) => track.codecs && !canPlay(`${track.kind}/mp4; codecs="${track.codecs}"`));
}

/** The browser as people call it. */
export function browserName() {
  const agent = navigator.userAgent;
  for (const [pattern, name] of BROWSERS) {
    const found = pattern.exec(agent);
    if (found) return `${name} ${found[1]}`;
  }
  return 'This browser';
}

/** @param {string} text */
function sentence(text) {
  const trimmed = text.trim();
  const upper = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}

/** In this order: most of them claim to be those below. @type {[RegExp, string][]} */
const BROWSERS = [
  [/Edg\/(\d+)/, 'Edge'],
  [/OPR\/(\d+)/, 'Opera'],
  [/Firefox\/(\d+)/, 'Firefox'],
  [/(?:Headless)?Chrome\/(\d+)/, 'Chrome'],
  [/Version\/(\d+(?:\.\d+)?).*Safari/, 'Safari'],
];
