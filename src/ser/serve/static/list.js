// The list of utterances: the same as the timeline, as a table.

import { answerOf } from "./answer.js";
import { reasonText } from "./drawing/reasons.js";
import { $, capital, clock, h, icon, percent } from "./drawing/dom.js";
import { ofRest } from "./recording.js";

export class List {
  /** onPick, onPlay, onCorrect : with an utterance, or null for the whole recording. */
  constructor({ palette, onPick, onPlay, onCorrect }) {
    Object.assign(this, { palette, onPick, onPlay, onCorrect });
    this.table = $("#list");
    this.body = $("tbody", this.table);
    this.body.addEventListener("keydown", (event) => this._key(event));
    this.rows = new Map();
  }

  clear({ isCall, isCorrectable }) {
    this.rows.clear();
    this.body.replaceChildren();
    this.isCorrectable = isCorrectable;
    this.table.classList.toggle("call", isCall);
    this._count();
  }

  /** Show or renew a row. utterance : null for the whole recording, with `rest` as its answer. */
  put(utterance, { recording, selected }) {
    const key = utterance?.number ?? 0;
    const answer = utterance ? answerOf(utterance) : ofRest(recording.answer);
    const row = this._row(utterance, answer, recording);
    const old = this.rows.get(key);
    if (old) old.replaceWith(row);
    else if (key === 0) this.body.prepend(row);
    else this.body.append(row);
    this.rows.set(key, row);
    this.select(selected);
    this._count();
  }

  /** utterance : null for the whole recording. */
  select(utterance) {
    for (const [key, row] of this.rows) {
      const is = key === (utterance?.number ?? 0);
      row.classList.toggle("selected", is);
      $(".pick", row).setAttribute("aria-pressed", String(is));
    }
  }

  _row(u, answer, recording) {
    const [start, end] = u ? [u.start, u.end] : [0, recording.ms || 1000 * answer.seconds];
    const name = u ? `utterance ${u.number}` : "the whole recording";
    const label = answer?.label ? capital(answer.label) : "No answer";
    const reason = u?.reason === "lost" ? "The connection broke off before its end."
      : answer?.abstention ? reasonText(answer.abstention) : "";
    const pick = h("button", { type: "button", className: "pick", "aria-label": `${label}, show ${name}${reason && `: ${reason}`}` },
      this.palette.swatch(answer?.label ?? null), label);
    const actions = h("div", { className: "row-actions" },
      recording.ms > 0 && h("button", { type: "button", className: "round", "aria-label": `Play ${name}`, onclick: (e) => { e.stopPropagation(); this.onPlay(u); } }, icon("play")),
      this.isCorrectable && answer?.isFinal && h("button", { type: "button", className: "round", "aria-label": `Correct ${name}`, onclick: (e) => { e.stopPropagation(); this.onCorrect(u); } }, icon("edit")));
    return h("tr", { role: "row", onclick: () => this.onPick(u) },
      h("td", { role: "cell", className: "number times" }, u ? clock(start) : "Whole", h("span", { className: "to" }, u ? `– ${clock(end)}` : `${(end / 1000).toFixed(1)}\u202fs`)),
      h("td", { role: "cell", className: "party" }, u ? String(u.channel + 1) : ""),
      h("td", { role: "cell", className: "what" }, pick, reason && h("p", { className: "reason" }, reason)),
      h("td", { role: "cell", className: "number right" }, percent(answer?.label ? answer.confidence : null)),
      h("td", { role: "cell", className: "act" }, actions));
  }

  _count() {
    this.table.hidden = this.rows.size === 0;
    $("#list-empty").hidden = this.rows.size > 0;
  }

  _key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.classList.contains("pick")) return;
    const all = [...this.body.querySelectorAll(".pick")];
    const next = all[all.indexOf(event.target) + step];
    event.preventDefault();
    next?.focus();
    next?.click();
  }
}
