// The summary of change of one channel, in words and small pictures.

import { capital, clock, h, listed, percent } from "./dom.js";

/** Differences of shares below this are not worth a sentence. */
const WORTH = 0.05;

const length = (seconds) => (seconds < 60 ? `${seconds.toFixed(1)}\u202fs` : clock(1000 * seconds, 0));
const points = (share) => `${Math.abs(Math.round(100 * share))} points`;
/** A number, or a dash where there is none. */
export const decimals = (v, digits) => (v === null || v === undefined ? "–" : v.toFixed(digits));
const falling = (shares) => Object.entries(shares).filter(([, share]) => share > 0).sort((a, b) => b[1] - a[1]);

/** Shares as one bar; label : for those who do not see it. */
export function sharesBar(shares, palette, label) {
  const parts = falling(shares);
  const text = parts.map(([name, share]) => `${name} ${percent(share)}`).join(", ");
  const bar = h("div", { className: "tl-shares", role: "img", "aria-label": `${label}: ${text || "no answer"}` });
  // In the palette's order, so that two bars are compared at a glance.
  for (const name of palette.names) {
    const share = shares[name] ?? 0;
    if (share <= 0) continue;
    const part = h("span", { title: `${capital(name)} ${percent(share)}` }, palette.bar(name));
    part.style.setProperty("flex-grow", String(share));
    bar.append(part);
  }
  return bar;
}

function timeIn(summary) {
  const all = falling(summary.share_by_emotion);
  if (!all.length) return "No turn was answered.";
  const [first, ...rest] = all.map(([name, share]) => `${name} ${percent(share)} (${length(summary.seconds_by_emotion[name])})`);
  return `${capital([first, ...rest].slice(0, 3).join(", "))}${rest.length > 2 ? ", then the others" : ""}.`;
}

function moves(summary) {
  if (!summary.transitions.length) return "The emotion does not change.";
  const most = [...summary.transitions].sort((a, b) => b.count - a.count).slice(0, 3);
  const times = ({ count }) => (count === 1 ? "once" : `${count} times`);
  return `The emotion changes ${decimals(summary.changes_per_minute, 1)} times in a minute of answered speech; most often ${listed(most.map((one) => `from ${one.from} to ${one.to} (${times(one)})`))}.`;
}

/** What shares have more and less of than others: "more anger (12 points)"; "" where they are alike. */
export function difference(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const found = names.map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)]).filter(([, d]) => Math.abs(d) >= WORTH);
  found.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  return listed(found.slice(0, 3).map(([name, d]) => `${d > 0 ? "more" : "less"} ${name} (${points(d)})`));
}

function startAgainstEnd({ start, end }) {
  if (!Object.keys(start).length || !Object.keys(end).length) return "There is too little speech to compare.";
  const words = difference(start, end);
  return words ? `At the end there is ${words}.` : "The end is as the start.";
}

function trend({ trend_per_hour: slopes }, seconds) {
  // Of less than an hour it is said for the recording: nobody knows how it would have gone on.
  const hours = Math.min(1, seconds / 3600);
  const found = Object.entries(slopes).map(([name, slope]) => [name, slope * hours]).filter(([, d]) => Math.abs(d) >= WORTH);
  if (!found.length) return Object.keys(slopes).length ? "No emotion rises or falls steadily." : "The recording is too short for one.";
  found.sort((x, y) => Math.abs(y[1]) - Math.abs(x[1]));
  const over = hours === 1 ? "an hour" : "over the recording";
  return `${capital(listed(found.slice(0, 3).map(([name, d]) => `${name} ${d > 0 ? "rises" : "falls"} by ${points(d)}`)))} ${over}.`;
}

function longest(summary) {
  const found = summary.longest;
  return found ? `${capital(found.emotion)} for ${length(found.end - found.start)}, from ${clock(1000 * found.start, 0)} to ${clock(1000 * found.end, 0)}.` : "There is none.";
}

/** What changed in a channel; name : of it, null where it is the only one. seconds : of the recording. */
export function changeOf(summary, { palette, name, seconds, onPlay }) {
  const row = (title, text, ...more) => h("div", {}, h("dt", {}, title), h("dd", {}, text, more));
  const playLongest = summary.longest && onPlay && h("button", { type: "button", className: "quiet", onclick: () => onPlay(summary.longest) }, "Go there");
  const bar = (title, shares) => h("div", { className: "tl-pair" }, h("span", { className: "small muted" }, title), sharesBar(shares, palette, title));
  return h("div", { className: "tl-change" },
    name && h("h3", {}, name),
    h("p", { className: "muted small number" }, `${length(summary.speech_seconds)} of speech, ${length(summary.answered_seconds)} of it answered`),
    sharesBar(summary.share_by_emotion, palette, "Time in each emotion"),
    h("dl", {},
      row("Time in each emotion", timeIn(summary)),
      row("Changes", moves(summary)),
      row("Start against end", startAgainstEnd(summary), h("div", { className: "tl-pairs" }, bar("First fifth", summary.start), bar("Last fifth", summary.end))),
      row("Trend", trend(summary, seconds)),
      row("Longest stretch", longest(summary), playLongest),
      summary.volatility !== null && row("Volatility", `${decimals(summary.volatility, 2)}: how far posteriors move from one window to the next (0 not at all, 1 wholly).`)));
}
