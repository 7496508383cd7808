// A timeline as files: all of it in JSON, a row for each turn in CSV, with the columns of
// `ser timeline --csv`.

import { save } from "./dom.js";

const quoted = (v) => {
  const text = v === null || v === undefined ? "" : String(v);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

export function turnsAsCsv({ file, channels, classes }) {
  const head = ["file", "channel", "start", "end", "emotion", "confidence", "abstention", ...classes.map((name) => `p_${name}`)];
  const rows = channels.flatMap(({ name, turns }) => turns.map((turn) => [
    file, name, turn.start, turn.end, turn.emotion, turn.confidence, turn.abstention?.reason,
    ...classes.map((one) => turn.posteriors?.[one])]));
  return [head, ...rows].map((cells) => cells.map(quoted).join(",")).join("\r\n") + "\r\n";
}

export function saveTurns(kind, timeline) {
  const name = `timeline-${timeline.file.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}_-]+/gu, "_")}`;
  if (kind === "csv") save(`${name}.csv`, "text/csv", turnsAsCsv(timeline));
  else save(`${name}.json`, "application/json", `${JSON.stringify(timeline, null, 1)}\n`);
}
