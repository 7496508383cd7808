// What is known of one recording: its samples, utterances and measurements. No drawing here.

import { RATE } from "./audio.js";

/** Samples of a stretch of which one peak is drawn. */
export const PEAK = 160;
const PER_MS = RATE / 1000;

/** One channel: samples come in, peaks are kept for drawing. */
class Lane {
  constructor(channel) {
    Object.assign(this, { channel, chunks: [], length: 0, utterances: [] });
    this.peaks = new Uint8Array(1 << 12);
    this.peakCount = this.loudest = 0;
    this._most = 0;
  }

  add(samples) {
    this.chunks.push(samples);
    for (const v of samples) {
      this._most = Math.max(this._most, Math.abs(v));
      if (++this.length % PEAK === 0) {
        if (this.peakCount === this.peaks.length) {
          const grown = new Uint8Array(2 * this.peaks.length);
          grown.set(this.peaks);
          this.peaks = grown;
        }
        this.loudest = Math.max(this.loudest, this._most >> 7);
        this.peaks[this.peakCount++] = this._most >> 7;
        this._most = 0;
      }
    }
  }

  slice(startMs, endMs) {
    const [start, stop] = [startMs, endMs].map((ms) => Math.round(ms * PER_MS));
    const out = new Int16Array(Math.max(0, Math.min(stop, this.length) - start));
    let at = 0;
    for (const chunk of this.chunks) {
      const from = Math.max(start - at, 0);
      const to = Math.min(stop - at, chunk.length);
      if (from < to) out.set(chunk.subarray(from, to), at + from - start);
      at += chunk.length;
    }
    return out;
  }
}

export class Recording {
  /** kind : file or microphone. answer : of /v1/predict, where it was asked. */
  constructor({ kind, name, channels, file = null }) {
    Object.assign(this, { kind, name, channels, file, answer: null, sessions: [] });
    this.lanes = Array.from({ length: channels }, (_, c) => new Lane(c));
    this.measurements = [];
    this.utterances = [];
    this.droppedMs = 0;
  }

  get ms() {
    return this.lanes[0].length / PER_MS;
  }

  /** Up to where the server has been sent audio. */
  get now() {
    return this.sentMs ?? this.ms;
  }

  get isCall() {
    return this.channels === 2;
  }

  /**
   * Take a message of a session that began at `base` ms; returns the utterance it is of, or null.
   */
  take(message, { base, sessionId }) {
    const lane = this.lanes[message.channel ?? 0];
    const open = lane.utterances.findLast((u) => u.isOpen);
    switch (message.type) {
      case "utterance.start": {
        const utterance = {
          number: this.utterances.length + 1, channel: lane.channel, sessionId,
          requestId: message.utterance_id, start: base + message.at_ms, end: null, isOpen: true, intervals: [], final: null,
        };
        lane.utterances.push(utterance);
        this.utterances.push(utterance);
        return utterance;
      }
      case "measurement.result": {
        const measurement = {
          ...message, start: base + message.audio_start_ms, end: base + message.audio_end_ms,
          utterance: open?.number ?? null, sessionId,
        };
        this.measurements.push(measurement);
        this.droppedMs += message.dropped_ms;
        if (!open) return null;
        if (message.trigger === "interval") open.intervals.push(measurement);
        else open.final = measurement;
        return open;
      }
      case "utterance.end":
        if (open) Object.assign(open, { end: base + message.at_ms, isOpen: false, reason: message.reason });
        return open ?? null;
      default:
        return null;
    }
  }

  /** Where an utterance ends, or has come to. */
  endOf(utterance) {
    return utterance.end ?? Math.max(utterance.start, this.now);
  }

  /** Forget the utterances that are open, to send their audio again; where the others end, ms. */
  rewind() {
    const open = new Set(this.utterances.filter((u) => u.isOpen).map((u) => u.number));
    const rest = (all) => all.filter((u) => !open.has(u.number));
    this.measurements = this.measurements.filter((m) => !open.has(m.utterance));
    for (const lane of this.lanes) lane.utterances = rest(lane.utterances);
    this.utterances = rest(this.utterances);
    return Math.max(0, ...this.utterances.map((u) => u.end));
  }

  /** The connection is gone: what was open has no final result. */
  breakOff() {
    for (const utterance of this.utterances.filter((u) => u.isOpen)) {
      Object.assign(utterance, { isOpen: false, end: Math.max(utterance.start, this.now), reason: "lost" });
    }
  }
}

/** One shape for every kind of answer. */
export function ofMeasurement(m) {
  const isFinal = m.trigger === "speech_ended";
  return {
    label: m.label, confidence: isFinal ? m.confidence : m.label && m.posteriors.smoothed[m.label],
    posteriors: isFinal ? m.posteriors.raw : m.posteriors.smoothed,
    candidates: m.candidates, abstention: m.abstention, novelty: m.novelty,
    version: m.model_version, serverMs: m.server_ms, seconds: (m.end - m.start) / 1000,
    enrolledClips: m.enrolled_clips, isFinal,
  };
}

export function ofRest(answer) {
  return {
    ...answer, version: answer.model.version, serverMs: answer.ms.total, isFinal: true,
    seconds: answer.audio.seconds, enrolledClips: answer.enrolled_clips,
  };
}
