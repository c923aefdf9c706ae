// The pages in a real browser, from a real server.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

import { launch, openContext, plays } from './browser.mjs';
import { startServer } from './server.mjs';

const FRAME_S = 1 / 30;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  server = await startServer();
  browser = await launch();
}, { timeout: 60_000 });

after(async () => {
  await browser?.close();
  await server?.end();
});

/**
 * Opens a page, and afterwards checks that it complained of nothing and asked nobody else.
 * @param {string} path
 * @param {(opened: Awaited<ReturnType<typeof openContext>>) => Promise<void>} look
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
async function visit(path, look, options) {
  const opened = await openContext(browser, server.url, options);
  try {
    await opened.page.goto(server.url + path);
    await look(opened);
    assert.deepEqual(opened.complaints, []);
    assert.deepEqual(opened.foreign, []);
  } finally {
    await opened.context.close();
  }
}

/** The statistics as the page's copy button gives them. @param {import('playwright-core').Page} page */
async function copied(page) {
  if (await page.locator('#stats').isHidden()) await page.keyboard.press('i');
  await page.click('#copy-json');
  return JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
}

/** @param {import('playwright-core').Page} page */
const time = (page) => page.evaluate(() => document.querySelector('video')?.currentTime ?? -1);

/** Asks for another place and waits for its picture; gives how long that took. */
async function seek(page, to_s) {
  return page.evaluate((to) => new Promise((resolve) => {
    const video = document.querySelector('video');
    const began = performance.now();
    video.addEventListener('seeked', () => {
      video.requestVideoFrameCallback((_now, seen) => resolve({ took_ms: performance.now() - began, shown_s: seen.mediaTime }));
    }, { once: true });
    video.currentTime = to;
  }), to_s);
}

test('the list names the live pattern and the movie, each with its addresses', { timeout: 60_000 }, async () => {
  await visit('/', async ({ page }) => {
    await page.waitForSelector('#live-cards li');
    const text = await page.textContent('main');
    for (const part of ['pattern', 'movie', '/pattern/index.m3u8', '/movie.mp4', 'rtsp://']) {
      assert.ok(text?.includes(part), `${part} is not in the list`);
    }
    await page.click('#live-cards a');
    await page.waitForURL('**/pattern/');
  });
});

test('the live pattern plays, and its age is read from its pictures', { timeout: 90_000 }, async () => {
  await visit('/pattern/', async ({ page, requests }) => {
    await plays(page, 1);
    await page.waitForTimeout(5000);
    const { measures = {}, ...rest } = await copied(page);
    const stats = { ...rest, ...measures };
    assert.equal(stats.strip, 'live', JSON.stringify(stats));
    assert.ok(stats.latency_ms.count > 30, JSON.stringify(stats));
    assert.ok(stats.latency_ms.p50 > 500 && stats.latency_ms.p50 < 15_000, JSON.stringify(stats));
    assert.ok(stats.startup_ms > 0);
    console.log(`live: first frame after ${stats.startup_ms.toFixed(0)} ms, age p50 ${stats.latency_ms.p50.toFixed(0)} ms, p95 ${stats.latency_ms.p95.toFixed(0)} ms of ${stats.latency_ms.count} pictures`);
    assert.ok(requests.some((address) => /index\.m3u8\?session=[0-9a-f]{16,}/.test(address)));
    const sessions = await (await page.request.get(`${server.url}/api/v1/sessions`)).json();
    const own = sessions.sessions.find((row) => row.stream === 'pattern');
    assert.equal(own?.identified_by, 'token', JSON.stringify(sessions));
  });
});

test('a movie plays, and seeks land on the frame that was asked for', { timeout: 90_000 }, async () => {
  await visit('/movie/', async ({ page }) => {
    await plays(page);
    const took = [];
    for (const to_s of [15, 3.5, 12.25, 0.5, 8, 18, 5, 10.1]) {
      const { took_ms, shown_s } = await seek(page, to_s);
      took.push(took_ms);
      assert.ok(Math.abs(shown_s - to_s) <= 2 * FRAME_S, `asked for ${to_s} s, got ${shown_s} s`);
    }
    took.sort((a, b) => a - b);
    console.log(`seek to picture: median ${took[took.length >> 1].toFixed(0)} ms, longest ${took.at(-1).toFixed(0)} ms of ${took.length}`);
    const { measures = {}, ...rest } = await copied(page);
    assert.equal({ ...rest, ...measures }.strip, 'recorded');
    const length_s = await page.evaluate(() => document.querySelector('video')?.duration);
    assert.ok(Math.abs(length_s - 20) < 0.1, `${length_s} s`);
  });
});

test('keys play, pause, seek, mute, and show statistics and help', { timeout: 60_000 }, async () => {
  await visit('/movie/', async ({ page }) => {
    await plays(page);
    await page.keyboard.press('Space');
    await page.waitForFunction(() => document.querySelector('video')?.paused);
    const before_s = await time(page);
    await page.keyboard.press('ArrowRight');
    await page.waitForFunction((at) => (document.querySelector('video')?.currentTime ?? 0) > at + 4, before_s);
    await page.keyboard.press('m');
    assert.equal(await page.evaluate(() => document.querySelector('video')?.muted), true);
    await page.keyboard.press('i');
    await page.waitForSelector('#stats:not([hidden])');
    await page.keyboard.press('?');
    assert.equal(await page.evaluate(() => document.querySelector('dialog')?.open), true);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Space');
    await plays(page, 0.1);
  });
});

test('every control has a name, in both themes and on a phone', { timeout: 60_000 }, async () => {
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
  for (const options of [{ colorScheme: 'light' }, { colorScheme: 'dark' }, phone]) {
    for (const path of ['/', '/movie/']) {
      await visit(path, async ({ page }) => {
        await page.waitForLoadState('networkidle');
        await page.evaluate(axe);
        const found = await page.evaluate(() => window['axe'].run(document, { runOnly: ['wcag2a', 'wcag2aa'] }));
        const told = found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target).join(', ')}`);
        assert.deepEqual(told, [], `${path} ${JSON.stringify(options)}`);
      }, /** @type {any} */ (options));
    }
  }
});

test('a stream that is not there is said to be so, with the way back', { timeout: 60_000 }, async () => {
  const opened = await openContext(browser, server.url);
  const answer = await opened.page.goto(`${server.url}/nothing/`);
  assert.equal(answer?.status(), 404);
  await opened.context.close();
});
