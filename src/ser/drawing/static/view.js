// The stretch of a recording that is in view, in seconds.

const SHORTEST = 1;

export class View {
  /** onChange : is called when another stretch is in view. */
  constructor(seconds, onChange) {
    this.seconds = Math.max(seconds, 0.001);
    this.onChange = onChange;
    this.from = 0;
    this.to = this.seconds;
  }

  get span() {
    return this.to - this.from;
  }

  get isWhole() {
    return this.span >= this.seconds - 1e-9;
  }

  /** Show [from, to), moved and cut to lie in the recording. */
  show(from, to) {
    const span = Math.min(this.seconds, Math.max(to - from, Math.min(SHORTEST, this.seconds)));
    const first = Math.min(Math.max(0, from), this.seconds - span);
    if (first === this.from && first + span === this.to) return;
    this.from = first;
    this.to = first + span;
    this.onChange();
  }

  /** factor : 2 shows half as much. at : what stays in its place, else the middle. */
  zoom(factor, at = (this.from + this.to) / 2) {
    const span = Math.min(this.seconds, Math.max(this.span / factor, Math.min(SHORTEST, this.seconds)));
    const share = (at - this.from) / this.span;
    this.show(at - share * span, at + (1 - share) * span);
  }

  pan(seconds) {
    this.show(this.from + seconds, this.to + seconds);
  }

  /** Turn the page where `at` has left the view. */
  follow(at) {
    if (at < this.from || at > this.to) this.show(at - 0.1 * this.span, at + 0.9 * this.span);
  }

  reveal(from, to) {
    if (from >= this.from && to <= this.to) return;
    const span = Math.max(this.span, 1.5 * (to - from));
    const middle = (from + to) / 2;
    this.show(middle - span / 2, middle + span / 2);
  }
}
