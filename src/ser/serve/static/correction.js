// The dialog that sends what an answer should have been, and takes it back.

import { api } from "./api.js";
import { $, capital, h } from "./drawing/dom.js";

const dialog = $("#correction");
const form = $("form", dialog);
let current = null;

export function prepareCorrections({ onError }) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send().catch((error) => {
      $("#correction-error").textContent = error.message;
      onError(error);
    });
  });
  form.addEventListener("input", ready);
  $("#correction-delete").addEventListener("click", undo);
}

function ready() {
  const chosen = $("input[name=emotion]:checked", form);
  $("[type=submit]", form).disabled = !chosen || !$("#correction-consent").checked;
}

/** what : in words. audio : gives the WAV, or null where there is none. */
export function askCorrection({ requestId, what, predicted, card, palette, audio }) {
  current = { requestId, predicted, audio };
  form.reset();
  form.hidden = false;
  $("#correction-sent").hidden = true;
  $("#correction-error").textContent = "";
  $("#correction-undo-error").textContent = "";
  $("#correction-of").textContent = `${capital(what)}. The model’s answer: ${predicted ?? "none"}.`;
  $("#correction-emotions").replaceChildren(...card.emotions.map((name) =>
    h("label", { className: "choice" }, h("input", { type: "radio", name: "emotion", value: name, required: true }), palette.swatch(name), capital(name))));
  $("#correction-audio").closest("label").hidden = !audio;
  $("#correction-days").textContent = `Deleted after ${card.corrections.delete_after_days} days. You can delete it at once, too.`;
  ready();
  dialog.showModal();
}

async function send() {
  const button = $("[type=submit]", form);
  button.disabled = true;
  $("#correction-error").textContent = "";
  try {
    const file = current.audio && $("#correction-audio").checked ? current.audio() : null;
    const answer = await api.correct({
      request_id: current.requestId, label: $("input[name=emotion]:checked", form).value,
      predicted: current.predicted, consent: "true", file,
    });
    form.hidden = true;
    $("#correction-sent").hidden = false;
    $("#correction-delete").hidden = false;
    const kept = answer.stored.includes("audio") ? "Your label and the recording are kept" : "Your label is kept, no recording";
    $("#correction-sent h2").textContent = "Thank you";
    $("#correction-stored").textContent = `${kept}; deleted after ${answer.delete_after_days} days.`;
    $("#correction-id").textContent = answer.request_id;
    $("#correction-sent h2").focus();
  } finally {
    ready();
  }
}

async function undo() {
  try {
    await api.undo(current.requestId);
    $("#correction-sent h2").textContent = "Deleted";
    $("#correction-stored").textContent = "Nothing of this correction is on the server any more.";
    $("#correction-delete").hidden = true;
    $("#correction-sent h2").focus();
  } catch (error) {
    $("#correction-undo-error").textContent = error.message;
  }
}
