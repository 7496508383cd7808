// A recording that is longer than one utterance: the server makes its timeline, which is shown whole.

import { api } from "./api.js";
import { $, clock, h } from "./drawing/dom.js";
import { Sheet } from "./drawing/sheet.js";
import { dismiss, notifyError } from "./notices.js";

/** Seconds of a file, null where this browser cannot tell. */
export function secondsOf(file) {
  const audio = document.createElement("audio");
  const address = URL.createObjectURL(file);
  return new Promise((resolve) => {
    const done = (seconds) => {
      URL.revokeObjectURL(address);
      resolve(Number.isFinite(seconds) && seconds > 0 ? seconds : null);
    };
    audio.onloadedmetadata = () => done(audio.duration);
    audio.onerror = () => done(null);
    audio.preload = "metadata";
    audio.src = address;
  });
}

export class LongFile {
  /** palette : gives the palette. onShow : is called before something is shown; onDone : with words. */
  constructor({ palette, onShow, onDone }) {
    Object.assign(this, { palette, onShow, onDone, sheet: null, drawn: null, asking: null, url: null });
    this.root = $("#long");
    this.audio = $("#long-audio");
  }

  /** channels : auto, each or mix. */
  async show(file, channels = "auto") {
    this.close();
    this.onShow();
    this.root.hidden = false;
    const mine = (this.asking = new AbortController());
    const bar = h("progress", { max: 1, "aria-label": "Share of the recording that is measured" });
    const told = h("p", { className: "muted number", role: "status" }, "Sending the recording…");
    const stop = h("button", { type: "button", className: "quiet", onclick: () => this.close({ isOver: true }) }, "Cancel");
    this.root.replaceChildren(h("section", { className: "panel waiting-long" }, h("h2", {}, file.name), bar, told, stop));
    const onProgress = ({ seconds, of }) => {
      if (of) bar.value = seconds / of;
      told.textContent = !seconds ? "The server reads the recording…" : `${clock(1000 * seconds, 0)}${of ? ` of ${clock(1000 * of, 0)}` : ""} measured`;
    };
    try {
      const timeline = await api.timeline(file, { channels, onProgress, signal: mine.signal });
      if (mine.signal.aborted) return;
      this._draw(file, { ...timeline, file: file.name });
    } catch (error) {
      if (mine.signal.aborted) return;
      this.close({ isOver: true });
      notifyError("long", error, error.isPassing ? ["Try again", () => this.show(file, channels)] : null);
    }
  }

  /** Take it out of the page. isOver : and back to the choice. */
  close({ isOver = false } = {}) {
    this.asking?.abort();
    this.asking = null;
    this.sheet?.remove();
    this.sheet = this.drawn = null;
    this.audio.removeAttribute("src");
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
    this.root.hidden = true;
    this.root.replaceChildren();
    dismiss("long");
    if (isOver) this.onDone(null);
  }

  /** The palette has changed. */
  recolour() {
    if (this.drawn) this._draw(...this.drawn);
  }

  _draw(file, timeline) {
    this.drawn = [file, timeline];
    this.sheet?.remove();
    this.url ??= URL.createObjectURL(file);
    this.sheet = new Sheet(this.root, { timeline, palette: this.palette(), audio: this.audio, actions: this._choice(file, timeline) });
    this.sheet.load(this.url);
    const turns = timeline.channels.reduce((sum, one) => sum + one.turns.length, 0);
    this.onDone(`${file.name}: ${turns} turns in ${clock(1000 * timeline.seconds, 0)}.`);
  }

  /** Whether each channel is a party, where there are several. */
  _choice(file, { channels }) {
    if (channels.length === 1 && channels[0].name !== "mix") return [];
    const box = h("input", { type: "checkbox", checked: channels.length > 1, onchange: ({ target }) => this.show(file, target.checked ? "each" : "mix") });
    return [h("label", { className: "check" }, box, " Call: each channel is a party")];
  }
}
