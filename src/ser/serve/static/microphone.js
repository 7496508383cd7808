// The microphone, as frames of 100 ms at 16 kHz.

const REFUSED = {
  NotAllowedError: "The browser refused the microphone. Allow it for this page, then try again.",
  NotFoundError: "No microphone was found. Connect one, then try again.",
  NotReadableError: "Another program uses the microphone. Close it there, then try again.",
};

export class MicrophoneError extends Error {}

/** Open it; the caller has consent. onFrame : Int16Array. onGone : the device was unplugged. */
export async function openMicrophone({ onFrame, onGone }) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new MicrophoneError("A browser opens the microphone on https:// or localhost only.");
  }
  let media;
  try {
    // As recorded: what makes a voice pleasant on the telephone changes what the model measures.
    const processing = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    media = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...processing } });
  } catch (error) {
    throw new MicrophoneError(REFUSED[error.name] ?? `The microphone cannot be opened (${error.name}).`);
  }
  const release = () => media.getTracks().forEach((track) => track.stop());
  const context = new AudioContext();
  try {
    await context.audioWorklet.addModule("/static/capture.worklet.js");
    await context.resume();
  } catch (error) {
    release();
    await context.close();
    throw new MicrophoneError(`This browser cannot record in a page (${error.name}).`);
  }
  const node = new AudioWorkletNode(context, "capture", { numberOfInputs: 1, outputChannelCount: [1] });
  let flushed;
  node.port.onmessage = ({ data }) => (data === "flushed" ? flushed?.() : onFrame(data));
  // Its output is silence; a node that leads nowhere would not run everywhere.
  context.createMediaStreamSource(media).connect(node).connect(context.destination);
  media.getTracks()[0].addEventListener("ended", onGone);
  return {
    async stop() {
      const done = new Promise((resolve) => (flushed = resolve));
      node.port.postMessage("flush");
      await Promise.race([done, new Promise((resolve) => setTimeout(resolve, 500))]);
      release();
      await context.close();
    },
  };
}
