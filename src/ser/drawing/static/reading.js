// What holds at a point in time.

const SHOWN = 4;

/** The likeliest emotions [[emotion, posterior], …] at `at`, seconds; null where nobody speaks. */
export function readingAt({ windows, speech }, runs, classes, at) {
  if (!speech.some(([from, to]) => from <= at && at <= to)) return null;
  const { start, end, posteriors } = windows;
  let best = null;
  for (const [first, stop] of runs) {
    if (end[stop - 1] < at || start[first] > at) continue;
    for (let i = first; i < stop; i++) {
      const far = Math.abs((start[i] + end[i]) / 2 - at);
      if (best === null || far < best.far) best = { far, i };
    }
  }
  if (best === null) return null;
  return classes.map((name, c) => [name, posteriors[best.i][c]]).sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
}
