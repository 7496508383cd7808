// One channel of a timeline on a canvas: its waveform, and its turns as bars.

import { capital } from "./dom.js";

export const WAVE = 56, RIBBONS = 92, TURNS = 28, GAP = 6;
export const HEIGHT = WAVE + GAP + RIBBONS + GAP + TURNS;
/** Lower bars hold no name. */
const LEAST_NAMED = 16;

/** A canvas made as large as it is shown; draws in CSS pixels. */
export function prepared(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.setProperty("height", `${height}px`);
  const g = canvas.getContext("2d");
  g.scale(ratio, ratio);
  return g;
}

/** How loud the loudest of all channels is. */
export function loudest(channels) {
  let most = 0.01;
  for (const { envelope } of channels) for (const [low, high] of envelope) most = Math.max(most, -low, high);
  return most;
}

/** The waveform. x : seconds to pixels. most : of `loudest`. */
export function drawWave(g, { envelope, seconds, view, x, width, height, most, palette, colour }) {
  const middle = height / 2;
  g.fillStyle = palette.line;
  g.fillRect(0, middle - 0.5, width, 1);
  if (!envelope.length) return;
  const each = seconds / envelope.length;
  // The square root shows soft speech, too.
  const tall = (v) => Math.sign(v) * Math.sqrt(Math.min(1, Math.abs(v) / most)) * (middle - 1);
  const first = Math.max(0, Math.floor(view.from / each) - 1);
  const last = Math.min(envelope.length, Math.ceil(view.to / each) + 1);
  const step = Math.max(1, Math.floor((last - first) / width));
  const upper = [], lower = [];
  for (let i = first; i < last; i += step) {
    let [low, high] = envelope[i];
    for (let k = i + 1; k < Math.min(i + step, last); k++) {
      low = Math.min(low, envelope[k][0]);
      high = Math.max(high, envelope[k][1]);
    }
    const at = x((i + Math.min(step, last - i) / 2) * each);
    upper.push([at, middle - tall(high) - 0.4]);
    lower.push([at, middle - tall(low) + 0.4]);
  }
  g.fillStyle = colour ?? palette.muted;
  g.beginPath();
  for (const [px, py] of upper) g.lineTo(px, py);
  for (const [px, py] of lower.reverse()) g.lineTo(px, py);
  g.closePath();
  g.fill();
}

/** Turns as bars with their names where these fit. chosen : a turn that is outlined. */
export function drawTurns(g, { turns, view, x, height, palette, chosen }) {
  g.font = `600 12px ${palette.font}`;
  g.textBaseline = "middle";
  g.textAlign = "left";
  for (const turn of turns) {
    if (turn.end < view.from || turn.start > view.to) continue;
    const left = x(turn.start), wide = Math.max(1, x(turn.end) - left - 1);
    const { emotion } = turn;
    g.fillStyle = g.createPattern(emotion ? palette.tiles[emotion] : palette.hatch, "repeat");
    g.fillRect(left, 0, wide, height);
    if (turn === chosen) {
      g.strokeStyle = palette.ink;
      g.lineWidth = 2;
      g.strokeRect(left + 1, 1, Math.max(1, wide - 2), height - 2);
    }
    if (height < LEAST_NAMED) continue;
    // Of a turn that begins before the view, the name stands where the view begins.
    const from = Math.max(left, 0) + 6, room = left + wide - from - 4;
    const text = emotion ? capital(emotion) : "No answer";
    if (g.measureText(text).width > room) continue;
    if (emotion) {
      g.lineWidth = 4;
      g.lineJoin = "round";
      g.strokeStyle = palette.shown[emotion];
      g.strokeText(text, from, height / 2);
    } else {
      g.fillStyle = palette.panel;
      g.fillRect(from - 3, 5, g.measureText(text).width + 6, height - 10);
    }
    g.fillStyle = emotion ? palette.textOn(emotion) : palette.ink;
    g.fillText(text, from, height / 2);
  }
}
