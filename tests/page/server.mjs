// A server to open pages from: the one at `WEIR_URL`, or one that is started here.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = new URL('../../', import.meta.url).pathname;
const PROGRAM = process.env.WEIR_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'release', 'weir');

/**
 * The live pattern, and the movie `movie` of it.
 * @returns {Promise<{url: string, end: () => Promise<void>}>}
 */
export async function startServer() {
  if (process.env.WEIR_URL) return { url: process.env.WEIR_URL.replace(/\/$/, ''), end: async () => {} };
  const folder = mkdtempSync(join(tmpdir(), 'weir-page-'));
  const made = spawnSync(PROGRAM, ['pattern', '--seconds', '20', '--size', '640x360', '-o', join(folder, 'movie.mp4'), '--json']);
  if (made.status !== 0) throw new Error(`${PROGRAM} pattern: ${made.error ?? made.stderr}`);
  const server = spawn(PROGRAM, [
    'serve', folder, '--pattern=640x360@30', '--bind', '127.0.0.1', '--http-port', '0', '--rtsp-port', '0', '--json',
  ], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  const banner = await firstLine(server);
  return {
    url: `http://${JSON.parse(banner).http}`,
    end: async () => {
      const ended = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * @param {import('node:child_process').ChildProcess} process
 * @returns {Promise<string>}
 */
function firstLine(process) {
  return new Promise((resolve, reject) => {
    let text = '';
    process.stdout?.on('data', (data) => {
      text += data;
      if (text.includes('\n')) resolve(text.split('\n')[0]);
    });
    process.once('exit', (code) => reject(new Error(`weir serve ended with ${code} before it began`)));
  });
}
