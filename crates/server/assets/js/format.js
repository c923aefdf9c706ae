// @ts-check
// Numbers and names as people read them.

/** @typedef {import('./api.js').Track} Track */

/**
 * `1:02:03`, or `2:03` below an hour.
 * @param {number} seconds
 */
export function clockTime(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/**
 * The same in words, for screen readers.
 * @param {number} seconds
 */
export function spokenTime(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = /** @type {[number, string][]} */ ([
    [Math.floor(whole / 3600), 'hour'], [Math.floor(whole / 60) % 60, 'minute'], [whole % 60, 'second'],
  ]);
  const said = parts.filter(([n]) => n > 0).map(([n, unit]) => `${n} ${unit}${n === 1 ? '' : 's'}`);
  return said.length > 0 ? said.join(' ') : '0 seconds';
}

/** @param {number} bits_per_second */
export function bitrate(bits_per_second) {
  if (bits_per_second >= 1e9) return `${(bits_per_second / 1e9).toFixed(2)} Gbit/s`;
  if (bits_per_second >= 1e6) return `${(bits_per_second / 1e6).toFixed(bits_per_second < 1e7 ? 2 : 0)} Mbit/s`;
  return `${Math.round(bits_per_second / 1e3)} kbit/s`;
}

/**
 * Milliseconds, as seconds from ten seconds on.
 * @param {number} value
 */
export function milliseconds(value) {
  return Math.abs(value) >= 10_000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`;
}

/**
 * A codec as people call it.
 * @param {string} codec as the server names it
 */
export function codecName(codec) {
  return CODECS[codec.toUpperCase().replace(/[^A-Z0-9]/g, '')] ?? codec;
}

/**
 * `H.264 1280x720, 30 fps` or `AAC 48 kHz, stereo`, of what is known.
 * @param {Track} track
 */
export function trackText(track) {
  const parts = [codecName(track.codec)];
  if (track.width && track.height) parts[0] += ` ${track.width}×${track.height}`;
  if (track.frame_rate) parts.push(`${Number(track.frame_rate.toFixed(2))} fps`);
  if (track.sample_rate) parts[0] += ` ${Number((track.sample_rate / 1000).toFixed(1))} kHz`;
  if (track.channels) parts.push(CHANNELS[track.channels] ?? `${track.channels} channels`);
  return parts.join(', ');
}

/** @type {Record<string, string>} */
const CODECS = {
  H264: 'H.264', AVC: 'H.264', H265: 'H.265', HEVC: 'H.265', MPEG4AUDIO: 'AAC', MP3: 'MP3',
  OPUS: 'Opus', JPEG: 'JPEG', PCMU: 'G.711 µ-law', PCMA: 'G.711 A-law',
};

/** @type {Record<number, string>} */
const CHANNELS = { 1: 'mono', 2: 'stereo', 6: '5.1' };
