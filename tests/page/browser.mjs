// Starts Chromium, and opens pages in it that are watched: every request, every complaint.

import { access } from 'node:fs/promises';
import { chromium } from 'playwright-core';

/** Where the browser is: `CHROMIUM`, else Debian's. */
export const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';

/**
 * @param {{autoplay?: boolean}} [options] whether a page may begin with sound
 */
export async function launch({ autoplay = true } = {}) {
  await access(EXECUTABLE).catch(() => {
    throw new Error(`no browser at ${EXECUTABLE}: install the package chromium, or say where with CHROMIUM`);
  });
  return chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--no-first-run',
      '--disable-component-update',
      '--disable-sync',
      ...(autoplay ? ['--autoplay-policy=no-user-gesture-required'] : []),
    ],
    // Playwright's own default would mute the browser.
    ignoreDefaultArgs: ['--mute-audio'],
  });
}

/**
 * A page, and what it does that it should not.
 * @param {import('playwright-core').Browser} browser
 * @param {string} base the server's address
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function openContext(browser, base, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 760 }, ...options });
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: new URL(base).origin });
  /** @type {string[]} */
  const complaints = [];
  /** @type {string[]} */
  const requests = [];
  /** @type {string[]} */
  const foreign = [];
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  context.on('weberror', (error) => complaints.push(`uncaught: ${error.error()}`));
  context.on('request', (request) => {
    const address = request.url();
    requests.push(address);
    const is_local = address.startsWith('blob:') || address.startsWith('data:');
    if (!is_local && new URL(address).host !== new URL(base).host) foreign.push(address);
  });
  const page = await context.newPage();
  return { context, page, complaints, requests, foreign };
}

/**
 * Waits until the video plays, and has advanced.
 * @param {import('playwright-core').Page} page
 * @param {number} [beyond_s]
 */
export async function plays(page, beyond_s = 0.3) {
  await page.waitForFunction((beyond) => {
    const video = document.querySelector('video');
    if (!video || video.paused) return false;
    const last = Number(video.dataset.began ?? video.currentTime);
    video.dataset.began = String(last);
    return video.currentTime > last + beyond;
  }, beyond_s, { timeout: 20_000, polling: 50 });
  await page.evaluate(() => { delete document.querySelector('video')?.dataset.began; });
}
