// Recordings of files: decoded to 16 kHz, compared, cut, written as WAV.

export const RATE = 16_000;
const MOST_BYTES = 200 * 2 ** 20;

export class UnreadableFile extends Error {}

/** Samples of each channel (at most two), Int16Array at 16 kHz. */
export async function decode(file) {
  if (file.size > MOST_BYTES) {
    throw new UnreadableFile("The file has more than 200 MB; this page takes shorter recordings.");
  }
  // Decoding in a context of this rate resamples to it.
  const context = new OfflineAudioContext(1, 1, RATE);
  let buffer;
  try {
    buffer = await context.decodeAudioData(await file.arrayBuffer());
  } catch {
    throw new UnreadableFile("This browser cannot decode the file.");
  }
  const count = Math.min(2, buffer.numberOfChannels);
  return Array.from({ length: count }, (_, c) => asInt16(buffer.getChannelData(c)));
}

function asInt16(y) {
  return Int16Array.from(y, (v) => Math.max(-32_768, Math.min(32_767, Math.round(v * 32_768))));
}

/** Whether two channels hold different parties: their samples hardly go together. */
export function differ([left, right]) {
  let both = 0, l = 0, r = 0;
  for (let i = 0; i < left.length; i++) {
    both += left[i] * right[i];
    l += left[i] ** 2;
    r += right[i] ** 2;
  }
  return l > 0 && r > 0 && both / Math.sqrt(l * r) < 0.5;
}

export function mono(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((left, i) => Math.round((left + channels[1][i]) / 2));
}

export function interleaved(channels) {
  if (channels.length === 1) return channels[0];
  const out = new Int16Array(2 * channels[0].length);
  channels.forEach((channel, c) => channel.forEach((v, i) => (out[2 * i + c] = v)));
  return out;
}

/** A WAV file of samples (interleaved, where there are two channels). */
export function wav(samples, channels = 1) {
  const head = new DataView(new ArrayBuffer(44));
  const bytes = samples.length * 2;
  const text = (at, word) => [...word].forEach((c, i) => head.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  head.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, channels, true);
  head.setUint32(24, RATE, true);
  head.setUint32(28, RATE * 2 * channels, true);
  head.setUint16(32, 2 * channels, true);
  head.setUint16(34, 16, true);
  text(36, "data");
  head.setUint32(40, bytes, true);
  return new Blob([head, samples], { type: "audio/wav" });
}
