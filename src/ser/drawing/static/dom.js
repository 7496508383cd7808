// Small helpers: elements, icons, numbers as text.

export const $ = (selector, root = document) => root.querySelector(selector);

/** An element. Properties are set as properties, `on…` as listeners, the rest as attributes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.startsWith("aria")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** 83.2 s as 1:23.2, 4000 s as 1:06:40; half up to the last digit, as `clock` of ser.output. */
export function clock(ms, digits = 1) {
  const rounded = (places) => Math.floor((ms * 10 ** places) / 1000 + 0.5 + 1e-6);
  const isLong = rounded(digits) >= 3600 * 10 ** digits;
  const places = isLong && digits === 1 ? 0 : digits;
  const scale = 10 ** places;
  const units = rounded(places);
  const minutes = Math.floor(units / (60 * scale));
  const rest = (units / scale - 60 * minutes).toFixed(places).padStart(places ? 3 + places : 2, "0");
  if (!isLong) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

export function percent(share) {
  if (share === null || share === undefined) return "–";
  if (share > 0 && share < 0.001) return "<\u202f0.1\u202f%";
  if (share < 1 && share > 0.999) return ">\u202f99.9\u202f%";
  return `${(100 * share).toFixed(1)}\u202f%`;
}

export const versionText = (version) =>
  version === null || version === undefined ? "from a folder" : `version ${version}`;

/** Of "a", "b", "c": "a, b and c". */
export const listed = (all) => (all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} and ${all.at(-1)}`);

export const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Offer text as a file. */
export function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
