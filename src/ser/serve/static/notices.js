// Messages above the recording: what went wrong, and what can be done.

import { $, h, icon } from "./drawing/dom.js";

const shown = new Map();

/** key : a later notice of the same key takes its place. action : [label, function]. */
export function notify(key, text, { kind = "error", detail = null, action = null, isFixed = false } = {}) {
  dismiss(key);
  const notice = h("div", { className: `notice ${kind}` },
    h("div", { className: "notice-text" }, h("p", {}, text), detail && h("p", { className: "muted small" }, detail)),
    action && h("button", { type: "button", className: "button", onclick: () => { dismiss(key); action[1](); } }, action[0]),
    !isFixed && h("button", { type: "button", className: "round", "aria-label": "Dismiss this message", onclick: () => dismiss(key) }, icon("close")));
  shown.set(key, notice);
  $("#notices").append(notice);
}

export function dismiss(key) {
  shown.get(key)?.remove();
  shown.delete(key);
}

/** An ApiError, or another error with a message for people. */
export function notifyError(key, error, action = null) {
  const detail = error.requestId ? `${error.code} · request ${error.requestId}` : null;
  notify(key, error.message, { detail, action });
}
