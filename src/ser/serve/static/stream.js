// One session of /v1/stream.

import { ApiError, subprotocols } from "./api.js";

const CLOSED = {
  1006: "The connection to the server was lost.",
  1008: "The server ended the session.",
  1011: "The server had a fault and ended the session.",
  1012: "The server restarts.",
  1013: "The server takes no more live sessions now.",
};

/**
 * onMessage : is called with each message of the server. onLost : with an ApiError where the
 * session ends without having been asked to.
 */
export class StreamSession {
  constructor({ onMessage, onLost }) {
    Object.assign(this, { onMessage, onLost, id: null, sentSamples: 0 });
    this.closing = false;
    this.ended = new Promise((resolve) => (this._end = resolve));
  }

  /** Resolves once frames may be sent. profiles : one for each channel, or null. */
  open({ channels, profiles }) {
    const address = new URL("/v1/stream", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    this.channels = channels;
    return new Promise((resolve, reject) => {
      try {
        this.socket = new WebSocket(address, subprotocols());
      } catch {
        reject(new ApiError("A browser cannot send this token on a WebSocket: it may hold letters, digits and -._~ only."));
        return;
      }
      this.socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === "session.created") {
          this.id = message.session_id;
          this._tell({ type: "session.update", consent: true, channels, profiles });
        } else if (message.type === "session.updated") {
          this.isOpen = true;
          resolve();
        } else if (message.type === "error" && !this.isOpen) {
          this.closing = true;
          this.socket.close();
          reject(new ApiError(message.message, { code: message.code }));
        }
        this.onMessage(message, this);
      };
      this.socket.onclose = ({ code }) => {
        const lost = new ApiError(CLOSED[code] ?? "The session has ended.", { code: `closed_${code}` });
        if (!this.isOpen) reject(lost);
        else if (!this.closing) this.onLost(lost);
        this.isOpen = false;
        this._end();
      };
    });
  }

  /** Send s16le, channels interleaved. */
  send(frame) {
    if (!this.isOpen) return;
    this.socket.send(frame);
    this.sentSamples += frame.length / this.channels;
  }

  get waitingBytes() {
    return this.socket.bufferedAmount;
  }

  /** Ask for the last results; resolves when they are there. */
  close() {
    if (this.isOpen && !this.closing) {
      this.closing = true;
      this._tell({ type: "session.close" });
    }
    return this.ended;
  }

  _tell(message) {
    this.socket.send(JSON.stringify(message));
  }
}
