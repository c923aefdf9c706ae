// Pictures of the pages for the README: node screenshots.mjs FOLDER

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch, openContext, plays } from './browser.mjs';
import { startServer } from './server.mjs';

const folder = process.argv[2];
if (!folder) throw new Error('usage: node screenshots.mjs FOLDER');
mkdirSync(folder, { recursive: true });
const server = await startServer();
const browser = await launch();
const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
for (const [name, path, options] of /** @type {[string, string, any][]} */ ([
  ['live-dark', '/pattern/', { colorScheme: 'dark', viewport: { width: 1120, height: 800 } }],
  ['movie-light', '/movie/', { colorScheme: 'light', viewport: { width: 1120, height: 800 } }],
  ['list-light', '/', { colorScheme: 'light', viewport: { width: 1120, height: 640 } }],
  ['phone', '/pattern/', { colorScheme: 'light', ...phone }],
])) {
  const { context, page } = await openContext(browser, server.url, options);
  await page.goto(server.url + path);
  if (path === '/') await page.waitForSelector('#live-cards li');
  else {
    await plays(page, 1);
    if (name === 'live-dark') {
      await page.keyboard.press('i');
      await page.waitForTimeout(12_000);
    }
  }
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await context.close();
}
await browser.close();
await server.end();
