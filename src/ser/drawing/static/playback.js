// Playback of one recording by an <audio> element and a button.

import { icon } from "./dom.js";

export class Playback {
  /** onMove : with seconds, while it plays and where it is put. */
  constructor(audio, button, { onMove }) {
    Object.assign(this, { audio, button, onMove, until: null });
    this._over = new AbortController();
    const { signal } = this._over;
    button.addEventListener("click", () => this.toggle(), { signal });
    for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, () => this._changed(), { signal });
  }

  get isLoaded() {
    return this.audio.hasAttribute("src");
  }

  get isPlaying() {
    return !this.audio.paused && !this.audio.ended;
  }

  load(address) {
    this.unload();
    this.audio.src = address;
    this.button.disabled = false;
  }

  unload() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.button.disabled = true;
    this.until = null;
  }

  /** Leave the element to another one; its sound stays. */
  remove() {
    this.audio.pause();
    this._over.abort();
  }

  toggle() {
    this.until = null;
    if (!this.isLoaded) return;
    if (this.audio.paused) this._start();
    else this.audio.pause();
  }

  seek(seconds) {
    if (!this.isLoaded) return;
    this.until = null;
    this.audio.currentTime = seconds;
    this.onMove(seconds);
  }

  /** Play one stretch. */
  play(start, end) {
    if (!this.isLoaded) return;
    this.seek(start);
    this.until = end;
    this._start();
  }

  _start() {
    // Another recording may take its place before it begins.
    this.audio.play().catch(() => {});
  }

  _changed() {
    this.button.setAttribute("aria-label", this.isPlaying ? "Pause" : "Play");
    this.button.replaceChildren(icon(this.isPlaying ? "pause" : "play"));
    if (this.isPlaying) this._follow();
  }

  _follow() {
    if (this.audio.paused || this._over.signal.aborted) return;
    if (this.until !== null && this.audio.currentTime >= this.until) {
      this.until = null;
      this.audio.pause();
    }
    this.onMove(this.audio.currentTime);
    requestAnimationFrame(() => this._follow());
  }
}
