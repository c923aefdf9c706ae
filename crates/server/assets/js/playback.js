// @ts-check
// Playing a stream in a video element: by HLS through Media Source Extensions, by the browser's
// own HLS, or as one progressive file.

import Hls from '/assets/vendor/hls.min.mjs';
import * as problems from './problems.js';
import { withSession } from './session.js';

/** @typedef {import('./api.js').Stream} Stream */
/** @typedef {import('./problems.js').Problem} Problem */
/** @typedef {'hls' | 'native' | 'mp4'} Way */
/** @typedef {{index: number, label: string, bitrate_bps: number}} Level */

/**
 * Tells by events: `way` (another transport), `levels` (the menu has changed), `problem` (detail: a
 * {@link Problem}, or null when it is over), `note` (detail: text), `fragment`.
 */
export class Playback extends EventTarget {
  /**
   * @param {HTMLVideoElement} video
   * @param {Stream} stream
   * @param {string} token
   */
  constructor(video, stream, token) {
    super();
    this.video = video;
    this.stream = stream;
    this.token = token;
    /** @type {Way | null} */
    this.way = null;
    /** @type {Hls | null} */
    this.hls = null;
    /** Bytes and times of the last fragments. @type {{bytes: number, ms: number}[]} */
    this.fragments = [];
    this.recoveries = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.retry = undefined;
    this.failed = false;
    video.addEventListener('error', () => this.onVideoError());
    video.addEventListener('timeupdate', () => this.onProgress());
  }

  /**
   * The ways by which this browser and this stream can come together, the best first.
   * @returns {Way[]}
   */
  ways() {
    /** @type {Way[]} */
    const ways = [];
    const { hls, mp4 } = this.stream.urls;
    if (hls && Hls.isSupported()) ways.push('hls');
    else if (hls && this.video.canPlayType(HLS_TYPE) !== '') ways.push('native');
    if (mp4) ways.push('mp4');
    return ways;
  }

  /** Begins with the best way; a codec that none of them plays is a problem. */
  begin() {
    const ways = this.ways();
    if (ways.length === 0) {
      this.problem(problems.noWay(this.stream));
      return;
    }
    const whole = ways.find((way) => this.missing(way).length === 0);
    const silent = ways.find((way) => way !== 'hls' && this.missing(way).every((track) => track.kind === 'audio'));
    const way = whole ?? silent;
    if (way === undefined) {
      this.problem(problems.codecNotPlayable(this.missing(ways[0]), this.stream));
      return;
    }
    this.start(way, null);
    if (whole === undefined) {
      this.emit('note', `No sound: ${problems.codecNotPlayable(this.missing(way), this.stream).title}`);
    }
  }

  /**
   * Plays by this way from now on.
   * @param {Way} way
   * @param {number | null} at_s where; null is the start, or the live edge
   */
  start(way, at_s) {
    this.stop();
    this.way = way;
    this.failed = false;
    this.problem(null);
    if (way === 'hls') this.startHls(at_s);
    else {
      const address = way === 'mp4' ? this.stream.urls.mp4 : this.stream.urls.hls;
      this.video.src = withSession(address ?? '', this.token);
      if (at_s !== null) this.video.currentTime = at_s;
    }
    this.emit('way', way);
    this.emit('levels', null);
  }

  stop() {
    clearTimeout(this.retry);
    this.hls?.destroy();
    this.hls = null;
    this.fragments = [];
    this.recoveries = 0;
  }

  /** Begins again where it stopped. */
  again() {
    if (this.way === null) this.begin();
    else this.start(this.way, this.stream.kind === 'live' ? null : this.video.currentTime);
  }

  /** @returns {Level[]} the best first; none where there is nothing to choose */
  levels() {
    const levels = this.hls?.levels ?? [];
    if (levels.length < 2) return [];
    return levels
      .map((level, index) => ({
        index, label: level.height ? `${level.height}p` : level.name || `Level ${index + 1}`, bitrate_bps: level.bitrate,
      }))
      .sort((a, b) => b.bitrate_bps - a.bitrate_bps);
  }

  /** The chosen level; -1 is automatic. */
  get level() {
    return this.hls && !this.hls.autoLevelEnabled ? this.hls.loadLevel : -1;
  }

  set level(index) {
    if (this.hls) this.hls.nextLevel = index;
    this.emit('levels', null);
  }

  /** The quality that plays, in words. */
  qualityText() {
    if (this.way === 'mp4') return 'whole file';
    const levels = this.levels();
    const playing = levels.find((level) => level.index === this.hls?.currentLevel);
    const only = this.hls?.levels?.[0];
    if (levels.length === 0) {
      return only?.bitrate ? `one level, ${Math.round(only.bitrate / 1000)} kbit/s` : 'one level';
    }
    return `${playing?.label ?? 'choosing'}${this.level === -1 ? ', automatic' : ', chosen'}`;
  }

  /** Measured over the last fragments; absent where the browser does not tell. */
  throughput_bps() {
    const ms = this.fragments.reduce((sum, one) => sum + one.ms, 0);
    const bytes = this.fragments.reduce((sum, one) => sum + one.bytes, 0);
    return ms > 0 ? (bytes * 8000) / ms : undefined;
  }

  /** Whether the stream goes on while it is played. */
  get isLive() {
    return this.stream.kind === 'live';
  }

  /** What can be sought, in media time; absent before it is known. */
  window() {
    const seekable = this.video.seekable;
    if (this.isLive) {
      if (seekable.length === 0) return undefined;
      const end_s = this.edge_s();
      return { start_s: Math.min(seekable.start(0), end_s), end_s };
    }
    const duration_s = this.video.duration;
    if (Number.isFinite(duration_s) && duration_s > 0) return { start_s: 0, end_s: duration_s };
    return this.stream.duration_s === undefined ? undefined : { start_s: 0, end_s: this.stream.duration_s };
  }

  /** The place nearest to now that plays without stalls. */
  edge_s() {
    const seekable = this.video.seekable;
    const end_s = seekable.length > 0 ? seekable.end(seekable.length - 1) : 0;
    return this.hls?.liveSyncPosition ?? end_s;
  }

  /** How far the picture is behind the newest of the playlist. */
  behindPlaylist_s() {
    const latency_s = this.hls?.latency;
    return this.isLive && latency_s !== undefined && latency_s > 0 ? latency_s : undefined;
  }

  /** @param {number | null} at_s */
  startHls(at_s) {
    const token = this.token;
    const hls = new Hls({
      // Fragmented MP4 needs no remuxing that would be worth a thread.
      enableWorker: false,
      startPosition: at_s ?? -1,
      backBufferLength: BACK_BUFFER_S,
      maxBufferLength: BUFFER_S,
      xhrSetup: (request, address) => request.open('GET', withSession(address, token), true),
    });
    this.hls = hls;
    hls.on(Hls.Events.FRAG_LOADED, (_event, { frag }) => this.onFragment(frag.stats));
    for (const event of [Hls.Events.MANIFEST_PARSED, Hls.Events.LEVEL_SWITCHED, Hls.Events.LEVELS_UPDATED]) {
      hls.on(event, () => this.emit('levels', null));
    }
    hls.on(Hls.Events.ERROR, (_event, data) => this.onHlsError(data));
    hls.loadSource(withSession(this.stream.urls.hls ?? '', token));
    hls.attachMedia(this.video);
  }

  /** @param {{total: number, loaded: number, loading: {start: number, end: number}}} stats */
  onFragment(stats) {
    const ms = stats.loading.end - stats.loading.start;
    if (ms > 0) this.fragments.push({ bytes: stats.total || stats.loaded, ms });
    this.fragments = this.fragments.slice(-FRAGMENTS);
    this.emit('fragment', null);
    if (this.failed) {
      this.failed = false;
      this.problem(null);
    }
  }

  /** @param {import('hls.js').ErrorData} data */
  onHlsError(data) {
    if (!data.fatal) return;
    const hls = this.hls;
    if (data.type === Hls.ErrorTypes.NETWORK_ERROR) {
      this.failed = true;
      const status = data.response?.code;
      this.problem(status === 404 ? problems.noSuchStream(this.stream.name) : problems.noAnswer());
      clearTimeout(this.retry);
      this.retry = setTimeout(() => this.again(), RETRY_MS);
    } else if (data.type === Hls.ErrorTypes.MEDIA_ERROR && hls && this.recoveries < RECOVERIES_MAX) {
      this.recoveries++;
      hls.recoverMediaError();
    } else {
      const codec = /codec/i.test(data.details);
      const missing = this.missing('hls');
      this.giveUp(codec && missing.length > 0
        ? problems.codecNotPlayable(missing, this.stream)
        : problems.decodingFailed(wordsOf(data.details), this.stream));
    }
  }

  onVideoError() {
    const error = this.video.error;
    // While hls.js is in charge it tells by itself.
    if (error === null || this.hls !== null || this.way === null) return;
    if (error.code === MediaError.MEDIA_ERR_NETWORK) {
      this.failed = true;
      this.problem(problems.noAnswer());
      this.retry = setTimeout(() => this.again(), RETRY_MS);
      return;
    }
    const missing = this.missing(this.way);
    this.giveUp(missing.length > 0
      ? problems.codecNotPlayable(missing, this.stream)
      : problems.decodingFailed(error.message || `media error ${error.code}`, this.stream));
  }

  onProgress() {
    if (this.failed && this.way === 'mp4' && !this.video.paused) {
      this.failed = false;
      this.problem(null);
    }
  }

  /**
   * Goes on with the next way that can play everything, or says the problem.
   * @param {Problem} problem
   */
  giveUp(problem) {
    const ways = this.ways();
    const next = ways.slice(this.way ? ways.indexOf(this.way) + 1 : 0).find((way) => this.missing(way).length === 0);
    if (next === undefined) {
      this.stop();
      this.problem(problem);
      return;
    }
    const at_s = this.video.currentTime;
    this.start(next, at_s > 0 ? at_s : null);
    this.emit('note', `HLS failed; playing ${WAY_NAMES[next]}`);
    void this.video.play().catch(() => {});
  }

  /**
   * Tracks that this browser cannot play by this way.
   * @param {Way} way
   */
  missing(way) {
    if (way === 'hls') return problems.unplayable(this.stream, canAppend);
    return problems.unplayable(this.stream, (type) => this.video.canPlayType(type) !== '');
  }

  /** @param {Problem | null} problem */
  problem(problem) {
    this.emit('problem', problem);
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** The ways as the menu names them. @type {Record<Way, string>} */
export const WAY_NAMES = { hls: 'HLS', native: 'HLS, by the browser itself', mp4: 'one MP4 file' };

/** @param {string} type */
function canAppend(type) {
  const source = window.MediaSource ?? /** @type {any} */ (window).ManagedMediaSource;
  return source?.isTypeSupported(type) === true;
}

/**
 * `bufferAppendError` as words.
 * @param {string} details
 */
function wordsOf(details) {
  return details.replace(/([A-Z])/g, ' $1').toLowerCase();
}

const HLS_TYPE = 'application/vnd.apple.mpegurl';
const BUFFER_S = 20;
const BACK_BUFFER_S = 60;
/** Throughput is that of so many fragments. */
const FRAGMENTS = 8;
const RETRY_MS = 3000;
/** So often a decoder may be started anew before the page gives up. */
const RECOVERIES_MAX = 3;
