// All of one recording: playback, timeline, turns, change.

import { changeOf } from "./change.js";
import { capital, clock, h, icon } from "./dom.js";
import { Playback } from "./playback.js";
import { saveTurns } from "./saving.js";
import { Track } from "./track.js";
import { Turns } from "./turns.js";

/** What the channels are called. */
export function namesOf({ channels }) {
  return channels.map(({ name, channel }) => (name ? capital(name) : `Channel ${channel + 1}`));
}

export class Sheet {
  /**
   * timeline : the document of `ser timeline --json`. audio : an <audio> with the recording; without a
   * source, a person may choose the file. note : why there is none. level : of the headings below the page's
   * own, 0 or 1.
   */
  constructor(root, { timeline, palette, audio, note = null, level = 0, actions = [] }) {
    Object.assign(this, { root, timeline, palette, audio });
    this.names = namesOf(timeline);
    const { panels, track, turns } = this._elements(level, actions, note);
    root.replaceChildren(...panels);
    this.playback = new Playback(audio, this.button, { onMove: (seconds) => this._moved(seconds) });
    this.button.disabled = !this.playback.isLoaded;
    const onPlay = ({ start, end }) => { this._go(start); this.playback.play(start, end); };
    this.track = new Track(track, { timeline, palette, names: this.names, onSeek: (at) => this._seek(at), onTurn: (turn) => this._choose(turn) });
    this.turns = new Turns(turns, { timeline, palette, names: this.names, onPlay, onPick: (turn) => this._choose(turn) });
    this.change.replaceChildren(...timeline.channels.map(({ summary }, place) =>
      changeOf(summary, { palette, name: this.names.length > 1 ? this.names[place] : null, seconds: timeline.seconds, onPlay })));
    this._tell(0);
  }

  /** Play this sound from now on; null: none. */
  load(address) {
    if (address === null) this.playback.unload();
    else this.playback.load(address);
  }

  remove() {
    this.playback.remove();
    this.track.remove();
    this.root.replaceChildren();
  }

  _elements(level, actions, note) {
    const heading = (text, deeper = 0) => h(`h${2 + Math.min(2, level + deeper)}`, { className: "tl-heading" }, text);
    const { timeline, palette } = this;
    this.button = h("button", { type: "button", className: "round play", "aria-label": "Play", disabled: true }, icon("play"));
    this.now = h("p", { className: "tl-now number" });
    const csv = h("button", { type: "button", className: "quiet", onclick: () => saveTurns("csv", timeline) }, "CSV");
    const json = h("button", { type: "button", className: "quiet", onclick: () => saveTurns("json", timeline) }, "JSON");
    const bar = h("div", { className: "bar" }, this.button,
      h("div", { className: "bar-text" }, heading(timeline.file), h("p", { className: "muted number" }, this._facts())),
      actions, h("div", { className: "bar-actions" }, csv, json));
    const track = h("div", { className: "timeline" }), turns = h("div", {});
    const present = new Set(timeline.channels.flatMap(({ turns: all }) => all.map(({ emotion }) => emotion)));
    const legend = h("ul", { className: "legend", "aria-label": "Emotions in the timeline" },
      timeline.classes.map((name) => h("li", {}, palette.swatch(name), capital(name))),
      present.has(null) && h("li", {}, palette.swatch(null), "No answer"));
    this.change = h("div", {});
    const panel = (...parts) => h("section", { className: "panel" }, parts);
    return {
      track, turns,
      panels: [
        panel(bar, note && this._picker(note), this.now, track, legend),
        h("div", { className: "tl-below" }, panel(heading("What changes", 1), this.change), panel(heading("Turns", 1), turns)),
      ],
    };
  }

  _facts() {
    const { seconds, channels, model } = this.timeline;
    const count = channels.reduce((sum, { turns }) => sum + turns.length, 0);
    const version = model?.version ? ` · ${model.name}, version ${model.version}` : model?.name ? ` · ${model.name}` : "";
    return `${clock(1000 * seconds)}${channels.length > 1 ? ` · ${channels.length} channels` : ""} · ${count} ${count === 1 ? "turn" : "turns"}${version}`;
  }

  /** A file of this computer is played, and goes nowhere. */
  _picker(note) {
    const input = h("input", {
      type: "file", accept: "audio/*,video/mp4,video/webm,.flac,.m4a,.opus",
      onchange: ({ target }) => {
        const [file] = target.files;
        if (!file) return;
        if (this._url) URL.revokeObjectURL(this._url);
        this._url = URL.createObjectURL(file);
        this.load(this._url);
        told.textContent = `${file.name} plays from this computer.`;
      },
    });
    const told = h("span", { className: "muted" }, note);
    return h("p", { className: "tl-picker" }, told, h("label", { className: "quiet" }, "Choose the recording", input));
  }

  _seek(at) {
    if (at === null) this.playback.toggle();
    else this._go(at);
  }

  _go(at) {
    if (this.playback.isLoaded) this.playback.seek(at);
    else this._moved(at);
  }

  _moved(seconds) {
    this.track.moveTo(seconds, { follows: this.playback.isPlaying });
    this._tell(seconds);
    const here = this._here(seconds);
    const turn = here.find((one) => one !== null) ?? null;
    if (this.playback.isPlaying && turn) this.turns.choose(turn);
  }

  /** The turn of each channel at a time, or null. */
  _here(seconds) {
    return this.timeline.channels.map(({ turns }) => turns.find(({ start, end }) => start <= seconds && seconds < end) ?? null);
  }

  _tell(seconds) {
    const parts = this._here(seconds).flatMap((turn, place) => {
      const name = this.names.length > 1 ? `${this.names[place]}: ` : "";
      const what = turn === null ? "silence" : turn.emotion ?? "no answer";
      return [h("span", { className: "tl-what" }, turn ? this.palette.swatch(turn.emotion) : "", `${name}${name ? what : capital(what)}`)];
    });
    this.now.replaceChildren(h("strong", {}, clock(1000 * seconds)), ...parts);
  }

  _choose(turn) {
    this.track.choose(turn);
    this.turns.choose(turn);
    if (!this.playback.isPlaying) this._go(turn.start);
  }
}
