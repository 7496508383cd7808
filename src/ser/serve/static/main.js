// The page: one recording at a time, from a file or the microphone, and what is found in it.

import { answerOf, showAnswer } from "./answer.js";
import { reasonText } from "./drawing/reasons.js";
import { streamFile, streamMicrophone } from "./analysis.js";
import { api } from "./api.js";
import { decode, differ, mono, UnreadableFile, wav } from "./audio.js";
import { showCard } from "./card.js";
import { Palette } from "./drawing/colours.js";
import { askCorrection, prepareCorrections } from "./correction.js";
import { $, capital, clock, h, percent, versionText } from "./drawing/dom.js";
import { saveAs } from "./export.js";
import { List } from "./list.js";
import { LongFile, secondsOf } from "./long.js";
import { dismiss, notify, notifyError } from "./notices.js";
import { Player } from "./player.js";
import { ofRest, Recording } from "./recording.js";
import { watch, watchServer } from "./server.js";
import { forgetSpeaker, knownChannel, knownSpeaker, prepareSpeaker } from "./speaker.js";
import { Timeline } from "./timeline.js";

/** Longer recordings are more than one utterance: they get a timeline, made by the server. */
const SHORT_SECONDS = 40;
/** Of a file whose length this browser cannot tell. */
const SHORT_BYTES = 2 ** 21;

let card, palette, timeline, list, player, long;
let recording = null;
let microphone = null;
/** What is shown: an utterance, `whole`, or null for the newest. */
let picked = null;
/** Of the run that is under way; another file makes it stale. */
let run = 0;

// The model ----------------------------------------------------------------------------------

async function learnModel() {
  const earlier = card;
  const [model, colours] = await Promise.all([api.model(), palette?.colours ?? api.colours()]);
  card = model;
  palette ??= new Palette(colours);
  prepareSpeaker(card.takes_enrolment);
  showCard(card);
  showLegends();
  if (!earlier) begin();
  else notify("swap", `Another model serves now (${versionText(card.model.version)}).`, { kind: "info", detail: "Answers from before are of the earlier one; each says its version." });
}

// Starting -----------------------------------------------------------------------------------

function begin() {
  timeline = new Timeline($("#timeline"), {
    palette,
    onSeek: (ms) => (ms === null ? player.toggle() : player.seek(ms)),
    onSelect: pick,
  });
  player = new Player({ onMove: (ms) => timeline.moveTo(ms) });
  list = new List({
    palette, onPick: (u) => pick(u ?? "whole"), onCorrect: correct,
    onPlay: (u) => {
      pick(u ?? "whole");
      player.play(u?.start ?? 0, u?.end ?? recording.ms);
    },
  });
  long = new LongFile({
    palette: () => palette,
    onShow: () => {
      hideRecording();
      $("#input").classList.add("compact");
    },
    onDone: (words) => {
      if (words === null) close();
      else announce(words);
    },
  });
  prepareCorrections({ onError: () => {} });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    palette.refresh();
    showLegends();
    long.recolour();
    if (recording) { refreshAll(); timeline.recolour(); }
  });
}

function legend() {
  return [...card.emotions.map((name) => h("li", {}, palette.swatch(name), capital(name))),
    h("li", {}, palette.swatch(null), "No answer")];
}

function showLegends() {
  $("#legend").replaceChildren(...legend());
  $("#knows").replaceChildren("It tells apart", h("ul", { className: "legend" }, legend()));
  $("#knows").hidden = false;
}

function open(next, { isLive }) {
  long.close();
  recording = next;
  picked = null;
  player.unload();
  $("#input").classList.add("compact");
  for (const id of ["#recording", "#results"]) $(id).hidden = false;
  $("#recording-name").textContent = recording.name;
  for (const id of ["#csv", "#json"]) $(id).disabled = true;
  $("#call-option").hidden = recording.kind !== "file" || recording.decoded?.length !== 2;
  $("#call").checked = recording.isCall;
  $("#timeline").hidden = recording.kind === "file" && !recording.decoded;
  $("#legend").hidden = $("#timeline").hidden;
  timeline.show(recording, { isLive });
  list.clear({ isCall: recording.isCall, isCorrectable: card.corrections.enabled });
  $("#list-empty").textContent = "Each utterance stands here once it has ended.";
  for (const key of ["run", "rest", "decode", "stream"]) dismiss(key);
  showFacts();
  showPicked();
}

function hideRecording() {
  player.unload();
  for (const id of ["#recording", "#results"]) $(id).hidden = true;
  for (const key of ["run", "rest", "decode", "stream"]) dismiss(key);
}

/** Back to the choice: of this recording, nothing is known. */
function close() {
  for (const id of ["#recording", "#results"]) $(id).hidden = true;
  $("#input").classList.remove("compact");
  dismiss("decode");
}

function refreshAll() {
  if (recording.answer) putRow(null);
  for (const u of recording.utterances.filter((one) => !one.isOpen)) putRow(u);
  showPicked();
}

const putRow = (u) => list.put(u, { recording, selected: selection() });

// A file -------------------------------------------------------------------------------------

async function analyseFile(file, { call = null, decoded = null } = {}) {
  const mine = ++run;
  const isWanted = () => mine === run;
  if (!decoded) {
    const seconds = await secondsOf(file);
    if (!isWanted()) return;
    if (seconds === null ? file.size > SHORT_BYTES : seconds > SHORT_SECONDS) {
      await long.show(file);
      return;
    }
    try {
      decoded = await decode(file);
    } catch (error) {
      if (!(error instanceof UnreadableFile)) throw error;
      if (!isWanted()) return;
      open(Object.assign(new Recording({ kind: "file", name: file.name, channels: 1, file }), { decoded: null }), { isLive: false });
      notify("decode", error.message, { kind: "info", detail: "The server is asked for the answer alone; there is no timeline." });
      await askWhole(file, isWanted);
      if (isWanted() && !recording.answer) close();
      return;
    }
  }
  if (!isWanted()) return;
  const isCall = decoded.length === 2 && (call ?? differ(decoded));
  const samples = isCall ? decoded : [mono(decoded)];
  const next = new Recording({ kind: "file", name: file.name, channels: samples.length, file });
  next.decoded = decoded;
  next.sentMs = 0;
  samples.forEach((y, c) => next.lanes[c].add(y));
  open(next, { isLive: false });
  player.load(samples);
  const whole = !isCall && next.ms <= 1000 * SHORT_SECONDS ? askWhole(file, isWanted) : null;
  await streamRest(samples, 0, isWanted);
  await whole;
}

async function askWhole(file, isWanted) {
  try {
    const answer = await api.predict(file, knownSpeaker());
    if (!isWanted()) return;
    recording.answer = answer;
    putRow(null);
    showFacts();
    showPicked();
    finished();
    announce(`Whole recording: ${inWords(ofRest(answer))}.`);
  } catch (error) {
    if (error.code === "profile_refused") forgetSpeaker(error.message);
    if (!isWanted()) return;
    notifyError("rest", error, error.isPassing ? ["Try again", () => askWhole(file, isWanted)] : null);
  }
}

async function streamRest(samples, from, isWanted) {
  try {
    await streamFile(recording, samples, { from, profiles: profilesOf(recording), isWanted, onEvent });
    if (!isWanted()) return;
    recording.sentMs = recording.ms;
    if (!recording.utterances.length) $("#list-empty").textContent = "No utterance was found: nobody speaks in this recording.";
  } catch (error) {
    if (!isWanted()) return;
    const back = recording.rewind();
    timeline.show(recording, { isLive: false });
    notifyError("stream", error, ["Go on", () => streamRest(samples, back, isWanted)]);
    watch();
  }
  finished();
  showFacts();
  showPicked();
  timeline.draw();
}

function profilesOf({ channels }) {
  const profile = knownSpeaker();
  if (!profile) return [];
  return Array.from({ length: channels }, (_, c) => (channels === 1 || c === knownChannel() ? profile : null));
}

// The microphone -----------------------------------------------------------------------------

const consent = $("#consent");
$("#consent-host").textContent = location.host;
$("#use-mic").addEventListener("click", () => {
  $("form", consent).reset();
  $("[type=submit]", consent).disabled = true;
  consent.showModal();
});
$("#consent-given").addEventListener("input", ({ target }) => ($("[type=submit]", consent).disabled = !target.checked));
$("form", consent).addEventListener("submit", (event) => {
  event.preventDefault();
  consent.close();
  run++;
  open(new Recording({ kind: "microphone", name: "Microphone", channels: 1 }), { isLive: true });
  listen();
});
$("#stop").addEventListener("click", () => {
  showRecording(false);
  microphone?.stop();
});

/** The light burns while the microphone is open, no longer. */
function showRecording(isOn) {
  $("#live-bar .light").hidden = $("#stop").disabled = !isOn;
  $("#live-state").textContent = isOn ? "Recording" : "Last answers…";
  document.title = `${isOn ? "● Recording · " : ""}Perceived emotion in speech`;
}

async function listen() {
  const mine = recording;
  timeline.isLive = true;
  player.unload();
  $("#use-mic").disabled = $("#file").disabled = true;
  try {
    microphone = await streamMicrophone(mine, {
      profiles: profilesOf(mine), onEvent, onStopped,
      onFrame: () => {
        $("#live-time").textContent = clock(mine.ms);
        timeline.draw();
      },
    });
  } catch (error) {
    microphone = null;
    timeline.stopped();
    if (!mine.ms) close();
    $("#use-mic").disabled = $("#file").disabled = false;
    notifyError("run", error, ["Try again", () => { open(mine, { isLive: true }); listen(); }]);
    return;
  }
  $("#live-bar").hidden = false;
  $("#input").hidden = true;
  scrollTo(0, 0);
  showRecording(true);
  announce("Recording has begun.");
  $("#stop").focus();
}

function onStopped(error) {
  microphone = null;
  $("#live-bar").hidden = true;
  $("#input").hidden = false;
  showRecording(false);
  $("#use-mic").disabled = $("#file").disabled = false;
  announce("Recording has stopped.");
  timeline.stopped();
  for (const u of recording.utterances) putRow(u);
  if (recording.ms) player.load([recording.lanes[0].slice(0, recording.ms)]);
  if (!recording.utterances.length) $("#list-empty").textContent = "No utterance was found: nobody spoke.";
  finished();
  showFacts();
  showPicked();
  $("#use-mic").focus();
  if (!error) return;
  notifyError("stream", error, ["Go on", listen]);
  watch();
}

// What comes back ----------------------------------------------------------------------------

function onEvent(message, utterance) {
  if (message.type === "error") {
    if (message.code === "profile_refused") forgetSpeaker(message.message);
    notify("stream", message.message, { detail: message.code });
    return;
  }
  if (message.type === "measurement.result") {
    const { lastVersion } = recording;
    if (lastVersion !== undefined && lastVersion !== message.model_version) {
      notify("swap", `Another model took over: ${versionText(message.model_version)} after ${versionText(lastVersion)}.`, { kind: "info", detail: "The table and the files say which version gave each answer." });
      learnModel().catch(() => {});
    }
    recording.lastVersion = message.model_version;
  }
  if (!utterance) return;
  if (message.type === "utterance.end") {
    putRow(utterance);
    announce(`Utterance ${utterance.number}${recording.isCall ? `, party ${utterance.channel + 1}` : ""}: ${inWords(answerOf(utterance))}.`);
  }
  showFacts();
  showPicked();
  timeline.draw();
}

const inWords = (answer) => (answer?.label ? `${answer.label}, ${percent(answer.confidence)}` : answer?.abstention ? `no answer. ${reasonText(answer.abstention)}` : "no answer");

function announce(text) {
  $("#announce").textContent = text;
}

function selection() {
  if (picked === "whole") return null;
  return picked ?? (recording.answer ? null : recording.utterances.at(-1) ?? null);
}

function pick(what) {
  picked = what;
  showPicked();
}

function showPicked() {
  const utterance = selection();
  timeline.select(utterance);
  list.select(utterance);
  const options = { palette, onCorrect: null };
  if (!utterance) {
    const { answer } = recording;
    const title = answer ? "Whole recording" : recording.kind === "microphone" ? "Microphone" : "Recording";
    const correctable = answer && card.corrections.enabled ? () => correct(null) : null;
    showAnswer($("#answer"), answer ? ofRest(answer) : null, { ...options, title, onCorrect: correctable });
    return;
  }
  const party = recording.isCall ? ` · party ${utterance.channel + 1}` : "";
  const span = utterance.isOpen ? "is spoken now" : `${clock(utterance.start)} – ${clock(utterance.end)}`;
  const correctable = utterance.final && card.corrections.enabled ? () => correct(utterance) : null;
  showAnswer($("#answer"), answerOf(utterance), { ...options, title: `Utterance ${utterance.number}${party} · ${span}`, onCorrect: correctable });
}

function showFacts() {
  const { ms, utterances, droppedMs, isCall, sentMs } = recording;
  const left = recording.kind === "file" && sentMs < ms ? ` · ${Math.round((100 * sentMs) / ms)}\u202f% analysed` : "";
  const dropped = droppedMs ? ` · the server was busy: ${(droppedMs / 1000).toFixed(1)}\u202fs of results left out` : "";
  const length = ms || 1000 * (recording.answer?.audio.seconds ?? 0);
  $("#recording-facts").textContent = `${clock(length)} · ${isCall ? "2 parties · " : ""}${utterances.length} ${utterances.length === 1 ? "utterance" : "utterances"}${left}${dropped}`;
}

function finished() {
  const isSomething = recording.answer !== null || recording.measurements.length > 0;
  for (const id of ["#csv", "#json"]) $(id).disabled = !isSomething;
}

function correct(utterance) {
  const mine = recording;
  const audio = utterance
    ? () => wav(mine.lanes[utterance.channel].slice(utterance.start, utterance.end))
    : () => mine.file;
  askCorrection({
    requestId: utterance?.requestId ?? mine.answer.request_id,
    what: utterance ? `utterance ${utterance.number}, ${clock(utterance.start)} to ${clock(utterance.end)}` : "the whole recording",
    predicted: utterance ? utterance.final?.label ?? null : mine.answer.label,
    card, palette, audio,
  });
}

// Controls -----------------------------------------------------------------------------------

$("#file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (file) analyseFile(file).catch(failed);
});
$("#call").addEventListener("change", ({ target }) => {
  analyseFile(recording.file, { call: target.checked, decoded: recording.decoded }).catch(failed);
});
$("#csv").addEventListener("click", () => saveAs("csv", recording, card));
$("#json").addEventListener("click", () => saveAs("json", recording, card));
$("#open-card").addEventListener("click", () => $("#card").showModal());
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

const drop = $("#drop");
for (const kind of ["dragover", "drop", "dragleave"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    const [file] = kind === "drop" ? event.dataTransfer.files : [];
    if (file && !$("#file").disabled) analyseFile(file).catch(failed);
  });
}

function failed(error) {
  notifyError("run", error);
}

watchServer({
  learn: learnModel,
  known: () => card?.model.bundle_sha256 ?? null,
  isBusy: () => microphone !== null,
});
