// Colours and patterns of emotions. The colours are the server's; each gets a pattern beside it,
// so that colour is never the only difference.

const PATTERNS = ["plain", "rising", "falling", "dots", "level", "upright", "grid", "sparse"];

const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const linear = (v) => ((v /= 255), v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);

function luminance(hex) {
  const [r, g, b] = channels(hex).map(linear);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a, b) {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

function mix(a, b, share) {
  const [x, y] = [channels(a), channels(b)];
  return `#${x.map((v, i) => Math.round(v + (y[i] - v) * share).toString(16).padStart(2, "0")).join("")}`;
}

/** How emotions look on the panel as it is now, light or dark. */
export class Palette {
  constructor(colours) {
    this.names = Object.keys(colours);
    this.colours = colours;
    this.refresh();
  }

  refresh() {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    this.panel = read("panel");
    this.ink = read("ink");
    this.muted = read("muted");
    this.line = read("line");
    this.edge = read("edge");
    this.font = getComputedStyle(document.body).fontFamily;
    this.shown = {};
    for (const [name, colour] of Object.entries(this.colours)) {
      // What is drawn stands out from the panel by 3 : 1 at least (WCAG 1.4.11).
      let [seen, share] = [colour, 0];
      while (contrast(seen, this.panel) < 3 && share < 1) seen = mix(colour, this.ink, (share += 0.05));
      this.shown[name] = seen;
    }
    this.tiles = Object.fromEntries(this.names.map((name, i) => [name, this._tile(name, i)]));
    this.hatch = this._hatch();
  }

  /** Black or white, whichever is read better on an emotion's colour. */
  textOn(name) {
    const colour = this.shown[name];
    return contrast(colour, "#ffffff") >= contrast(colour, "#000000") ? "#ffffff" : "#000000";
  }

  _tile(name, index) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const g = tile.getContext("2d");
    g.fillStyle = this.shown[name];
    g.fillRect(0, 0, 8, 8);
    g.strokeStyle = g.fillStyle = this.textOn(name);
    g.globalAlpha = 0.24;
    g.lineWidth = 1.2;
    const lines = (...all) => {
      g.beginPath();
      for (const [a, b, c, d] of all) { g.moveTo(a, b); g.lineTo(c, d); }
      g.stroke();
    };
    const dot = (x, y, r) => { g.beginPath(); g.arc(x, y, r, 0, 7); g.fill(); };
    switch (PATTERNS[index % PATTERNS.length]) {
      case "rising": lines([-2, 2, 2, -2], [-1, 9, 9, -1], [6, 10, 10, 6]); break;
      case "falling": lines([-2, 6, 2, 10], [-1, -1, 9, 9], [6, -2, 10, 2]); break;
      case "dots": dot(2, 2, 1.1); dot(6, 6, 1.1); break;
      case "level": lines([0, 4, 8, 4]); break;
      case "upright": lines([4, 0, 4, 8]); break;
      case "grid": lines([0, 4, 8, 4], [4, 0, 4, 8]); break;
      case "sparse": dot(4, 4, 1.4); break;
    }
    return tile;
  }

  _hatch() {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 10;
    const g = tile.getContext("2d");
    g.strokeStyle = this.muted;
    g.globalAlpha = 0.55;
    g.lineWidth = 1.2;
    g.beginPath();
    for (const shift of [-10, 0, 10]) { g.moveTo(shift - 1, 11); g.lineTo(shift + 11, -1); }
    g.stroke();
    return tile;
  }

  /** A small square of an emotion's colour and pattern; without a name, of an abstention. */
  swatch(name) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 28;
    canvas.className = "swatch";
    canvas.setAttribute("aria-hidden", "true");
    const g = canvas.getContext("2d");
    g.scale(2, 2);
    g.fillStyle = g.createPattern(name ? this.tiles[name] : this.hatch, "repeat");
    g.fillRect(0, 0, 14, 14);
    return canvas;
  }

  /** Fill a canvas of its own size in CSS with an emotion's colour and pattern. */
  bar(name) {
    const canvas = this.swatch(name);
    canvas.className = "bar-fill";
    canvas.width = 600;
    canvas.height = 20;
    const g = canvas.getContext("2d");
    g.fillStyle = g.createPattern(this.tiles[name], "repeat");
    g.fillRect(0, 0, 600, 20);
    return canvas;
  }
}
