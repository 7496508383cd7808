// Audio on its way to the server: a file's, paced, and the microphone's, as it comes.

import { interleaved, RATE } from "./audio.js";
import { openMicrophone } from "./microphone.js";
import { StreamSession } from "./stream.js";

const FRAME = RATE / 10;
const FRAME_MS = 100;
/** A file is sent this many times faster than it was spoken, less where the server lags. */
const FASTEST = 4;
const MOST_WAITING_BYTES = 2 ** 18;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A session whose messages go into the recording. base : ms of the recording at its start. */
function sessionOf(recording, { base, onEvent, onLost }) {
  const session = new StreamSession({
    onLost,
    onMessage: (message) => {
      if (message.type === "session.created") recording.sessions.push({ id: message.session_id, base });
      const utterance = recording.take(message, { base, sessionId: session.id });
      onEvent(message, utterance);
    },
  });
  return session;
}

/**
 * Stream a file from `from` ms on; resolves when the last result is there. isWanted : whether to
 * go on. Rejects with an ApiError where the connection breaks.
 */
export async function streamFile(recording, samples, { from = 0, profiles, isWanted, onEvent }) {
  let lost = null, speed = FASTEST;
  const session = sessionOf(recording, {
    base: from,
    onLost: (error) => (lost = error),
    onEvent: (message, utterance) => {
      if (message.dropped_ms > 0) speed = Math.max(1, speed / 2);
      if (isWanted()) onEvent(message, utterance);
    },
  });
  await session.open({ channels: recording.channels, profiles });
  const first = Math.round((from * RATE) / 1000);
  let due = performance.now();
  for (let at = first; at < samples[0].length && !lost && isWanted(); at += FRAME) {
    session.send(interleaved(samples.map((y) => y.subarray(at, at + FRAME))));
    recording.sentMs = (1000 * Math.min(at + FRAME, samples[0].length)) / RATE;
    // A tab in the background is woken once a second: it catches up by a second, no more.
    due = Math.max(due + FRAME_MS / speed, performance.now() - 1000);
    while (session.waitingBytes > MOST_WAITING_BYTES && !lost) await pause(50);
    const early = due - performance.now();
    if (early > 0) await pause(early);
  }
  await session.close();
  if (lost) throw lost;
}

/**
 * Stream the microphone from the recording's end on; resolves once it is open. onStopped : is
 * called with an error where it ends by itself.
 */
export async function streamMicrophone(recording, { profiles, onEvent, onFrame, onStopped }) {
  const waiting = [];
  let isOver = false;
  const end = async (error) => {
    if (isOver) return;
    isOver = true;
    await microphone?.stop();
    if (error) recording.breakOff();
    else await session.close();
    onStopped(error);
  };
  const session = sessionOf(recording, { base: recording.ms, onEvent, onLost: end });
  const microphone = await openMicrophone({
    onFrame: (frame) => {
      recording.lanes[0].add(frame);
      if (session.isOpen) session.send(frame);
      else waiting.push(frame);
      onFrame(frame);
    },
    onGone: () => end(null),
  });
  try {
    await session.open({ channels: 1, profiles });
  } catch (error) {
    await microphone.stop();
    throw error;
  }
  waiting.forEach((frame) => session.send(frame));
  return { stop: () => end(null) };
}
