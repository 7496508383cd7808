// The model card, from /v1/model.

import { $, capital, h, versionText } from "./drawing/dom.js";

const WORDS = {
  dev_uar: "UAR on dev speakers", uar: "UAR", chance: "Chance", protocol: "Protocol", fold: "Fold",
  verdict: "Verdict of the gate", corpora: "Corpora", split_sha256: "Split (SHA-256)",
  train_utterances: "Training utterances", train_speakers: "Training speakers",
  git_revision: "Revision", dvc_lock_sha256: "dvc.lock (SHA-256)",
};

function value(name, v) {
  if (Array.isArray(v)) return v.join(", ");
  if (typeof v === "number" && /uar|chance|accuracy/.test(name)) return `${(100 * v).toFixed(1)}\u202f%`;
  if (typeof v === "number") return v.toLocaleString("en");
  return String(v);
}

function pairs(facts) {
  return h("dl", { className: "card-facts" }, Object.entries(facts)
    .filter(([, v]) => v !== null && v !== undefined && typeof v !== "object" || Array.isArray(v))
    .map(([name, v]) => {
      const text = value(name, v);
      return h("div", {}, h("dt", {}, WORDS[name] ?? capital(name.replaceAll("_", " "))),
        h("dd", { className: text.length > 30 && !text.includes(" ") ? "hash" : "number" }, text));
    }));
}

const bullets = (lines) => h("ul", { className: "plain" }, lines.map((line) => h("li", {}, line)));

export function showCard(card) {
  const stream = card.stream;
  $("#card-body").replaceChildren(
    pairs({ model: card.model.name, version: versionText(card.model.version), architecture: card.architecture, emotions: card.emotions, known_speakers: card.takes_enrolment ? "yes, by enrolment" : "no", bundle: card.model.bundle_sha256 }),
    h("h3", {}, "Limits"), bullets(card.limits),
    h("h3", {}, "Scores"), pairs(card.scores),
    h("h3", {}, "Made for"), bullets(card.intended_use),
    h("h3", {}, "Prohibited"), bullets(card.prohibited_use),
    h("h3", {}, "Where it comes from"), pairs(card.lineage),
    h("h3", {}, "Live sessions"),
    h("p", {}, `A new result every ${stream.hop_seconds}\u202fs, of the last ${stream.window_seconds}\u202fs; the first after ${stream.first_voiced_seconds}\u202fs of speech. An utterance ends after ${stream.end_silence_seconds}\u202fs of silence.`),
    h("h3", {}, "Corrections"),
    h("p", {}, card.corrections.enabled ? `Kept for ${card.corrections.delete_after_days} days, then deleted.` : "This server takes none."));
}
