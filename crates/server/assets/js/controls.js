// @ts-check
// The buttons and sliders of the player, and what else stands over the picture.

import { must, setIcon, setText } from './dom.js';
import { clockTime } from './format.js';
import { behind, SeekBar } from './seekbar.js';

/** @typedef {import('./playback.js').Playback} Playback */
/** @typedef {import('./measure.js').Measure} Measure */

export class Controls {
  /**
   * @param {HTMLVideoElement} video
   * @param {Playback} playback
   * @param {Measure} measure
   */
  constructor(video, playback, measure) {
    this.video = video;
    this.playback = playback;
    this.measure = measure;
    this.stage = must('stage', HTMLElement);
    this.playButton = must('play', HTMLButtonElement);
    this.muteButton = must('mute', HTMLButtonElement);
    this.volume = must('volume', HTMLInputElement);
    this.fullButton = must('full', HTMLButtonElement);
    this.pipButton = must('pip', HTMLButtonElement);
    this.edgeButton = must('edge', HTMLButtonElement);
    this.bigPlay = must('big-play', HTMLButtonElement);
    this.unmute = must('unmute', HTMLButtonElement);
    this.spinner = must('spinner', HTMLElement);
    this.flashText = must('flash', HTMLElement);
    this.seekBar = new SeekBar(video, playback);
    /** The page muted it, because the browser lets nothing begin with sound. */
    this.muted_by_page = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.idle = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.flash_end = undefined;
    this.restoreVolume();
    this.listenToVideo();
    this.listenToButtons();
    this.listenToPointer();
    setInterval(() => this.draw(), DRAW_MS);
    this.draw();
  }

  /** Plays, with sound if the browser lets it, else muted, else at a click. */
  async autoplay() {
    const outcome = await this.tryPlay();
    if (outcome !== 'refused') return;
    this.muted_by_page = true;
    this.video.muted = true;
    if ((await this.tryPlay()) === 'refused') {
      this.muted_by_page = false;
      this.video.muted = false;
    }
    this.draw();
  }

  async tryPlay() {
    try {
      await this.video.play();
      return 'plays';
    } catch (error) {
      return error instanceof DOMException && error.name === 'NotAllowedError' ? 'refused' : 'failed';
    }
  }

  togglePlay() {
    if (this.video.paused || this.video.ended) {
      this.measure.askedNow();
      void this.tryPlay();
    } else this.video.pause();
  }

  toggleMute() {
    this.muted_by_page = false;
    this.video.muted = !this.video.muted;
    if (!this.video.muted && this.video.volume === 0) this.video.volume = 0.5;
    this.flash(this.video.muted ? 'Sound off' : 'Sound on');
  }

  /** @param {number} by */
  louder(by) {
    this.video.volume = Math.min(1, Math.max(0, Math.round((this.video.volume + by) * 100) / 100));
    this.video.muted = false;
    this.muted_by_page = false;
    this.flash(`Volume ${Math.round(this.video.volume * 100)} %`);
  }

  /** @param {number} by_s */
  seekBy(by_s) {
    this.seekTo(this.video.currentTime + by_s);
    this.flash(`${by_s > 0 ? '+' : '−'}${Math.abs(by_s)} s`);
  }

  /** @param {number} to_s */
  seekTo(to_s) {
    const window = this.playback.window();
    if (window !== undefined) this.video.currentTime = Math.min(window.end_s, Math.max(window.start_s, to_s));
  }

  /** @param {number} share of what can be sought */
  seekToShare(share) {
    const window = this.playback.window();
    if (window !== undefined) this.seekTo(window.start_s + share * (window.end_s - window.start_s));
  }

  /** @param {number} frames */
  step(frames) {
    if (!this.video.paused) return;
    const rate = this.playback.stream.tracks?.find((track) => track.kind === 'video')?.frame_rate ?? 30;
    this.seekTo(this.video.currentTime + frames / rate);
  }

  goLive() {
    if (!this.playback.isLive) return;
    this.video.currentTime = this.playback.edge_s();
    if (this.video.paused) void this.tryPlay();
  }

  async toggleFull() {
    const video = /** @type {any} */ (this.video);
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else if (this.stage.requestFullscreen) await this.stage.requestFullscreen();
      // An iPhone lets only the picture go full screen.
      else video.webkitEnterFullscreen?.();
    } catch {
      this.flash('The browser refuses full screen here');
    }
  }

  async togglePip() {
    try {
      if (document.pictureInPictureElement) await document.exitPictureInPicture();
      else await this.video.requestPictureInPicture();
    } catch {
      this.flash('The browser refuses picture in picture now');
    }
  }

  /**
   * Says something for a moment.
   * @param {string} text
   * @param {number} [shown_ms]
   */
  flash(text, shown_ms = FLASH_MS) {
    setText(this.flashText, text);
    clearTimeout(this.flash_end);
    this.flash_end = setTimeout(() => setText(this.flashText, ''), shown_ms);
    this.wake();
  }

  /** Shows the controls; they go after a while of playing. */
  wake() {
    this.stage.classList.remove('idle');
    clearTimeout(this.idle);
    this.idle = setTimeout(() => {
      const busy = this.video.paused || this.seekBar.dragging
        || this.stage.querySelector('.controls :focus-visible, [aria-expanded="true"]') !== null;
      if (busy) this.wake();
      else this.stage.classList.add('idle');
    }, IDLE_MS);
  }

  draw() {
    const { video, playback } = this;
    const pausing = video.paused || video.ended;
    label(this.playButton, video.ended ? 'Play again' : pausing ? 'Play' : 'Pause', video.ended ? 'replay' : pausing ? 'play' : 'pause', 'space');
    label(this.muteButton, video.muted ? 'Sound on' : 'Mute', video.muted || video.volume === 0 ? 'muted' : 'volume', 'm');
    const full = document.fullscreenElement !== null;
    label(this.fullButton, full ? 'Leave full screen' : 'Full screen', full ? 'small' : 'full', 'f');
    const level = video.muted ? 0 : video.volume;
    if (document.activeElement !== this.volume || video.muted) this.volume.value = String(level);
    this.volume.style.setProperty('--level', `${level * 100}%`);
    this.volume.setAttribute('aria-valuetext', `${Math.round(level * 100)} %`);
    this.pipButton.hidden = !document.pictureInPictureEnabled;
    this.unmute.hidden = !(this.muted_by_page && video.muted && !pausing);
    const broken = !must('problem', HTMLElement).hidden;
    const waits = video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA || video.seeking;
    this.spinner.hidden = broken || !waits || (video.paused && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA);
    this.bigPlay.hidden = broken || !pausing || !this.spinner.hidden || this.measure.startup_ms !== undefined && video.currentTime > 0;
    this.drawTime();
    this.seekBar.draw();
    void playback;
  }

  drawTime() {
    const { video, playback } = this;
    const window = playback.window();
    const time = must('time', HTMLElement);
    this.edgeButton.hidden = !playback.isLive;
    if (playback.isLive) {
      const behind_s = window ? window.end_s - video.currentTime : 0;
      const at_edge = behind_s < EDGE_S && !video.paused;
      this.edgeButton.classList.toggle('at-edge', at_edge);
      setText(this.edgeButton, at_edge ? 'Live' : 'Go to live');
      setText(time, window && !at_edge ? behind(behind_s) : '');
      time.hidden = !time.textContent;
    } else {
      setText(time, window ? `${clockTime(video.currentTime)} / ${clockTime(window.end_s)}` : '');
    }
  }

  listenToVideo() {
    const { video } = this;
    for (const event of ['play', 'pause', 'ended', 'volumechange', 'seeking', 'seeked', 'waiting', 'playing', 'loadedmetadata', 'progress', 'emptied', 'canplay']) {
      video.addEventListener(event, () => this.draw());
    }
    video.addEventListener('pause', () => this.wake());
    video.addEventListener('volumechange', () => {
      if (!video.muted) this.muted_by_page = false;
      if (this.muted_by_page) return;
      try {
        localStorage.setItem(VOLUME_KEY, String(video.volume));
      } catch {
        // Not kept, then.
      }
    });
    video.addEventListener('loadedmetadata', () => {
      if (video.videoWidth > 0) this.stage.style.setProperty('--aspect', `${video.videoWidth} / ${video.videoHeight}`);
    });
  }

  listenToButtons() {
    this.playButton.addEventListener('click', () => this.togglePlay());
    this.bigPlay.addEventListener('click', () => this.togglePlay());
    this.muteButton.addEventListener('click', () => this.toggleMute());
    this.unmute.addEventListener('click', () => this.toggleMute());
    this.volume.addEventListener('input', () => {
      this.video.volume = this.volume.valueAsNumber;
      this.video.muted = this.volume.valueAsNumber === 0;
      this.muted_by_page = false;
    });
    this.fullButton.addEventListener('click', () => void this.toggleFull());
    this.pipButton.addEventListener('click', () => void this.togglePip());
    this.edgeButton.addEventListener('click', () => this.goLive());
    document.addEventListener('fullscreenchange', () => this.draw());
  }

  listenToPointer() {
    const { video, stage } = this;
    stage.addEventListener('pointermove', () => this.wake());
    stage.addEventListener('focusin', () => this.wake());
    video.addEventListener('click', (event) => {
      // A finger on the picture brings the controls; only a mouse plays and pauses by it.
      const by_finger = /** @type {PointerEvent} */ (event).pointerType === 'touch';
      if (by_finger && stage.classList.contains('idle')) this.wake();
      else this.togglePlay();
    });
    video.addEventListener('dblclick', () => void this.toggleFull());
  }

  restoreVolume() {
    try {
      const stored = Number.parseFloat(localStorage.getItem(VOLUME_KEY) ?? '');
      if (stored >= 0 && stored <= 1) this.video.volume = stored;
    } catch {
      // Full volume, then.
    }
  }
}

/**
 * @param {HTMLButtonElement} button
 * @param {string} text
 * @param {string} icon
 * @param {string} key
 */
function label(button, text, icon, key) {
  if (button.getAttribute('aria-label') !== text) {
    button.setAttribute('aria-label', text);
    button.title = `${text} (${key})`;
  }
  setIcon(button, icon);
}

const DRAW_MS = 250;
const IDLE_MS = 2600;
const FLASH_MS = 900;
/** Nearer than this to the edge is live: the place that plays without stalls moves by a segment. */
const EDGE_S = 6;
const VOLUME_KEY = 'weir.volume';
