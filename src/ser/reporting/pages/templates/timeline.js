// The page of one or several timelines.

import { Palette } from "./colours.js";
import { Comparison } from "./comparison.js";
import { $ } from "./dom.js";
import { Sheet } from "./sheet.js";

const { colours, timelines } = JSON.parse($("#timelines").textContent);
const palette = new Palette(colours);
const sounds = [...document.querySelectorAll("audio")];
const places = [...document.querySelectorAll(".tl-sheet")];
const sheets = [];

function build(place) {
  sheets[place] ??= new Sheet(places[place], {
    timeline: timelines[place], palette, audio: sounds[place],
    note: sounds[place].dataset.note ?? null, level: timelines.length > 1 ? 1 : 0,
  });
}

if (timelines.length === 1) build(0);
else {
  const all = [...document.querySelectorAll("details")];
  // Drawn when it is opened: a closed one has no width.
  all.forEach((one, place) => one.addEventListener("toggle", () => one.open && build(place)));
  const open = (place) => { all[place].open = true; };
  const compare = () => new Comparison($("#comparison"), { timelines, palette, onOpen: open });
  compare();
  const asked = /^#file-(\d+)$/.exec(location.hash);
  if (asked && all[asked[1] - 1]) open(asked[1] - 1);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { palette.refresh(); compare(); });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  palette.refresh();
  // Swatches hold the old colours.
  for (const [place, sheet] of sheets.entries()) {
    if (!sheet) continue;
    sheet.remove();
    sheets[place] = null;
    build(place);
  }
});
