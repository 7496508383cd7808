// Playback of the samples that the model is given, so that sound and timeline agree.

import { interleaved, wav } from "./audio.js";
import { $, icon } from "./dom.js";

export class Player {
  /** onMove : with ms, while it plays and where it is put. */
  constructor({ onMove }) {
    this.audio = $("#audio");
    this.button = $("#play");
    this.onMove = onMove;
    this.until = null;
    this.button.addEventListener("click", () => this.toggle());
    for (const event of ["play", "pause", "ended"]) this.audio.addEventListener(event, () => this._changed());
  }

  load(channels) {
    this.unload();
    this.url = URL.createObjectURL(wav(interleaved(channels), channels.length));
    this.audio.src = this.url;
    this.button.disabled = false;
  }

  unload() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
    this.button.disabled = true;
  }

  toggle() {
    this.until = null;
    if (!this.url) return;
    if (this.audio.paused) this.audio.play();
    else this.audio.pause();
  }

  seek(ms) {
    if (!this.url) return;
    this.until = null;
    this.audio.currentTime = ms / 1000;
    this.onMove(ms);
  }

  /** Play one stretch. */
  play(startMs, endMs) {
    if (!this.url) return;
    this.seek(startMs);
    this.until = endMs / 1000;
    this.audio.play();
  }

  _changed() {
    const isPlaying = !this.audio.paused && !this.audio.ended;
    this.button.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    this.button.replaceChildren(icon(isPlaying ? "pause" : "play"));
    if (isPlaying) this._follow();
  }

  _follow() {
    if (this.audio.paused) return;
    if (this.until !== null && this.audio.currentTime >= this.until) {
      this.until = null;
      this.audio.pause();
    }
    this.onMove(1000 * this.audio.currentTime);
    requestAnimationFrame(() => this._follow());
  }
}
