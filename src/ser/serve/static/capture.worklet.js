// The microphone's samples at its own rate → 16 kHz, s16, in frames of 100 ms.
//
// A windowed-sinc low-pass (Kaiser, 80 dB) in polyphase form: of an output sample only the taps at
// its own fraction of an input sample are computed. Its state lives from block to block.

const OUT_RATE = 16_000;
const FRAME = OUT_RATE / 10;
// Zero crossings of the sinc on each side, and where it cuts as a share of half the lower rate:
// flat to 7.1 kHz, 80 dB down from 8 kHz on.
const CROSSINGS = 32;
const CUT = 0.93;
const BETA = 7.86;

const gcd = (a, b) => (b ? gcd(b, a % b) : a);

function bessel(x) {
  let sum = 1;
  for (let k = 1, term = 1; term > 1e-12 * sum; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

class Resampler {
  constructor(rate) {
    const common = gcd(rate, OUT_RATE);
    this.up = OUT_RATE / common;
    this.down = rate / common;
    this.half = Math.ceil((CROSSINGS * rate) / Math.min(rate, OUT_RATE));
    this.phases = rate === OUT_RATE ? null : this._design((CUT * Math.min(rate, OUT_RATE)) / rate);
    // Silence before the first sample, and where the next output lies in `held`.
    this.held = new Float32Array(this.half);
    this.at = this.half;
    this.phase = 0;
  }

  _design(cut) {
    const { up, half } = this;
    const phases = [];
    for (let phase = 0; phase < up; phase++) {
      const taps = new Float32Array(2 * half);
      let sum = 0;
      for (let j = 0; j < taps.length; j++) {
        const x = j - half + 1 - phase / up;
        const edge = Math.max(0, 1 - (x / half) ** 2);
        const sinc = x === 0 ? cut : Math.sin(Math.PI * cut * x) / (Math.PI * x);
        sum += taps[j] = (sinc * bessel(BETA * Math.sqrt(edge))) / bessel(BETA);
      }
      phases.push(taps.map((tap) => tap / sum));
    }
    return phases;
  }

  /** Call `out` with each sample at 16 kHz that x completes. */
  push(x, out) {
    if (!this.phases) {
      x.forEach(out);
      return;
    }
    const held = new Float32Array(this.held.length + x.length);
    held.set(this.held);
    held.set(x, this.held.length);
    while (this.at + this.half < held.length) {
      const taps = this.phases[this.phase];
      const first = this.at - this.half + 1;
      let y = 0;
      for (let j = 0; j < taps.length; j++) y += taps[j] * held[first + j];
      out(y);
      this.phase += this.down;
      this.at += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    const keep = Math.max(0, this.at - this.half + 1);
    this.held = held.slice(keep);
    this.at -= keep;
  }
}

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate);
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.add = (y) => {
      this.frame[this.filled++] = Math.max(-32_768, Math.min(32_767, Math.round(y * 32_768)));
      if (this.filled === FRAME) this.post();
    };
    this.port.onmessage = () => {
      this.resampler.push(new Float32Array(2 * this.resampler.half), this.add);
      this.post();
      this.port.postMessage("flushed");
      this.isDone = true;
    };
  }

  post() {
    const frame = this.frame.slice(0, this.filled);
    this.filled = 0;
    if (frame.length) this.port.postMessage(frame, [frame.buffer]);
  }

  process([input]) {
    if (this.isDone) return false;
    if (input.length === 1) this.resampler.push(input[0], this.add);
    else if (input.length > 1) {
      const mono = input[0].map((_, i) => input.reduce((sum, y) => sum + y[i], 0) / input.length);
      this.resampler.push(mono, this.add);
    }
    return true;
  }
}

registerProcessor("capture", Capture);
