// A timeline in the page: a lane for each channel, a cursor, zoom, an overview of the whole.

import { drawAxis } from "./axis.js";
import { capital, clock, h, percent } from "./dom.js";
import { drawTurns, drawWave, GAP, HEIGHT, loudest, prepared, RIBBONS, TURNS, WAVE } from "./lanes.js";
import { Overview } from "./overview.js";
import { readingAt } from "./reading.js";
import { binSeconds, drawRibbons, runsOf } from "./ribbons.js";
import { View } from "./view.js";

const ZOOM = 1.6;
/** Pixels that a pointer moves before it drags. */
const DRAG = 4;

export class Track {
  /**
   * timeline : the document of `ser timeline --json`. onSeek : with seconds, or null for play and pause. onTurn :
   * with a turn that was chosen. names : of the channels.
   */
  constructor(root, { timeline, palette, onSeek, onTurn, names }) {
    Object.assign(this, { root, timeline, palette, onSeek, onTurn, names, position: null, chosen: null });
    this.view = new View(timeline.seconds, () => this.draw());
    this.most = loudest(timeline.channels);
    this.lanes = timeline.channels.map((channel, place) => this._lane(channel, names[place]));
    this.turns = this.lanes.flatMap(({ channel }) => channel.turns).sort((a, b) => a.start - b.start);
    this._build();
    this._listen();
    this._resizing = new ResizeObserver(() => this.draw());
    this._resizing.observe(root);
  }

  /** Take it out of the page. */
  remove() {
    this._resizing.disconnect();
    this.root.replaceChildren();
  }

  _lane(channel, name) {
    const canvas = h("canvas", { "aria-hidden": "true" });
    const title = this.timeline.channels.length > 1 && h("h3", {}, name);
    const none = !channel.speech.length && h("p", { className: "muted small" }, "Nobody speaks here.");
    return { channel, canvas, runs: runsOf(channel.windows), element: h("div", { className: "lane" }, title, canvas, none) };
  }

  _build() {
    this.axis = h("canvas", { "aria-hidden": "true" });
    this.slider = h("div", {
      className: "axis", role: "slider", tabIndex: 0, "aria-label": "Position in the recording",
      "aria-valuemin": "0", "aria-valuemax": String(Math.round(this.timeline.seconds)), "aria-valuenow": "0", "aria-valuetext": clock(0),
    }, this.axis);
    this.cursor = h("div", { className: "cursor", hidden: true });
    this.hair = h("div", { className: "tl-hair", hidden: true });
    this.tip = h("div", { className: "tl-tip", hidden: true, "aria-hidden": "true" });
    this.area = h("div", { className: "area tl-area" }, this.lanes.map(({ element }) => element), this.slider, this.cursor, this.hair, this.tip);
    this.overview = new Overview(this);
    const button = (text, label, onclick) => h("button", { type: "button", className: "quiet", "aria-label": label, onclick }, text);
    this.closer = button("+", "Zoom in", () => this._zoom(ZOOM));
    this.wider = button("−", "Zoom out", () => this._zoom(1 / ZOOM));
    this.whole = button("Whole", "Show the whole recording", () => this.view.show(0, this.timeline.seconds));
    this.tools = h("div", { className: "tl-tools" },
      h("div", { className: "tl-zoom", role: "group", "aria-label": "Zoom" }, this.wider, this.closer, this.whole),
      this.far = h("p", { className: "small tl-far" }),
      h("p", { className: "muted small tl-hint" }, "Click or drag to listen there. Ctrl and wheel, two fingers, or + and − zoom; n and p go from turn to turn."));
    this.root.replaceChildren(this.area, this.overview.element, this.tools);
    this.draw();
  }

  /** Where it plays, seconds; null: nowhere. */
  moveTo(seconds, { follows = false } = {}) {
    this.position = seconds;
    const text = `${clock(1000 * (seconds ?? 0))}${this._spoken(seconds ?? 0)}`;
    this.slider.setAttribute("aria-valuenow", String(Math.round(seconds ?? 0)));
    this.slider.setAttribute("aria-valuetext", text);
    if (follows && seconds !== null) this.view.follow(seconds);
    this._placeCursor();
  }

  choose(turn) {
    this.chosen = turn;
    if (turn) this.view.reveal(turn.start, turn.end);
    this.draw();
  }

  draw() {
    if (this._asked) return;
    this._asked = requestAnimationFrame(() => {
      this._asked = null;
      this._draw();
    });
  }

  _draw() {
    const width = this.area.clientWidth;
    if (!width) return;
    const { view, palette } = this;
    const { classes, seconds } = this.timeline;
    const x = (at) => ((at - view.from) / view.span) * width;
    for (const { channel, canvas, runs } of this.lanes) {
      const g = prepared(canvas, width, HEIGHT);
      drawWave(g, { envelope: channel.envelope, seconds, view, x, width, height: WAVE, most: this.most, palette });
      g.translate(0, WAVE + GAP);
      drawRibbons(g, { channel, classes, runs, view, x, width, height: RIBBONS, palette });
      g.translate(0, RIBBONS + GAP);
      drawTurns(g, { turns: channel.turns, view, x, height: TURNS, palette, chosen: this.chosen });
    }
    drawAxis(prepared(this.axis, width, 24), { view, x, width, palette });
    this.overview.draw(width);
    const bin = binSeconds(view, width);
    this.far.textContent = bin === null ? "" : `Ribbons: means over ${bin < 100 ? Math.round(bin) : clock(1000 * bin, 0)}${bin < 100 ? "\u202fs" : ""} of speech; zoom in for each window.`;
    this.wider.disabled = this.whole.disabled = view.isWhole;
    this._placeCursor();
  }

  _placeCursor() {
    const { view } = this;
    this.cursor.hidden = this.position === null || this.position < view.from || this.position > view.to;
    if (!this.cursor.hidden) this.cursor.style.setProperty("left", `${(100 * (this.position - view.from)) / view.span}%`);
    this.overview.moveTo(this.position);
  }

  /** What holds at a time, in words. */
  _spoken(seconds) {
    return this.lanes.map(({ channel }, place) => {
      const turn = channel.turns.find((one) => one.start <= seconds && seconds < one.end);
      const who = this.lanes.length > 1 ? `${this.names[place]}: ` : "";
      return turn ? `, ${who}${turn.emotion ?? "no answer"}` : "";
    }).join("");
  }

  _zoom(factor, at) {
    const { position, view } = this;
    const isSeen = position !== null && position >= view.from && position <= view.to;
    view.zoom(factor, at ?? (isSeen ? position : undefined));
  }

  _at(event) {
    const box = this.area.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return this.view.from + share * this.view.span;
  }

  _listen() {
    const { area, slider } = this;
    slider.addEventListener("keydown", (event) => this._key(event));
    area.addEventListener("wheel", (event) => this._wheel(event), { passive: false });
    const fingers = new Map();
    let began = null, apart = 0;
    area.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      fingers.set(event.pointerId, event.clientX);
      began = fingers.size === 1 ? { x: event.clientX, drags: false } : null;
      apart = spread(fingers);
    });
    area.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch") this._hover(event);
      if (!fingers.has(event.pointerId)) return;
      fingers.set(event.pointerId, event.clientX);
      if (fingers.size === 2) {
        const now = spread(fingers);
        if (apart > 8 && now > 8) this._zoom(now / apart, this._at({ clientX: ([...fingers.values()][0] + [...fingers.values()][1]) / 2 }));
        apart = now;
      } else if (began && (began.drags || Math.abs(event.clientX - began.x) > DRAG)) {
        began.drags = true;
        area.setPointerCapture(event.pointerId);
        this.onSeek(this._at(event));
      }
    });
    area.addEventListener("pointerup", (event) => {
      if (began && fingers.size === 1) {
        const turn = began.drags ? null : this._turnAt(event);
        this.onSeek(this._at(event));
        if (turn) this.onTurn(turn);
      }
      fingers.delete(event.pointerId);
      began = null;
    });
    for (const kind of ["pointercancel", "pointerleave"]) {
      area.addEventListener(kind, (event) => {
        fingers.delete(event.pointerId);
        this.hair.hidden = this.tip.hidden = true;
      });
    }
  }

  /** The turn whose bar lies under a pointer. */
  _turnAt(event) {
    const at = this._at(event);
    const lane = this.lanes.find(({ canvas }) => event.target === canvas);
    if (!lane) return null;
    const below = event.clientY - lane.canvas.getBoundingClientRect().top;
    if (below < WAVE + RIBBONS + 2 * GAP) return null;
    return lane.channel.turns.find((one) => one.start <= at && at < one.end) ?? null;
  }

  _hover(event) {
    const at = this._at(event);
    const left = (100 * (at - this.view.from)) / this.view.span;
    this.hair.hidden = this.tip.hidden = false;
    this.hair.style.setProperty("left", `${left}%`);
    const parts = this.lanes.map(({ channel, runs }, place) => {
      const name = this.lanes.length > 1 && h("p", { className: "small muted" }, this.names[place]);
      const reading = readingAt(channel, runs, this.timeline.classes, at);
      if (!reading) return [name, h("p", {}, "No speech")];
      const rows = reading.map(([emotion, share]) => h("li", {}, this.palette.swatch(emotion), capital(emotion), h("span", { className: "number" }, percent(share))));
      return [name, h("ul", {}, rows)];
    });
    this.tip.replaceChildren(h("p", { className: "number" }, clock(1000 * at)), ...parts.flat().filter(Boolean));
    // Beside the pointer, on the side that has room.
    this.tip.classList.toggle("before", left > 50);
    this.tip.style.setProperty("left", `${left}%`);
  }

  _wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this._zoom(Math.exp(-event.deltaY / 300), this._at(event));
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
      event.preventDefault();
      this.view.pan(((event.deltaX || event.deltaY) / this.area.clientWidth) * this.view.span);
    }
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = this.position ?? 0, { seconds } = this.timeline;
    const step = Math.max(0.5, this.view.span / 60);
    const jump = { ArrowLeft: now - step, ArrowRight: now + step, PageUp: now - 10 * step, PageDown: now + 10 * step, Home: 0, End: seconds };
    if (event.key in jump) {
      const at = Math.max(0, Math.min(seconds, jump[event.key]));
      this.onSeek(at);
      this.view.follow(at);
    } else if (event.key === " ") this.onSeek(null);
    else if (event.key === "+" || event.key === "=") this._zoom(ZOOM);
    else if (event.key === "-") this._zoom(1 / ZOOM);
    else if (event.key === "0") this.view.show(0, seconds);
    else if (event.key === "n") this._goTo(this.turns.find((one) => one.start > now + 0.01));
    else if (event.key === "p") this._goTo(this.turns.findLast((one) => one.start < now - 0.01));
    else return;
    event.preventDefault();
  }

  _goTo(turn) {
    if (!turn) return;
    this.onSeek(turn.start);
    this.onTurn(turn);
  }
}

function spread(fingers) {
  const [a, b] = [...fingers.values()];
  return b === undefined ? 0 : Math.abs(a - b);
}
