// The axis of time below the lanes.

import { clock } from "./dom.js";

const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

/** Marks at round times, with as many as have room. */
export function drawAxis(g, { view, x, width, palette }) {
  const each = view.to >= 3600 ? 76 : 64;
  const step = STEPS.find((one) => (view.span / one) * each <= width) ?? STEPS.at(-1);
  g.font = `12px ${palette.font}`;
  g.fillStyle = palette.muted;
  g.textBaseline = "top";
  g.textAlign = "center";
  let free = 0;
  for (let k = Math.ceil(view.from / step - 1e-9); k * step <= view.to; k++) {
    const at = x(k * step);
    g.fillRect(Math.min(width - 1, at), 0, 1, 4);
    const text = clock(1000 * k * step, step < 1 ? 1 : 0);
    const half = g.measureText(text).width / 2;
    const middle = Math.max(half, at);
    if (middle + half > width + 1 || middle - half < free) continue;
    g.fillText(text, middle, 8);
    free = middle + half + 8;
  }
}
