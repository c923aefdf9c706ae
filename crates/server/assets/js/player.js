// @ts-check
// The player page: its parts, and how they are joined.

import { addressRows } from './addresses.js';
import { ApiError, nameOfPage, stream as askStream } from './api.js';
import { ServerClock } from './clock.js';
import { Controls } from './controls.js';
import { must, setText } from './dom.js';
import { trackText } from './format.js';
import { listenToKeys } from './keys.js';
import { Measure } from './measure.js';
import { Playback } from './playback.js';
import * as problems from './problems.js';
import { QualityMenu } from './quality.js';
import { reportMeasures } from './report.js';
import { newToken } from './session.js';
import { Stats } from './stats.js';

/** @typedef {import('./api.js').Stream} Stream */
/** @typedef {import('./problems.js').Problem} Problem */

const name = nameOfPage(location.pathname);
const video = must('video', HTMLVideoElement);
document.title = `${name} · weir`;
setText(must('name', HTMLElement), name);
must('problem-retry', HTMLButtonElement).addEventListener('click', () => retry());

/** What “Try again” does. */
let retry = () => location.reload();
void open();

async function open() {
  let stream;
  try {
    stream = await askStream(name);
  } catch (error) {
    showProblem(problemOf(error));
    const again = setTimeout(open, ASK_MS);
    retry = () => {
      clearTimeout(again);
      void open();
    };
    return;
  }
  showProblem(null);
  build(stream);
}

/** @param {Stream} stream */
function build(stream) {
  describe(stream);
  const token = newToken();
  const clock = new ServerClock();
  const playback = new Playback(video, stream, token);
  const measure = new Measure(video, playback, clock);
  const controls = new Controls(video, playback, measure);
  const quality = new QualityMenu(playback);
  const stats = new Stats(video, playback, measure, token);
  const help = helpDialog();
  listenToKeys(controls, {
    toggleStats: () => stats.toggle(),
    toggleQuality: () => quality.toggle(),
    toggleHelp: help,
  });
  playback.addEventListener('problem', (event) => {
    showProblem(/** @type {CustomEvent<Problem | null>} */ (event).detail);
    controls.draw();
  });
  playback.addEventListener('note', (event) => controls.flash(/** @type {CustomEvent<string>} */ (event).detail, NOTE_MS));
  retry = () => {
    playback.again();
    void controls.autoplay();
  };
  playback.begin();
  if (playback.way !== null) void controls.autoplay();
  reportMeasures(token, stream.name, measure);
  // After the first picture, so that nothing stands in its way.
  if (stream.kind === 'live') clock.start();
  else video.addEventListener('playing', () => clock.start(), { once: true });
}

/** @param {Stream} stream */
function describe(stream) {
  must('kind-live', HTMLElement).hidden = stream.kind !== 'live';
  setText(must('tracks', HTMLElement), (stream.tracks ?? []).map(trackText).join(' · '));
  must('addresses', HTMLUListElement).replaceChildren(...addressRows(stream, location.href));
  const picture = stream.tracks?.find((track) => track.kind === 'video');
  if (picture?.width && picture.height) {
    must('stage', HTMLElement).style.setProperty('--aspect', `${picture.width} / ${picture.height}`);
  }
}

/** @param {Problem | null} problem */
function showProblem(problem) {
  const panel = must('problem', HTMLElement);
  if (problem !== null) {
    setText(must('problem-title', HTMLElement), problem.title);
    setText(must('problem-text', HTMLElement), problem.text);
    setText(must('problem-todo', HTMLElement), problem.todo);
    setText(must('name', HTMLElement), name);
  }
  panel.hidden = problem === null;
}

/** @param {unknown} error */
function problemOf(error) {
  if (!(error instanceof ApiError)) return problems.noAnswer();
  if (error.status === 404) return problems.noSuchStream(name, error.hint);
  return problems.serverSays(error.message, error.hint);
}

/** Shows and hides the list of keys. */
function helpDialog() {
  const dialog = must('help', HTMLDialogElement);
  const toggle = () => (dialog.open ? dialog.close() : dialog.showModal());
  must('help-open', HTMLButtonElement).addEventListener('click', toggle);
  must('help-close', HTMLButtonElement).addEventListener('click', toggle);
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  return toggle;
}

/** How often a stream that is not there is asked for. */
const ASK_MS = 4000;
const NOTE_MS = 4000;
