// Whether the server answers, with which model; and the token where it wants one.

import { api, onUnauthorized } from "./api.js";
import { $, versionText } from "./drawing/dom.js";
import { dismiss, notify } from "./notices.js";

const POLL_MS = 10_000, RETRY_MS = 2000;
const tokenDialog = $("#token");
let asking = null, told = null, timer = null, misses = 0;
let page = null;

/**
 * Look at the server from now on. learn : is called where another model answers than is known; known :
 * gives the hash of the one that is known, or null; isBusy : whether the microphone is open.
 */
export function watchServer({ learn, known, isBusy }) {
  page = { learn, known, isBusy };
  return watch();
}

onUnauthorized((wasWrong) => (asking ??= new Promise((resolve) => {
  $("#token-error").textContent = wasWrong ? "The server refuses this token." : "";
  $("#token-value").value = "";
  tokenDialog.showModal();
  $("form", tokenDialog).onsubmit = (event) => {
    event.preventDefault();
    tokenDialog.close();
    asking = null;
    resolve($("#token-value").value);
  };
})));
// There is nothing to see without it.
tokenDialog.addEventListener("cancel", (event) => event.preventDefault());

/** Look now, and then every few seconds. */
export async function watch() {
  clearTimeout(timer);
  const wait = await look();
  // Another look may have begun meanwhile.
  clearTimeout(timer);
  timer = setTimeout(watch, document.hidden ? POLL_MS : wait);
}

/** One look; after how many ms the next is due. */
async function look() {
  try {
    const { model } = await api.ready();
    if (model.bundle_sha256 !== page.known()) await page.learn();
    misses = 0;
    tellWaiting(null);
    showServing("ready", `Ready · model ${versionText(model.version)}`);
    return POLL_MS;
  } catch (error) {
    const isAway = error.code === "away";
    // One request that fails says little.
    if (isAway && page.known() && ++misses === 1) return RETRY_MS;
    showServing("waiting", isAway ? "Server away" : "Not ready");
    tellWaiting(isAway ? "The server does not answer." : `No model answers yet: ${error.message}`);
    return RETRY_MS;
  }
}

function showServing(state, text) {
  const serving = $("#serving");
  serving.dataset.state = state;
  if (serving.lastElementChild.textContent !== text) serving.lastElementChild.textContent = text;
  for (const id of ["#file", "#use-mic"]) $(id).disabled = state !== "ready" || page.isBusy();
  $("#open-card").disabled = page.known() === null;
}

/** Said once, however often it is tried. */
function tellWaiting(text) {
  if (text === told) return;
  told = text;
  if (text === null) dismiss("server");
  else notify("server", text, { kind: "server", detail: "This page tries again every 2 seconds.", isFixed: true });
}
