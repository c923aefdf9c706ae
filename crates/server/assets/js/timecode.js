// @ts-check
// The time-code strip at the top of the test pattern (docs/timecode.md): from pixels to numbers.

/**
 * @typedef {object} Code
 * @property {boolean} live else recorded: then the time is that of the movie
 * @property {number} frame_number
 * @property {number} captured_ms UTC since 1970 where live, else since the movie's start
 */

/** Columns and rows of the strip. */
export const COLUMNS = 40;
export const ROWS = 3;
/** The part of the picture's height that the strip takes: each row is 2/45. */
export const HEIGHT_SHARE = (ROWS * 2) / 45;

/**
 * Reads a strip.
 * @param {{data: Uint8ClampedArray, width: number, height: number}} pixels RGBA, the strip alone
 * @returns {Code | null} null where there is no strip, or none that is whole
 */
export function decode(pixels) {
  if (pixels.width < COLUMNS * 2 || pixels.height < ROWS * 2) return null;
  const lumas = new Float64Array(COLUMNS * ROWS);
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < COLUMNS; column++) {
      lumas[row * COLUMNS + column] = cellLuma(pixels, row, column);
    }
  }
  return fromLumas(lumas);
}

/**
 * Reads a strip from the mean luma of its cells, row by row.
 * @param {Float64Array} lumas
 * @returns {Code | null}
 */
export function fromLumas(lumas) {
  const threshold = finderThreshold(lumas);
  if (threshold === null) return null;
  /** @type {number[]} */
  const bits = [];
  for (let row = 0; row < ROWS; row++) {
    for (let column = 1; column < COLUMNS - 1; column++) {
      bits.push(lumas[row * COLUMNS + column] > threshold ? 1 : 0);
    }
  }
  const number = (/** @type {number} */ from, /** @type {number} */ count) =>
    bits.slice(from, from + count).reduce((value, bit) => value * 2 + bit, 0);
  const bytes = Array.from({ length: COVERED_BITS / 8 }, (_, i) => number(i * 8, 8));
  const flags = number(4, 4);
  const fits = number(0, 4) === VERSION
    && flags <= 1
    && number(COVERED_BITS, 16) === crc16(bytes)
    && number(COVERED_BITS + 16, 10) === 0;
  if (!fits) return null;
  return { live: flags === 1, frame_number: number(8, 32), captured_ms: number(40, 48) };
}

/**
 * CRC-16/CCITT-FALSE.
 * @param {number[]} bytes
 */
export function crc16(bytes) {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc;
}

/**
 * What lies between black and white, judged by the first and the last column, whose cells are
 * known; null if they are not as they must be.
 * @param {Float64Array} lumas
 */
function finderThreshold(lumas) {
  let white = 0;
  let black = 0;
  const finders = [];
  for (let row = 0; row < ROWS; row++) {
    const [left, right] = [lumas[row * COLUMNS], lumas[row * COLUMNS + COLUMNS - 1]];
    const [light, dark] = row % 2 === 0 ? [left, right] : [right, left];
    finders.push([light, dark]);
    white += light / ROWS;
    black += dark / ROWS;
  }
  if (white - black < CONTRAST_MIN) return null;
  const threshold = (white + black) / 2;
  return finders.every(([light, dark]) => light > threshold && dark <= threshold) ? threshold : null;
}

/**
 * Mean luma (BT.709, 16 to 235) of the central half of a cell.
 * @param {{data: Uint8ClampedArray, width: number, height: number}} pixels
 * @param {number} row
 * @param {number} column
 */
function cellLuma(pixels, row, column) {
  const [x0, x1] = central(column, pixels.width / COLUMNS);
  const [y0, y1] = central(row, pixels.height / ROWS);
  let sum = 0;
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const at = (y * pixels.width + x) * 4;
      sum += 0.2126 * pixels.data[at] + 0.7152 * pixels.data[at + 1] + 0.0722 * pixels.data[at + 2];
    }
  }
  return 16 + (219 / 255) * (sum / ((x1 - x0) * (y1 - y0)));
}

/**
 * The pixels of the central half of a cell, one at least.
 * @param {number} index
 * @param {number} size of a cell
 * @returns {[number, number]}
 */
function central(index, size) {
  const from = Math.round((index + 0.25) * size);
  return [from, Math.max(from + 1, Math.round((index + 0.75) * size))];
}

const VERSION = 1;
/** The bits before the checksum. */
const COVERED_BITS = 88;
const CONTRAST_MIN = 40;
