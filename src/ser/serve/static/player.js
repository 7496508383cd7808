// Playback of the samples that the model is given, so that sound and timeline agree.

import { interleaved, wav } from "./audio.js";
import { $ } from "./drawing/dom.js";
import { Playback } from "./drawing/playback.js";

/** As `Playback`, in milliseconds. */
export class Player {
  /** onMove : with ms, while it plays and where it is put. */
  constructor({ onMove }) {
    this.playback = new Playback($("#audio"), $("#play"), { onMove: (seconds) => onMove(1000 * seconds) });
    this.url = null;
  }

  load(channels) {
    this.unload();
    this.url = URL.createObjectURL(wav(interleaved(channels), channels.length));
    this.playback.load(this.url);
  }

  unload() {
    this.playback.unload();
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
  }

  toggle() {
    this.playback.toggle();
  }

  seek(ms) {
    this.playback.seek(ms / 1000);
  }

  /** Play one stretch. */
  play(startMs, endMs) {
    this.playback.play(startMs / 1000, endMs / 1000);
  }
}
