// The table of turns: what the timeline shows, for reading, and for playing one.

import { capital, clock, h, icon, percent } from "./dom.js";
import { reasonText } from "./reasons.js";

export class Turns {
  /**
   * names : of the channels. onPlay : with a turn; null where nothing can be played. onPick : with a
   * turn that is looked at.
   */
  constructor(root, { timeline, palette, names, onPlay, onPick }) {
    Object.assign(this, { root, palette, names, onPlay, onPick });
    this.turns = timeline.channels
      .flatMap((channel, place) => channel.turns.map((turn) => ({ turn, place })))
      .sort((a, b) => a.turn.start - b.turn.start);
    this.isCall = timeline.channels.length > 1;
    this.rows = new Map();
    this._build(timeline.classes);
  }

  _build(classes) {
    const count = (emotion) => this.turns.filter(({ turn }) => turn.emotion === emotion).length;
    const choices = [...classes.filter(count), ...(count(null) ? [null] : [])];
    const option = (value, text) => h("option", { value }, text);
    const only = h("select", { onchange: ({ target }) => this._only(target.value) },
      option("", `All ${this.turns.length}`), choices.map((one) => option(one ?? "-", `${one ? capital(one) : "No answer"} (${count(one)})`)));
    this.body = h("tbody", {}, this.turns.map((one) => this._row(one)));
    this.body.addEventListener("keydown", (event) => this._key(event));
    const head = ["Time", this.isCall && "Channel", "Emotion", "Confidence"].filter(Boolean);
    const table = h("table", {}, h("caption", { className: "sr" }, "Turns"),
      h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col", className: text === "Confidence" ? "right" : "" }, text)))), this.body);
    this.root.replaceChildren(...(this.turns.length
      ? [h("label", { className: "field inline tl-only" }, "Show ", only), h("div", { className: "tl-table", tabIndex: 0, role: "region", "aria-label": "Turns" }, table)]
      : [h("p", { className: "muted" }, "There are no turns: nobody speaks in this recording.")]));
  }

  _row({ turn, place }) {
    const { emotion, abstention, start, end } = turn;
    const label = emotion ? capital(emotion) : "No answer";
    const span = `${clock(1000 * start)} to ${clock(1000 * end)}`;
    const go = h("button", {
      type: "button", className: "pick", onclick: (event) => { event.stopPropagation(); this._take(turn); },
      "aria-label": `${this.onPlay ? "Play" : "Show"} ${label}, ${span}${this.isCall ? `, ${this.names[place]}` : ""}`,
    }, this.onPlay ? icon("play") : "", h("span", { className: "number" }, clock(1000 * start)), h("span", { className: "to number" }, `– ${clock(1000 * end)}`));
    const row = h("tr", { onclick: () => this._take(turn) },
      h("td", { className: "times" }, go),
      this.isCall && h("td", { className: "party" }, this.names[place]),
      h("td", { className: "what" }, h("span", { className: "tl-what" }, this.palette.swatch(emotion), label),
        abstention && h("p", { className: "reason", title: abstention.detail }, reasonText(abstention))),
      h("td", { className: "number right" }, emotion ? percent(turn.confidence) : "–"));
    this.rows.set(turn, row);
    return row;
  }

  _take(turn) {
    this.onPick(turn);
    this.onPlay?.(turn);
  }

  /** Mark a turn; null: none. reveals : also where it lies outside the table's part in view. */
  choose(turn, { reveals = true } = {}) {
    if (this.chosen === turn) return;
    this.rows.get(this.chosen)?.classList.remove("selected");
    this.chosen = turn;
    const row = this.rows.get(turn);
    if (!row) return;
    row.classList.add("selected");
    const box = row.closest(".tl-table");
    if (!reveals || row.hidden || !box) return;
    // The table alone scrolls, never the page.
    const head = box.querySelector("thead").offsetHeight;
    if (row.offsetTop - head < box.scrollTop) box.scrollTop = row.offsetTop - head;
    else if (row.offsetTop + row.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = row.offsetTop + row.offsetHeight - box.clientHeight;
  }

  _only(value) {
    for (const { turn } of this.turns) this.rows.get(turn).hidden = value !== "" && value !== (turn.emotion ?? "-");
  }

  _key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const all = [...this.body.querySelectorAll("tr:not([hidden]) .pick")];
    const next = all[all.indexOf(event.target) + step];
    event.preventDefault();
    next?.focus();
  }
}
