// Several recordings beside each other, in the order given or by name. People are not ranked: no
// column sorts.

import { decimals, difference, sharesBar } from "./change.js";
import { clock, h, percent } from "./dom.js";
import { namesOf } from "./sheet.js";

export class Comparison {
  /** timelines : in the order given. onOpen : with the place of one. */
  constructor(root, { timelines, palette, onOpen }) {
    Object.assign(this, { timelines, palette, onOpen });
    const order = h("select", { onchange: ({ target }) => this._fill(target.value) },
      h("option", { value: "given" }, "as they were given"), h("option", { value: "name" }, "by name"));
    this.body = h("tbody", {});
    const head = ["Recording", "Length", "Time in each emotion", "Changes a minute", "Volatility", "Answered"];
    root.replaceChildren(
      h("h2", {}, "Side by side"),
      h("p", { className: "muted small" }, "In the order given, or by name. Recordings are compared; nobody is ranked."),
      h("label", { className: "field inline tl-only" }, "Order: ", order),
      h("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Recordings side by side" }, h("table", { className: "tl-compared" },
        h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))), this.body)),
      h("p", {}, this._inWords()));
    this._fill("given");
  }

  _fill(order) {
    const places = this.timelines.map((_, place) => place);
    if (order === "name") places.sort((a, b) => this.timelines[a].file.localeCompare(this.timelines[b].file, undefined, { numeric: true }));
    this.body.replaceChildren(...places.flatMap((place) => this._rows(place)));
  }

  _rows(place) {
    const timeline = this.timelines[place], names = namesOf(timeline);
    return timeline.channels.map(({ summary }, c) => {
      const label = names.length > 1 ? `${timeline.file} · ${names[c]}` : timeline.file;
      const link = h("a", { href: `#file-${place + 1}`, onclick: () => this.onOpen(place) }, label);
      const answered = summary.speech_seconds ? summary.answered_seconds / summary.speech_seconds : null;
      return h("tr", {}, h("th", { scope: "row" }, link),
        h("td", { className: "number" }, clock(1000 * timeline.seconds, 0)),
        h("td", { className: "tl-wide" }, sharesBar(summary.share_by_emotion, this.palette, "Time in each emotion")),
        h("td", { className: "number" }, decimals(summary.changes_per_minute, 1)),
        h("td", { className: "number" }, decimals(summary.volatility, 2)),
        h("td", { className: "number" }, percent(answered)));
    });
  }

  /** The last recording against the first, where both have one channel. */
  _inWords() {
    const [first, last] = [this.timelines[0], this.timelines.at(-1)];
    if (first.channels.length !== 1 || last.channels.length !== 1) return "";
    const [a, b] = [first, last].map(({ channels }) => channels[0].summary.share_by_emotion);
    if (!Object.keys(a).length || !Object.keys(b).length) return "";
    const words = difference(a, b);
    if (!words) return `${last.file}, the last, is as ${first.file}, the first.`;
    return `${last.file}, the last, has ${words} than ${first.file}, the first.`;
  }
}
