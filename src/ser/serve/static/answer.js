// One answer in full: label or abstention, posteriors, candidates, and where it comes from.

import { capital, h, icon, percent, versionText } from "./drawing/dom.js";
import { reasonText } from "./drawing/reasons.js";
import { ofMeasurement } from "./recording.js";

/** The answer of an utterance as far as it is known; null before the first. */
export function answerOf(utterance) {
  const last = utterance.final ?? utterance.intervals.at(-1);
  return last ? ofMeasurement(last) : null;
}

function bars(answer, palette) {
  // Its own: another model may serve by now, with other emotions.
  const classes = Object.keys(answer.posteriors);
  const top = classes.reduce((a, b) => (answer.posteriors[b] > answer.posteriors[a] ? b : a));
  return h("ul", { className: "bars", "aria-label": "Posteriors" }, classes.map((name) => {
    const share = answer.posteriors[name];
    const fill = palette.bar(name);
    fill.style.setProperty("width", `${Math.max(share * 100, share > 0 ? 0.6 : 0)}%`);
    const isCandidate = answer.candidates.includes(name);
    return h("li", { className: name === top ? "best" : "" },
      h("span", { className: "bar-name" }, capital(name)),
      h("span", { className: "track" }, fill),
      h("span", { className: "number" }, percent(share)),
      h("span", { className: "candidate" }, isCandidate ? "candidate" : ""));
  }));
}

function facts(answer) {
  const rows = [
    ["Novelty", answer.novelty === null || answer.novelty === undefined ? null
      : `${answer.novelty.toFixed(2)} (limit 1)`],
    ["Length", `${answer.seconds.toFixed(2)}\u202fs`],
    ["Model", versionText(answer.version)],
    ["Server time", `${answer.serverMs.toFixed(1)}\u202fms`],
    ["Known speaker", answer.enrolledClips ? `from ${answer.enrolledClips} clips` : null],
  ];
  return h("dl", { className: "facts" }, rows.filter(([, value]) => value !== null)
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { className: "number" }, value))));
}

/** Show an answer in `root`. title : of what. onCorrect : null where it cannot be corrected. */
export function showAnswer(root, answer, { title, palette, onCorrect }) {
  const kind = h("p", { className: "kicker" }, title);
  if (!answer) {
    root.replaceChildren(kind, h("p", { className: "headline waiting" }, "Listening…"),
      h("p", { className: "muted" }, "A first answer comes after about a second of speech."));
    return;
  }
  const headline = answer.label
    ? h("p", { className: "headline" }, palette.swatch(answer.label), capital(answer.label),
      h("span", { className: "share number" }, percent(answer.confidence)))
    : h("p", { className: "headline" }, palette.swatch(null), "No answer");
  const parts = [kind, headline];
  if (answer.abstention) {
    const [reason, { detail }] = [reasonText(answer.abstention), answer.abstention];
    // A detail that begins as the reason does says it all.
    const isMore = !detail.startsWith(reason.slice(0, -1));
    parts.push(h("div", { className: "why" }, h("p", {}, isMore ? reason : detail),
      isMore && h("p", { className: "muted" }, detail)));
  } else if (!answer.isFinal) {
    parts.push(h("p", { className: "muted" }, "While it is spoken: smoothed over the last seconds."));
  }
  if (Object.keys(answer.posteriors).length) {
    if (!answer.label) parts.push(h("p", { className: "muted small" }, "What the model would weigh, for inspection:"));
    parts.push(bars(answer, palette));
  }
  parts.push(facts(answer));
  if (onCorrect) {
    parts.push(h("button", { type: "button", className: "button", onclick: onCorrect }, icon("edit"), "Correct this answer"));
  }
  root.replaceChildren(...parts);
}
