// Why an utterance has no answer, in words.

import { capital } from "./dom.js";

const REASONS = {
  no_speech: "No speech was found.",
  too_short: "There is too little speech to judge.",
  too_long: "The utterance is longer than those the model was trained on.",
  clipped: "The recording is overdriven: its peaks are cut off.",
  out_of_domain: "This speech is unlike the speech the model was trained on.",
  unsure: "No emotion is probable enough.",
};

export const reasonText = ({ reason }) => REASONS[reason] ?? capital(reason.replaceAll("_", " "));
