// The whole recording in small, and which part of it is in view: drag it, or go there.

import { h } from "./dom.js";
import { drawTurns, drawWave, prepared } from "./lanes.js";

const WAVE_HEIGHT = 22, BAR = 7;

export class Overview {
  constructor(track) {
    this.track = track;
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.window = h("div", { className: "tl-window" });
    this.cursor = h("div", { className: "tl-mark", hidden: true });
    this.element = h("div", { className: "tl-overview", title: "The whole recording: drag to move the part in view" }, this.canvas, this.window, this.cursor);
    this.element.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.element.setPointerCapture(event.pointerId);
      const { view } = track;
      const at = this._at(event);
      // Held where it was taken, else it comes there with its middle.
      const held = at >= view.from && at <= view.to ? at - view.from : view.span / 2;
      const move = (e) => view.show(this._at(e) - held, this._at(e) - held + view.span);
      move(event);
      this.element.onpointermove = move;
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      this.element.addEventListener(kind, () => (this.element.onpointermove = null));
    }
  }

  _at(event) {
    const box = this.element.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * this.track.timeline.seconds;
  }

  draw(width) {
    const { timeline, view, palette, most } = this.track;
    const { seconds, channels } = timeline;
    const whole = { from: 0, to: seconds, span: seconds };
    const x = (at) => (at / seconds) * width;
    const g = prepared(this.canvas, width, channels.length * (WAVE_HEIGHT + BAR + 2));
    for (const { envelope, turns } of channels) {
      drawWave(g, { envelope, seconds, view: whole, x, width, height: WAVE_HEIGHT, most, palette, colour: palette.edge });
      g.translate(0, WAVE_HEIGHT);
      drawTurns(g, { turns: turns.filter((one) => one.emotion), view: whole, x, height: BAR, palette, chosen: null });
      g.translate(0, BAR + 2);
    }
    this.window.style.setProperty("left", `${(100 * view.from) / seconds}%`);
    this.window.style.setProperty("width", `${(100 * view.span) / seconds}%`);
    this.window.hidden = view.isWhole;
  }

  moveTo(seconds) {
    this.cursor.hidden = seconds === null;
    if (seconds !== null) this.cursor.style.setProperty("left", `${(100 * seconds) / this.track.timeline.seconds}%`);
  }
}
