// Posteriors of a channel as ribbons: window by window, or from afar as means over time.

/** Windows farther apart than this many hops belong to different stretches. */
const APART = 1.5;
/** From so many seconds a pixel on, means over this many pixels are drawn. */
const FAR = 0.75, BIN = 14;

/** Runs of windows that follow each other: [[first, stop), …]. */
export function runsOf({ start, hop_seconds: hop }) {
  const runs = [];
  for (let i = 0; i < start.length; i++) {
    if (i && start[i] - start[i - 1] <= APART * hop) runs.at(-1)[1] = i + 1;
    else runs.push([i, i + 1]);
  }
  return runs;
}

/** Posteriors at points in time [[seconds, p], …] of one run, about one for each pixel. */
function pointsOf(windows, [first, stop], view, perPixel) {
  const { start, end, posteriors, hop_seconds: hop } = windows;
  const middle = (i) => (start[i] + end[i]) / 2;
  let a = first, b = stop;
  while (a < b - 1 && middle(a + 1) < view.from) a++;
  while (b > a + 1 && middle(b - 2) > view.to) b--;
  const step = Math.max(1, Math.floor(perPixel / hop));
  const points = [];
  for (let i = a; i < b; i += step) {
    const part = posteriors.slice(i, Math.min(b, i + step));
    const mean = part[0].map((_, c) => part.reduce((sum, p) => sum + p[c], 0) / part.length);
    points.push([middle(Math.min(b - 1, i + (step - 1) / 2 | 0)), mean]);
  }
  // Each run holds from its first window's start to its last one's end.
  if (a === first) points.unshift([start[first], points[0][1]]);
  if (b === stop) points.push([end[stop - 1], points.at(-1)[1]]);
  return points;
}

/** Posteriors as stacked areas over the stretches of speech. */
export function drawRibbons(g, options) {
  const { channel, classes, runs, view, x, width, height, palette } = options;
  if (binSeconds(view, width) !== null) {
    drawMeans(g, options);
    return;
  }
  const seen = ([from, to]) => to >= view.from && from <= view.to;
  const { windows, speech, turns } = channel;
  g.save();
  g.beginPath();
  for (const [from, to] of speech.filter(seen)) g.rect(x(from), 0, Math.max(0.6, x(to) - x(from)), height);
  g.clip();
  const order = orderOf(palette, classes);
  for (const run of runs.filter(([a, b]) => seen([windows.start[a], windows.end[b - 1]]))) {
    const points = pointsOf(windows, run, view, view.span / width);
    stack(g, points, { order, x, height, palette });
  }
  g.restore();
  // Where there is no answer, posteriors are in the table alone: drawn, they would look like one.
  for (const turn of turns.filter((one) => one.emotion === null && seen([one.start, one.end]))) {
    const [left, wide] = [x(turn.start), Math.max(0.6, x(turn.end) - x(turn.start))];
    g.fillStyle = palette.panel;
    g.fillRect(left, 0, wide, height);
    g.fillStyle = g.createPattern(palette.hatch, "repeat");
    g.fillRect(left, 0, wide, height);
  }
}

/** [emotion, its place among the classes] in the palette's order, as everywhere. */
const orderOf = (palette, classes) => palette.names.map((name) => [name, classes.indexOf(name)]).filter(([, c]) => c >= 0);

/** Areas on top of each other. points : [[seconds, shares], …] */
function stack(g, points, { order, x, height, palette }) {
  let floor = points.map(() => 0);
  for (const [name, c] of order) {
    const top = points.map(([, p], i) => floor[i] + p[c]);
    g.beginPath();
    points.forEach(([at], i) => g.lineTo(x(at), height * (1 - floor[i])));
    for (let i = points.length - 1; i >= 0; i--) g.lineTo(x(points[i][0]), height * (1 - top[i]));
    g.closePath();
    g.fillStyle = g.createPattern(palette.tiles[name], "repeat");
    g.fill();
    floor = top;
  }
}

/** Seconds over which means are drawn; null where each window is. */
export function binSeconds(view, width) {
  const each = view.span / width;
  return each < FAR ? null : BIN * each;
}

/** From afar: what share of the speech of a stretch has which posteriors; above, what has no answer. */
function drawMeans(g, { channel, classes, view, x, width, height, palette }) {
  const { windows, turns } = channel;
  const bin = binSeconds(view, width);
  const sums = new Map();
  let t = 0;
  for (let i = 0; i < windows.start.length; i++) {
    const at = (windows.start[i] + windows.end[i]) / 2;
    if (at < view.from - bin || at > view.to + bin) continue;
    while (t < turns.length - 1 && turns[t].end <= at) t++;
    const key = Math.floor(at / bin);
    if (!sums.has(key)) sums.set(key, { n: 0, p: classes.map(() => 0) });
    const own = sums.get(key);
    own.n++;
    if (turns[t]?.emotion) windows.posteriors[i].forEach((v, c) => (own.p[c] += v));
  }
  const order = orderOf(palette, classes);
  let points = [], last = null;
  const flush = () => {
    if (!points.length) return;
    const [first, end] = [points[0], points.at(-1)];
    const whole = [[first[0] - bin / 2, first[1]], ...points, [end[0] + bin / 2, end[1]]];
    g.fillStyle = g.createPattern(palette.hatch, "repeat");
    g.fillRect(x(whole[0][0]), 0, x(whole.at(-1)[0]) - x(whole[0][0]), height);
    stack(g, whole, { order, x, height, palette });
    points = [];
  };
  for (const key of [...sums.keys()].sort((a, b) => a - b)) {
    if (last !== null && key !== last + 1) flush();
    const { n, p } = sums.get(key);
    points.push([(key + 0.5) * bin, p.map((v) => v / n)]);
    last = key;
  }
  flush();
}
