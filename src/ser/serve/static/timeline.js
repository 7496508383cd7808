// The timeline: for each channel its waveform, its posteriors as ribbons, its utterances' labels.

import { capital, clock, h, percent, reducedMotion } from "./drawing/dom.js";
import { prepared } from "./drawing/lanes.js";
import { PEAK } from "./recording.js";
import { answerOf } from "./answer.js";
import { reasonText } from "./drawing/reasons.js";
import { RATE } from "./audio.js";

const WAVE = 54, GAP = 8, RIBBONS = 92, HEIGHT = WAVE + GAP + RIBBONS;
const PEAK_MS = (1000 * PEAK) / RATE;
/** What is in view while a microphone records: a second is 60 pixels wide, where that fits. */
const liveMs = (width) => Math.min(20_000, Math.max(6000, (width / 60) * 1000));
const TICKS = [500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000];

export class Timeline {
  /** onSeek : with ms. onSelect : with an utterance. */
  constructor(root, { palette, onSeek, onSelect }) {
    Object.assign(this, { root, palette, onSeek, onSelect, recording: null, position: null });
    this.isLive = false;
    this.selected = null;
    new ResizeObserver(() => this.draw()).observe(root);
  }

  show(recording, { isLive, totalMs = 0 }) {
    Object.assign(this, { recording, isLive, totalMs, position: null, selected: null });
    this.lanes = recording.lanes.map((lane) => {
      const canvas = h("canvas", { "aria-hidden": "true" });
      const chips = h("div", { className: "chips", role: "group", "aria-label": recording.isCall ? `Utterances of party ${lane.channel + 1}` : "Utterances" });
      chips.addEventListener("keydown", (event) => this._move(event, chips));
      const title = recording.isCall && h("h3", {}, `Party ${lane.channel + 1}`);
      return { lane, canvas, chips, made: new Map(), element: h("div", { className: "lane" }, title, chips, canvas) };
    });
    this.axis = h("canvas", { "aria-hidden": "true" });
    this.slider = h("div", {
      className: "axis", role: "slider", tabIndex: 0, "aria-label": "Position in the recording",
      "aria-valuemin": "0", "aria-valuenow": "0", "aria-valuetext": clock(0),
      onkeydown: (event) => this._key(event),
    }, this.axis);
    this.cursor = h("div", { className: "cursor", hidden: true });
    this.area = h("div", { className: "area", onclick: (event) => this._seek(event) },
      this.lanes.map(({ element }) => element), this.slider, this.cursor);
    this.root.replaceChildren(this.area);
    this.draw();
  }

  stopped() {
    this.isLive = false;
    this.draw();
  }

  /** The stretch in view, ms. */
  get view() {
    const ms = Math.max(this.recording.ms, this.totalMs, 1000);
    if (!this.isLive) return [0, ms];
    const wide = liveMs(this.area.clientWidth);
    if (ms <= wide) return [0, wide];
    // Without motion, pages of time instead of a flow.
    const from = reducedMotion() ? Math.floor((2 * ms) / wide - 1) * (wide / 2) : ms - wide;
    return [from, from + wide];
  }

  moveTo(ms) {
    this.position = ms;
    this.slider.setAttribute("aria-valuenow", String(Math.round(ms)));
    this.slider.setAttribute("aria-valuetext", `${clock(ms)}${this._spoken(ms)}`);
    this._placeCursor();
  }

  /** The palette has changed. */
  recolour() {
    for (const { made, chips } of this.lanes ?? []) {
      made.clear();
      chips.replaceChildren();
    }
    this.draw();
  }

  select(utterance) {
    this.selected = utterance;
    this.draw();
  }

  draw() {
    if (!this.recording || this._asked) return;
    this._asked = requestAnimationFrame(() => {
      this._asked = null;
      this._draw();
    });
  }

  _draw() {
    const [from, to] = this.view;
    const width = this.area.clientWidth;
    if (!width) return;
    const x = (ms) => ((ms - from) / (to - from)) * width;
    for (const one of this.lanes) {
      const g = prepared(one.canvas, width, HEIGHT);
      this._wave(g, one.lane, x, width, from, to);
      g.translate(0, WAVE + GAP);
      for (const utterance of one.lane.utterances) this._ribbons(g, utterance, x, from, to);
      this._chips(one, x, width);
    }
    this._ticks(x, width, from, to);
    this.slider.setAttribute("aria-valuemax", String(Math.round(to)));
    this._placeCursor();
  }

  _wave(g, lane, x, width, from, to) {
    const middle = WAVE / 2, perPixel = (to - from) / width / PEAK_MS;
    g.fillStyle = this.palette.line;
    g.fillRect(0, middle - 0.5, width, 1);
    for (const u of lane.utterances) {
      const [left, right] = [x(u.start), x(this.recording.endOf(u))];
      g.globalAlpha = u === this.selected ? 0.16 : 0.07;
      g.fillStyle = this.palette.ink;
      g.fillRect(left, 0, right - left, WAVE);
    }
    g.globalAlpha = 1;
    g.fillStyle = this.palette.muted;
    const loudest = Math.max(24, ...this.lanes.map((one) => one.lane.loudest));
    const first = from / PEAK_MS;
    for (let px = 0; px < width; px++) {
      const start = Math.max(0, Math.floor(first + px * perPixel));
      const stop = Math.min(lane.peakCount, Math.max(start + 1, Math.floor(first + (px + 1) * perPixel)));
      let most = 0;
      for (let i = start; i < stop; i++) most = Math.max(most, lane.peaks[i]);
      if (start >= lane.peakCount) break;
      // The square root shows soft speech, too.
      const tall = Math.sqrt(most / loudest) * (middle - 2);
      g.fillRect(px, middle - tall, 0.8, Math.max(1, 2 * tall));
    }
  }

  /** Where posteriors are known: [ms, posteriors]; each holds from the one before. */
  _points(u) {
    const shown = u.intervals.filter((m) => Object.keys(m.posteriors.smoothed).length);
    const points = shown.map((m) => [m.end, m.posteriors.smoothed]);
    const whole = u.final?.posteriors.raw ?? {};
    if (!points.length && Object.keys(whole).length) points.push([u.start, whole]);
    if (!points.length) return points;
    const end = u.end ?? points.at(-1)[0];
    return [[u.start, points[0][1]], ...points, [end, points.at(-1)[1]]];
  }

  _ribbons(g, u, x, from, to) {
    const end = this.recording.endOf(u);
    if (end < from || u.start > to) return;
    const [left, right] = [x(u.start), x(end)];
    const points = this._points(u);
    const { palette } = this;
    // Where there is no answer, posteriors are in the list alone: drawn, they would look like one.
    const without = Boolean(answerOf(u)?.abstention);
    const names = points.length && !without ? palette.names.filter((name) => name in points[0][1]) : [];
    let floor = points.map(() => 0);
    for (const name of names) {
      const top = points.map(([, p], i) => floor[i] + p[name]);
      g.beginPath();
      points.forEach(([ms], i) => g.lineTo(x(ms), RIBBONS * (1 - floor[i])));
      [...points.keys()].reverse().forEach((i) => g.lineTo(x(points[i][0]), RIBBONS * (1 - top[i])));
      g.closePath();
      g.fillStyle = g.createPattern(palette.tiles[name], "repeat");
      g.fill();
      g.strokeStyle = palette.panel;
      g.lineWidth = 0.75;
      g.stroke();
      this._name(g, name, points, floor, top, x);
      floor = top;
    }
    if (without || (!names.length && !u.isOpen)) {
      g.fillStyle = g.createPattern(palette.hatch, "repeat");
      g.fillRect(left, 0, right - left, RIBBONS);
    }
    g.strokeStyle = u === this.selected ? palette.ink : palette.muted;
    g.lineWidth = u === this.selected ? 2 : 1;
    g.strokeRect(left + 0.5, 0.5, Math.max(1, right - left - 1), RIBBONS - 1);
  }

  /** An emotion's name in its ribbon, where that is wide and thick enough. */
  _name(g, name, points, floor, top, x) {
    g.font = `600 12px ${this.palette.font}`;
    const wide = g.measureText(capital(name)).width + 14;
    let start = null, best = [0, 0];
    points.forEach(([ms], i) => {
      const thick = (top[i] - floor[i]) * RIBBONS >= 17;
      if (thick && start === null) start = i;
      if (!thick) start = null;
      else if (x(ms) - x(points[start][0]) > x(points[best[1]][0]) - x(points[best[0]][0])) best = [start, i];
    });
    const [a, b] = best;
    if (x(points[b][0]) - x(points[a][0]) < wide) return;
    const middle = (x(points[a][0]) + x(points[b][0])) / 2;
    const at = (edge, px) => {
      const i = Math.max(1, points.findIndex(([ms]) => x(ms) >= px));
      const [left, right] = [x(points[i - 1][0]), x(points[i][0])];
      return edge[i - 1] + ((edge[i] - edge[i - 1]) * (px - left)) / (right - left || 1);
    };
    // All of the word lies in the ribbon, which may rise or fall.
    const along = [-1, 0, 1].map((side) => middle + (side * (wide - 14)) / 2);
    const low = Math.max(...along.map((px) => at(floor, px)));
    const high = Math.min(...along.map((px) => at(top, px)));
    if ((high - low) * RIBBONS < 15) return;
    g.textAlign = "center";
    g.textBaseline = "middle";
    const y = RIBBONS * (1 - (high + low) / 2);
    g.lineWidth = 4;
    g.lineJoin = "round";
    g.strokeStyle = this.palette.shown[name];
    g.strokeText(capital(name), middle, y);
    g.fillStyle = this.palette.textOn(name);
    g.fillText(capital(name), middle, y);
  }

  _chips(one, x, width) {
    const { chips, made, lane } = one;
    for (const u of lane.utterances) {
      const [left, right] = [x(u.start), x(this.recording.endOf(u))];
      let chip = made.get(u.number);
      if (!chip) {
        chip = h("button", { type: "button", className: "chip", onclick: (event) => { event.stopPropagation(); this.onSelect(u); } });
        made.set(u.number, chip);
        chips.append(chip);
      }
      const answer = answerOf(u);
      const text = answer?.label ? capital(answer.label) : answer?.abstention ? "No answer" : u.isOpen ? "…" : "–";
      const share = answer?.label ? percent(answer.confidence) : "";
      if (chip.dataset.text !== text + share) {
        chip.dataset.text = text + share;
        chip.replaceChildren(answer ? this.palette.swatch(answer.label) : "", h("span", {}, text), h("small", { className: "number" }, share));
        const why = answer?.abstention ? `: ${reasonText(answer.abstention)}` : share && `, ${share}`;
        chip.setAttribute("aria-label", `Utterance ${u.number}, ${text}${why}`);
        chip.title = answer?.abstention ? `${reasonText(answer.abstention)} ${answer.abstention.detail}` : "";
      }
      const away = right < 0 || left > width;
      chip.hidden = away;
      chip.setAttribute("aria-pressed", String(u === this.selected));
      chip.tabIndex = u === (this.selected?.channel === lane.channel ? this.selected : lane.utterances[0]) ? 0 : -1;
      chip.style.setProperty("left", `${Math.max(0, left)}px`);
      chip.style.setProperty("width", `${Math.max(14, Math.min(width, right) - Math.max(0, left))}px`);
    }
  }

  _ticks(x, width, from, to) {
    const g = prepared(this.axis, width, 24);
    const step = TICKS.find((t) => ((to - from) / t) * 64 <= width) ?? TICKS.at(-1);
    g.font = `12px ${this.palette.font}`;
    g.fillStyle = this.palette.muted;
    g.textBaseline = "top";
    for (let ms = Math.ceil(from / step) * step; ms <= to; ms += step) {
      const at = x(ms);
      g.fillRect(Math.min(width - 1, at), 0, 1, 4);
      const text = clock(ms, step < 1000 ? 1 : 0);
      const half = g.measureText(text).width / 2;
      g.textAlign = "center";
      if (at + half <= width + 1) g.fillText(text, Math.max(half, at), 8);
    }
  }

  _placeCursor() {
    if (this.position === null) { this.cursor.hidden = true; return; }
    const [from, to] = this.view;
    const share = (this.position - from) / (to - from);
    this.cursor.hidden = share < 0 || share > 1;
    this.cursor.style.setProperty("left", `${100 * share}%`);
  }

  /** What holds at a time, in words. */
  _spoken(ms) {
    return this.recording.utterances
      .filter((u) => u.start <= ms && ms <= (u.end ?? Infinity))
      .map((u) => `, utterance ${u.number}: ${answerOf(u)?.label ?? "no answer"}`)
      .join("");
  }

  _seek(event) {
    if (this.isLive) return;
    const box = this.area.getBoundingClientRect();
    const [from, to] = this.view;
    this.onSeek(from + ((event.clientX - box.left) / box.width) * (to - from));
  }

  _key(event) {
    if (this.isLive) return;
    const now = this.position ?? 0;
    const jump = { ArrowLeft: now - 500, ArrowRight: now + 500, PageUp: now - 5000, PageDown: now + 5000, Home: 0, End: this.recording.ms };
    if (event.key === " ") this.onSeek(null);
    else if (event.key in jump) this.onSeek(Math.max(0, Math.min(this.recording.ms, jump[event.key])));
    else return;
    event.preventDefault();
  }

  /** Arrow keys go from utterance to utterance. */
  _move(event, chips) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...chips.children].filter((chip) => !chip.hidden);
    const next = all[all.indexOf(document.activeElement) + step];
    event.preventDefault();
    event.stopPropagation();
    next?.focus();
    next?.click();
  }
}
