// What was found, as files: everything in JSON, a row for each measurement in CSV.

import { save } from "./drawing/dom.js";

const cell = (v) => {
  const text = v === null || v === undefined ? "" : String(v);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

export function asJson(recording, card) {
  return JSON.stringify({
    what: "perceived expression in acted speech, not what a person feels",
    recording: { kind: recording.kind, seconds: recording.ms / 1000, channels: recording.channels, sessions: recording.sessions.map(({ id, base }) => ({ session_id: id, starts_ms: base })) },
    model: card.model,
    answer: recording.answer,
    utterances: recording.utterances.map((u) => ({
      number: u.number, channel: u.channel, start_ms: u.start, end_ms: u.end, ended_by: u.reason ?? null,
      correction_id: u.requestId, label: u.final?.label ?? null, confidence: u.final?.confidence ?? null,
      abstention: u.final?.abstention ?? null,
    })),
    measurements: recording.measurements.map(({ type, seq, start, end, sessionId, audio_start_ms, audio_end_ms, start_sample, stop_sample, ...rest }) => ({ start_ms: start, end_ms: end, ...rest, session_id: sessionId })),
  }, null, 2);
}

export function asCsv(recording, card) {
  // Of every model that answered, where another one took over.
  const known = recording.measurements.flatMap((m) => Object.keys(m.posteriors.raw));
  const emotions = [...new Set([...card.emotions, ...known])];
  const head = ["trigger", "utterance", "channel", "start_ms", "end_ms", "label", "confidence", "abstention", "detail", "candidates", "novelty", "model_version", "server_ms", "dropped_ms", ...emotions.map((e) => `p_${e}`), ...emotions.map((e) => `smoothed_${e}`)];
  const row = (trigger, m, { start, end, utterance, channel, posteriors, smoothed, version, server, dropped }) => [
    trigger, utterance, channel, start, end, m.label, m.confidence, m.abstention?.reason, m.abstention?.detail,
    m.candidates.join(" "), m.novelty, version, server, dropped,
    ...emotions.map((e) => posteriors[e]), ...emotions.map((e) => smoothed[e])];
  const rows = recording.measurements.map((m) => row(m.trigger, m, { ...m, posteriors: m.posteriors.raw, smoothed: m.posteriors.smoothed, version: m.model_version, server: m.server_ms, dropped: m.dropped_ms }));
  const { answer } = recording;
  if (answer) rows.unshift(row("recording", answer, { start: 0, end: Math.round(1000 * answer.audio.seconds), posteriors: answer.posteriors, smoothed: {}, version: answer.model.version, server: answer.ms.total }));
  return [head, ...rows].map((cells) => cells.map(cell).join(",")).join("\r\n") + "\r\n";
}

export function saveAs(kind, recording, card) {
  const name = `emotion-${recording.name.replace(/\.[^.]*$/, "").replace(/[^\w-]+/g, "_")}`;
  if (kind === "csv") save(`${name}.csv`, "text/csv", asCsv(recording, card));
  else save(`${name}.json`, "application/json", asJson(recording, card));
}
