// @ts-check
// The addresses of a stream, each with what plays it and a copy button.

import { copyButton } from './clipboard.js';
import { make } from './dom.js';

/**
 * @param {import('./api.js').Stream} stream
 * @param {string} base what relative addresses are relative to
 */
export function addressRows(stream, base) {
  const rows = [];
  for (const [key, label] of KINDS) {
    const address = stream.urls[key];
    if (!address) continue;
    const full = new URL(address, base).href;
    rows.push(make('li', { class: 'address' }, [
      make('span', { class: 'what' }, [label]),
      make('code', { title: full }, [full]),
      copyButton(full, `the ${label} address of ${stream.name}`),
    ]));
  }
  return rows;
}

/** @type {[keyof import('./api.js').Urls, string][]} */
const KINDS = [
  ['page', 'Page'], ['hls', 'HLS'], ['dash', 'DASH'], ['mp4', 'MP4'], ['rtsp', 'RTSP'],
];
