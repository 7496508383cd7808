// A known speaker: a profile made of clips, in this tab's memory alone.

import { api } from "./api.js";
import { $, h } from "./drawing/dom.js";

let profile = null;

/** The profile, null without one. */
export const knownSpeaker = () => (profile && profile.until > Date.now() ? profile.text : null);

/** Which channel of a call the profile is of. */
export const knownChannel = () => Number($("#speaker-party")?.value ?? 0);

export function forgetSpeaker(why = "") {
  profile = null;
  show(why);
}

export function prepareSpeaker(isTaken) {
  $("#speaker").hidden = !isTaken;
  if (!isTaken) profile = null;
  show();
}

function show(message = "", isError = false) {
  const note = message && h("p", { className: isError ? "error" : "muted", role: isError ? "alert" : "status" }, message);
  const input = h("input", { type: "file", id: "clips", accept: "audio/*,.flac,.m4a,.opus", multiple: true, onchange: ({ target }) => target.files.length && enrol([...target.files]) });
  const parts = profile
    ? [h("p", {}, h("strong", {}, `Known from ${profile.clips} ${profile.clips === 1 ? "clip" : "clips"}. `), `Used for every answer in the next ${Math.round((profile.until - Date.now()) / 3_600_000)} hours.`),
      profile.leftOut.length > 0 && h("ul", { className: "plain muted" }, profile.leftOut.map((line) => h("li", {}, line))),
      h("label", { className: "field inline" }, "In a call, the speaker is ", h("select", { id: "speaker-party" }, h("option", { value: "0" }, "party 1"), h("option", { value: "1" }, "party 2"))),
      h("button", { type: "button", className: "quiet", onclick: () => forgetSpeaker("The profile is forgotten.") }, "Forget the speaker")]
    : [h("label", { className: "button", htmlFor: "clips" }, "Add clips"), input];
  $("#speaker-state").replaceChildren(...[...parts, note].filter(Boolean));
}

async function enrol(files) {
  show("Making the profile…");
  try {
    const answer = await api.enrol(files);
    profile = { text: answer.profile, clips: answer.clips, leftOut: answer.left_out, until: Date.now() + 1000 * answer.expires_seconds };
    show();
  } catch (error) {
    show(error.message, true);
  }
}
