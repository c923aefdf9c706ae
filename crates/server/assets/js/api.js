// @ts-check
// The server's API: what the pages ask, and what they tell.

/**
 * @typedef {object} Track
 * @property {'video' | 'audio'} kind
 * @property {string} codec the server's name, such as H264
 * @property {string} [codecs] RFC 6381 name, such as avc1.64001F
 * @property {number} [width]
 * @property {number} [height]
 * @property {number} [frame_rate]
 * @property {number} [sample_rate]
 * @property {number} [channels]
 */

/**
 * Addresses of a stream; one that cannot be played is absent.
 * @typedef {{page: string, hls?: string, dash?: string, mp4?: string, rtsp?: string}} Urls
 */

/**
 * @typedef {object} Stream
 * @property {string} name
 * @property {'live' | 'movie'} kind
 * @property {number} [duration_s] of movies that were opened
 * @property {Track[]} [tracks]
 * @property {number} [viewers]
 * @property {boolean} [pattern] a live test pattern
 * @property {Urls} urls
 */

/** An answer of the server that is not a success. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {string} [hint] what to do about it
   */
  constructor(status, message, hint) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

/** @returns {Promise<Stream[]>} */
export async function streams() {
  return (await get('/api/v1/streams')).streams;
}

/**
 * One stream, opened.
 * @param {string} name
 * @returns {Promise<Stream>}
 */
export async function stream(name) {
  return get(`/api/v1/streams/${pathOf(name)}`);
}

/**
 * The server's time of day.
 * @returns {Promise<number>} UTC in milliseconds
 */
export async function serverTime() {
  return (await get('/api/v1/time')).utc_ms;
}

/**
 * Leaves what the page measured with the server. Measures are nobody's trouble but ours: a failure
 * is told by the result, not thrown.
 * @param {string} token
 * @param {object} measures
 * @param {boolean} at_end the page is going away: the browser sends it afterwards
 * @returns {Promise<boolean>}
 */
export async function postMeasures(token, measures, at_end) {
  const address = `/api/v1/sessions/${token}/events`;
  const body = new Blob([JSON.stringify(measures)], { type: 'application/json' });
  if (at_end) return navigator.sendBeacon(address, body);
  try {
    return (await fetch(address, { method: 'POST', body, keepalive: true })).ok;
  } catch {
    return false;
  }
}

/**
 * The stream whose page this is: `/a%20b/` is `a b`.
 * @param {string} path
 */
export function nameOfPage(path) {
  return path.replace(/^\/+|\/+$/g, '').split('/').map(decoded).join('/');
}

/**
 * A name as part of a path.
 * @param {string} name
 */
export function pathOf(name) {
  return name.split('/').map(encodeURIComponent).join('/');
}

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
async function get(path) {
  const response = await fetch(path, { headers: { accept: 'application/json' }, cache: 'no-store' });
  const body = await response.json().catch(() => null);
  if (!response.ok) {
    throw new ApiError(response.status, body?.error ?? `the server answered ${response.status}`, body?.hint);
  }
  if (body === null) throw new ApiError(response.status, 'the server sent something that is not JSON');
  return body;
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
