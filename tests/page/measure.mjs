// How soon pages show a picture, how soon a seek does, and how far beep and flash lie apart, in
// Chromium. One JSON document comes out: every sample. `bench/page` runs it.
//
//   node measure.mjs URL LOADS SEEKS SECONDS
//
// URL is a server with the live stream `pattern` and the movie `movie`.

import { launch } from './browser.mjs';

const [url, loads, seeks, seconds] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const VIEWPORT = { width: 640, height: 560 };

const browser = await launch();
try {
  const result = {
    browser: browser.version(),
    load_live_ms: await loadTimes('/pattern/', loads),
    load_movie_ms: await loadTimes('/movie/', loads),
    ...await seekTimes(seeks),
    skew_ms: await skews(seconds),
  };
  console.log(JSON.stringify(result));
} finally {
  await browser.close();
}

/**
 * From the start of the navigation to the first picture that the browser presents, in a context
 * whose cache is empty.
 * @param {string} path
 * @param {number} count
 */
async function loadTimes(path, count) {
  const took = [];
  for (let number = 0; number < count; number += 1) {
    const context = await browser.newContext({ viewport: VIEWPORT });
    const page = await context.newPage();
    await page.addInitScript(() => {
      const watch = new MutationObserver(() => {
        const video = document.querySelector('video');
        if (!video) return;
        watch.disconnect();
        video.requestVideoFrameCallback((_now, seen) => { window.__first_ms = seen.presentationTime; });
      });
      watch.observe(document, { childList: true, subtree: true });
    });
    await page.goto(url + path);
    await page.waitForFunction(() => window.__first_ms !== undefined, undefined, { timeout: 20_000, polling: 20 });
    took.push(await page.evaluate(() => window.__first_ms));
    await context.close();
  }
  return took;
}

/**
 * From asking for a place to the picture that shows it, and how far that picture is from the place.
 * Places are anywhere in the movie, from a generator with a fixed start.
 * @param {number} count
 */
async function seekTimes(count) {
  const page = await opened('/movie/');
  const length_s = await page.evaluate(() => document.querySelector('video').duration);
  const seek_ms = [];
  const seek_off_ms = [];
  let state = 1;
  for (let number = 0; number < count; number += 1) {
    state = (state * 48271) % 2147483647;
    const to_s = (state / 2147483647) * (length_s - 2);
    const { took_ms, shown_s } = await page.evaluate((to) => new Promise((resolve) => {
      const video = document.querySelector('video');
      const began = performance.now();
      video.addEventListener('seeked', () => {
        video.requestVideoFrameCallback((now, seen) => resolve({ took_ms: now - began, shown_s: seen.mediaTime }));
      }, { once: true });
      video.currentTime = to;
    }), to_s);
    seek_ms.push(took_ms);
    seek_off_ms.push((shown_s - to_s) * 1000);
    await page.waitForTimeout(250);
  }
  await page.context().close();
  return { seek_ms, seek_off_ms };
}

/**
 * The time at which a flash is shown less the time at which its beep is heard, in milliseconds. The
 * sound is that of `captureStream`, so that playing it is not disturbed; what the capture itself
 * takes counts as the sound being late.
 * @param {number} span_s
 */
async function skews(span_s) {
  const page = await opened('/pattern/');
  await page.waitForTimeout(3000);
  const found = await page.evaluate((span) => new Promise((resolve) => {
    const video = document.querySelector('video');
    video.muted = false;
    const audio = new AudioContext({ latencyHint: 'interactive' });
    const analyser = new AnalyserNode(audio, { fftSize: 8192 });
    audio.createMediaStreamSource(video.captureStream()).connect(analyser);
    const rate = audio.sampleRate;
    const samples = new Float32Array(analyser.fftSize);
    const WINDOW = Math.round(rate / 500);
    const beeps = [];
    const listen = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const { contextTime, performanceTime } = audio.getOutputTimestamp();
      const end_ms = performanceTime + (audio.currentTime - contextTime) * 1000;
      const strength = (at) => {
        let sum = 0;
        for (let i = at; i < at + WINDOW; i += 1) sum += samples[i] * samples[i];
        return Math.sqrt(sum / WINDOW);
      };
      for (let at = 0; at + 2 * WINDOW < samples.length; at += 16) {
        // 12 dB below full scale is 0.18 of effective value; half of it is the beginning.
        if (strength(at) < 0.01 && strength(at + WINDOW) > 0.05) {
          let begin = at;
          while (begin < at + WINDOW && Math.abs(samples[begin + WINDOW / 2]) < 0.05) begin += 1;
          const time_ms = end_ms - ((samples.length - begin - WINDOW / 2) / rate) * 1000;
          if (!beeps.length || time_ms - beeps.at(-1) > 500) beeps.push(time_ms);
          break;
        }
      }
    }, 25);
    const canvas = new OffscreenCanvas(5, 4);
    const drawing = canvas.getContext('2d', { willReadFrequently: true });
    const flashes = [];
    let was_light = true;
    const look = (_now, seen) => {
      const { videoWidth: w, videoHeight: h } = video;
      drawing.drawImage(video, (33 * w) / 40, (10 * h) / 45, (5 * w) / 40, (8 * h) / 45, 0, 0, 5, 4);
      const pixels = drawing.getImageData(1, 1, 3, 2).data;
      let sum = 0;
      for (let i = 0; i < pixels.length; i += 4) sum += pixels[i];
      const light = sum / (pixels.length / 4) > 126;
      if (light && !was_light) flashes.push(seen.expectedDisplayTime);
      was_light = light;
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    setTimeout(() => {
      clearInterval(listen);
      const pairs = [];
      for (const flash of flashes) {
        const nearest = beeps.reduce((best, beep) => (Math.abs(beep - flash) < Math.abs(best - flash) ? beep : best), Infinity);
        if (Math.abs(nearest - flash) < 500) pairs.push(flash - nearest);
      }
      resolve({ pairs, beeps: beeps.length, flashes: flashes.length, state: audio.state, base_latency_ms: audio.baseLatency * 1000 });
    }, span * 1000);
  }), span_s);
  await page.context().close();
  if (found.pairs.length === 0) throw new Error(`no beep with its flash: ${JSON.stringify(found)}`);
  return found.pairs;
}

/** @param {string} path */
async function opened(path) {
  const context = await browser.newContext({ viewport: VIEWPORT });
  const page = await context.newPage();
  await page.goto(url + path);
  await page.waitForFunction(() => (document.querySelector('video')?.currentTime ?? 0) > 0.5, undefined, { timeout: 20_000 });
  return page;
}
