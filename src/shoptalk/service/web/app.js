/**
 * The page: a recording comes in, its words appear, what is uncertain is looked at, corrections go back.
 *
 * @typedef {import("./transcript.js").Place} Place
 * @typedef {import("./transcript.js").Word} Word
 * @typedef {import("./transcript.js").Correction} Correction
 */

import * as api from "./api.js";
import { ServiceError } from "./api.js";
import { Corrections } from "./corrections.js";
import { byId, clock, counted } from "./elements.js";
import { FORMS, save } from "./exports.js";
import { LiveSession } from "./live.js";
import { Microphone } from "./microphone.js";
import { Player, SKIP_S } from "./player.js";
import { Review } from "./review.js";
import { listen } from "./shortcuts.js";
import { Terms } from "./terms.js";
import { followTheme } from "./theme.js";
import { textOf, Transcript, wordOf } from "./transcript.js";
import { Words } from "./words.js";

/** What the page shows; each element is there in some of the views. */
const VIEWS = {
  start: ["start"],
  busy: ["progress", "result"],
  result: ["result", "new"],
};
/** How often a busy service is asked again before a person is. */
const TRIES = 20;
/** Loudness of speech near the microphone fills the meter: level is told as a root of the mean square. */
const METER_GAIN = 6;

/** @type {{recording: Blob | null, name: string, transcript: Transcript, stop: AbortController | null}} */
const state = { recording: null, name: "", transcript: new Transcript(), stop: null };

const terms = new Terms(say);
const player = new Player(
  (seconds, isMoving) => words.markPlaying(seconds, isMoving),
  (message) => complain(message),
);
const words = new Words(byId("words"), {
  onPlay: (seconds) => player.playFrom(seconds),
  onCorrect: correct,
  onChoose: tellChosen,
});
const review = new Review({
  onJump: jump,
  onAlternative: (place, text) => correctPlace(place, text),
  onEdit: (place) => {
    choosePlace(place);
    words.edit();
  },
  onAccept: accept,
});
const corrections = new Corrections({
  say,
  onSent: () => refresh(),
  save: () => download("txt"),
  needsKey: (error) => askForKey(error.message, () => corrections.send()),
});

// ---- from a recording to its transcript

/**
 * Have a recording transcribed and show what comes.
 * @param {Blob} recording
 * @param {string} name of its file; it is not sent
 */
async function transcribe(recording, name) {
  if (!(await mayLeave())) {
    return;
  }
  terms.take();
  Object.assign(state, { recording, name, stop: new AbortController() });
  beginProgress("Sending the recording");
  player.open(recording);
  const duration = await durationOf(player.audio);
  const signal = /** @type {AbortController} */ (state.stop).signal;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { answer, requestId, warning } = await api.transcribe(recording, wishes(), progressOf(duration), signal);
      show(Transcript.of(answer, requestId));
      if (warning) {
        complain(api.asSentence(warning));
      }
      return;
    } catch (error) {
      if (signal.aborted) {
        leaveProgress("Cancelled.");
        return;
      }
      const known = /** @type {ServiceError} */ (error);
      if (!(known.retryAfterS > 0 && attempt < TRIES && (await waited(known, signal)))) {
        fail(signal.aborted ? null : known);
        return;
      }
    }
  }
}

function transcribeAgain() {
  if (state.recording) {
    transcribe(state.recording, state.name);
  }
}

/** @returns {import("./api.js").Wishes} */
function wishes() {
  const isSeparate = document.querySelector('input[name="channels"][value="each"]:checked') !== null;
  const names = [byId("speaker-0").value.trim() || "Doctor", byId("speaker-1").value.trim() || "Patient"];
  const model = byId("model").value;
  return { model, terms: terms.terms, vocabularies: terms.vocabularies, speakers: isSeparate ? names : [] };
}

/**
 * @param {number} duration of the recording; 0 where the browser does not know it
 * @returns {import("./api.js").Progress}
 */
function progressOf(duration) {
  words.clear();
  /** @type {number} */
  let count = 0;
  return {
    onUpload: (share) => {
      if (share < 1) {
        measure(share, `${Math.round(100 * share)} % sent`);
      } else {
        byId("progress-title").textContent = "Transcribing";
        measure(null, "Waiting for the first words");
        say("The recording was sent. It is being transcribed.");
      }
    },
    onWords: (told) => {
      const fresh = told.map(wordOf);
      words.add(fresh);
      count += fresh.length;
      const at = fresh[fresh.length - 1].end;
      const reached = duration > 0 ? `${clock(at)} of ${clock(duration)}` : clock(at);
      measure(duration > 0 ? Math.min(1, at / duration) : null, `${reached}, ${counted(count, "word")}`);
    },
  };
}

/**
 * Show how long a busy service wants to be left alone, and wait; false if somebody cancelled meanwhile.
 * @param {ServiceError} error
 * @param {AbortSignal} signal
 */
async function waited(error, signal) {
  byId("progress-title").textContent = "The service is busy";
  const reason = error.message.replace(/;.*$|\.$/, "");
  say(`${reason}. The page tries again by itself.`);
  for (let left = Math.ceil(error.retryAfterS); left > 0 && !signal.aborted; left -= 1) {
    measure(null, `${reason}. The page tries again by itself in ${left} s.`);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  byId("progress-title").textContent = "Sending the recording";
  return !signal.aborted;
}

/**
 * What the audio element knows of a recording's length, in seconds; 0 if nothing.
 * @param {HTMLAudioElement} audio
 * @returns {Promise<number>}
 */
function durationOf(audio) {
  const known = () => (Number.isFinite(audio.duration) ? audio.duration : 0);
  return new Promise((resolve) => {
    for (const name of ["loadedmetadata", "error"]) {
      audio.addEventListener(name, () => resolve(known()), { once: true });
    }
    setTimeout(() => resolve(known()), 2000);
  });
}

// ---- from the microphone

async function record() {
  if (!(await mayLeave())) {
    return;
  }
  terms.take();
  /** @type {LiveSession | null} */
  let session = null;
  /** @type {Microphone} */
  let microphone;
  byId("record").disabled = true; // while the browser asks whether the page may
  try {
    microphone = await Microphone.open((samples, level) => {
      session?.send(samples);
      byId("level").value = Math.min(1, METER_GAIN * level);
    });
  } catch (error) {
    complain(/** @type {Error} */ (error).message);
    return;
  } finally {
    byId("record").disabled = false;
  }
  state.stop = new AbortController();
  beginProgress("Listening");
  byId("level").hidden = false;
  byId("bar").hidden = true;
  byId("stop").hidden = false;
  byId("stop").focus();
  words.clear();
  const transcript = new Transcript();
  /** @type {ServiceError | null} */
  let failure = null;
  session = new LiveSession(
    { ...wishes(), rate: microphone.rate },
    {
      onWords: (told, tail) => {
        const fresh = told.map(wordOf);
        transcript.words.push(...fresh);
        words.add(fresh, tail);
        if (fresh.length > 0) {
          say(textOf(fresh));
        }
      },
      onFailure: (error) => {
        failure = error;
        complain(`${error.message} What was spoken so far is kept in this page.`);
        if (session?.isOver) {
          byId("stop").click();
        }
      },
    },
  );
  const ticking = setInterval(() => measure(null, clock(microphone.duration)), 250);
  const isKept = await Promise.race([clicked("stop"), aborted(state.stop.signal)]);
  clearInterval(ticking);
  byId("stop").hidden = true;
  byId("level").hidden = true;
  byId("bar").hidden = false;
  await microphone.close();
  if (!isKept) {
    session.close();
    leaveProgress("Cancelled.");
    return;
  }
  byId("progress-title").textContent = "Waiting for the last words";
  measure(null, "");
  await Promise.race([session.finish(), aborted(state.stop.signal)]);
  state.recording = microphone.recording();
  state.name = "dictation";
  player.open(state.recording);
  transcript.duration = microphone.duration;
  transcript.watchLow();
  if (failure !== null && transcript.words.length === 0) {
    fail(failure);
  } else {
    show(transcript);
  }
}

/**
 * @param {string} id of a button
 * @returns {Promise<boolean>} true when it is clicked
 */
function clicked(id) {
  return new Promise((resolve) => byId(id).addEventListener("click", () => resolve(true), { once: true }));
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} false when it is aborted
 */
function aborted(signal) {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(false), { once: true }));
}

// ---- the transcript

/** @param {Transcript} transcript */
function show(transcript) {
  state.transcript = transcript;
  state.stop = null;
  view("result");
  byId("result").classList.remove("is-live");
  words.show(transcript);
  review.show(transcript);
  corrections.show(transcript);
  const count = transcript.words.length;
  describe();
  const toReview = counted(transcript.open.length, "place");
  say(count > 0 ? `Transcript ready: ${counted(count, "word")}, ${toReview} to review.` : "No words were recognised.");
  if (count === 0) {
    const cure = "Check that the microphone was on and that the language is English.";
    complain(`No words were recognised in ${clock(transcript.duration)} of audio. ${cure}`);
  }
  byId("transcript-title").textContent = count > 0 ? `Transcript, ${counted(count, "word")}` : "Transcript";
  byId("words").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

/** Tell the player where there is something to look at. */
function describe() {
  const { open, gaps, duration } = state.transcript;
  /** @type {import("./player.js").Mark[]} */
  const marks = open.map(({ words: [{ start, end }] }) => ({ start, end, kind: "doubt" }));
  for (const { start, end } of gaps) {
    marks.push({ start, end, kind: "gap" });
  }
  player.describe(duration || 1, marks);
  const isEmpty = state.transcript.words.length === 0;
  document.querySelector(".columns")?.classList.toggle("has-no-review", isEmpty);
  byId("review").hidden = isEmpty;
  byId("whole").hidden = state.transcript.isReviewed;
}

/** After a correction. */
function refresh() {
  words.show(state.transcript);
  review.update();
  corrections.show(state.transcript);
  describe();
}

/**
 * @param {number} first
 * @param {number} last
 * @param {string} text
 */
function correct(first, last, text) {
  const correction = state.transcript.correct(first, last, text);
  if (correction === null) {
    return;
  }
  refresh();
  words.choose(state.transcript.words.indexOf(correction.words[0]));
  say(correction.text ? `Corrected to ${correction.text}` : "Removed");
}

function undo() {
  const correction = state.transcript.undo();
  if (correction !== null) {
    refresh();
    words.choose(state.transcript.words.indexOf(correction.recognised[0]));
    say("The correction was taken back");
  }
}

/** @param {Place} place */
function choosePlace(place) {
  const all = state.transcript.words;
  words.choose(all.indexOf(place.words[0]), all.indexOf(place.words[place.words.length - 1]));
  review.mark(place);
}

/** @param {Place} place */
function jump(place) {
  choosePlace(place);
  player.playFrom(Math.max(0, place.words[0].start - 1));
}

/**
 * @param {Place} place
 * @param {string} text
 */
function correctPlace(place, text) {
  const all = state.transcript.words;
  correct(all.indexOf(place.words[0]), all.indexOf(place.words[place.words.length - 1]), text);
}

/** @param {Place} place */
function accept(place) {
  place.state = "accepted";
  refresh();
  say("Marked as right");
}

/**
 * The open place before (-1) or after (1) the chosen word.
 * @param {number} direction
 */
function nextDoubt(direction) {
  const all = state.transcript.words;
  const [first, last] = words.chosen;
  const indices = state.transcript.open.map((place) => ({ place, index: all.indexOf(place.words[0]) }));
  indices.sort((one, other) => one.index - other.index);
  const isFresh = direction > 0 && first === 0 && placeAt() === null;
  const later = indices.filter(({ index }) => (direction > 0 ? index > (isFresh ? -1 : last) : index < first));
  const target = direction > 0 ? (later[0] ?? indices[0]) : (later.at(-1) ?? indices.at(-1));
  if (target) {
    choosePlace(target.place);
    byId("words").focus({ preventScroll: true });
  } else {
    say("Nothing is left to review");
  }
}

/** The open place of the chosen words; null if there is none. */
function placeAt() {
  const chosen = new Set(words.chosenWords);
  return state.transcript.open.find((place) => place.words.some((word) => chosen.has(word))) ?? null;
}

/** @param {Word[]} chosen */
function tellChosen(chosen) {
  const place = placeAt();
  review.mark(place);
  const [first] = chosen;
  if (!first) {
    return;
  }
  const text = chosen.map((word) => word.text).join(" ") || "removed words";
  const parts = [text];
  if (chosen.length === 1 && first.confidence !== null) {
    parts.push(`confidence ${Math.round(100 * first.confidence)} %`);
  }
  for (const [number, candidate] of (place?.alternatives ?? []).entries()) {
    parts.push(`alternative ${number + 1}: ${candidate.text || "nothing"}`);
  }
  say(parts.join(", "));
}

/** @param {number} number of an alternative of the chosen place, from 1 */
function takeAlternative(number) {
  const place = placeAt();
  const candidate = place?.alternatives[number - 1];
  if (place && candidate) {
    correctPlace(place, candidate.text);
  }
}

/** Mark the chosen place as right and go on. */
function acceptAndGoOn() {
  const place = placeAt();
  if (place) {
    accept(place);
    nextDoubt(1);
  }
}

/** @param {string} form */
function download(form) {
  const { type, make } = FORMS[form];
  const stem = state.name.replace(/\.[^.]*$/, "") || "transcript";
  save(make(state.transcript), `${stem}.${form}`, type);
  say(`${FORMS[form].name} saved`);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(state.transcript.text());
    byId("copy").textContent = "Copied";
    setTimeout(() => (byId("copy").textContent = "Copy"), 2000);
    say("The transcript was copied");
  } catch {
    complain("The browser does not allow copying here. Save the text instead.");
  }
}

// ---- what the page shows and says

/** @param {keyof typeof VIEWS} name */
function view(name) {
  const shown = VIEWS[name];
  for (const id of new Set(Object.values(VIEWS).flat())) {
    byId(id).hidden = !shown.includes(id);
  }
  document.body.dataset.view = name;
}

/** @param {string} title */
function beginProgress(title) {
  player.close();
  calm();
  view("busy");
  byId("result").classList.add("is-live");
  corrections.hide();
  words.clear();
  byId("progress-title").textContent = title;
  byId("transcript-title").textContent = "Transcript";
  measure(null, "");
  byId("cancel").focus();
  say(title);
}

/** @param {string} message */
function leaveProgress(message) {
  byId("result").classList.remove("is-live");
  state.stop = null;
  words.clear();
  toStart();
  say(message);
}

/**
 * @param {number | null} share null: nobody knows it
 * @param {string} text
 */
function measure(share, text) {
  if (share === null) {
    byId("bar").removeAttribute("value");
  } else {
    byId("bar").value = share;
  }
  byId("progress-text").textContent = text;
}

/**
 * Nothing came of it: say why, and offer what helps.
 * @param {ServiceError | null} error null: somebody cancelled
 */
function fail(error) {
  leaveProgress("");
  if (error === null) {
    return;
  }
  if (error.status === 401) {
    askForKey(error.message, transcribeAgain);
  } else if (error.status === 0 || error.status >= 500 || error.retryAfterS > 0) {
    complain(error.message, "Try again", transcribeAgain);
  } else {
    complain(error.message);
  }
}

/**
 * Say what is wrong and what to do.
 * @param {string} message
 * @param {string} [label] of a button that does it
 * @param {() => void} [action]
 */
function complain(message, label = "", action = () => {}) {
  byId("problem-text").textContent = message;
  byId("problem").hidden = false;
  byId("problem-action").hidden = !label;
  byId("problem-action").textContent = label;
  byId("problem-action").onclick = () => {
    calm();
    action();
  };
}

/** Nothing is wrong any more. */
function calm() {
  byId("problem").hidden = true;
  byId("key-section").hidden = true;
}

/**
 * @param {string} message
 * @param {() => void} [after] what to do once there is a key
 */
function askForKey(message, after = () => {}) {
  byId("key-section").hidden = false;
  byId("show-key").hidden = false;
  byId("problem").hidden = true;
  complain(message);
  byId("key").value = "";
  byId("key").focus();
  byId("key-form").onsubmit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    api.keepApiKey(byId("key").value.trim());
    calm();
    await offer();
    if (byId("key-section").hidden) {
      after();
    }
  };
}

/**
 * Tell those who listen instead of looking.
 * @param {string} message
 */
function say(message) {
  byId("status").textContent = message;
}

function toStart() {
  view("start");
  byId("again").hidden = state.recording === null;
  byId("again").textContent = state.recording ? `Transcribe ${shortened(state.name)} again` : "";
}

/** @param {string} name */
function shortened(name) {
  return name.length > 24 ? `${name.slice(0, 20)}…` : name || "the recording";
}

/** Whether unsent corrections may be lost, if there are any. */
async function mayLeave() {
  if (state.transcript.unsent.length === 0) {
    return true;
  }
  const dialog = byId("discard");
  dialog.returnValue = "stay";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue === "discard") {
    state.transcript = new Transcript();
    return true;
  }
  return false;
}

// ---- what the service offers

/** Fill in models and vocabularies; ask for a key if the service does. */
async function offer() {
  try {
    const names = await api.models();
    const options = names.map((name) => new Option(name, name));
    byId("model").replaceChildren(...options);
    byId("model-choice").hidden = names.length < 2;
  } catch (error) {
    const known = /** @type {ServiceError} */ (error);
    if (known.status === 401) {
      askForKey(known.message);
      return;
    }
    if (known.status !== 403) { // a key may be without the list of models: the service then chooses
      complain(known.message, "Try again", offer);
      return;
    }
  }
  const names = await api.vocabularies().catch(() => []);
  terms.offer(names);
}

// ---- what people do

/** @param {DataTransfer | null} data */
function take(data) {
  const file = data ? [...data.files][0] : null;
  if (file) {
    transcribe(file, file.name);
  }
  return Boolean(file);
}

function listenToPeople() {
  byId("choose").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", () => {
    const [file] = byId("file").files;
    byId("file").value = "";
    if (file) {
      transcribe(file, file.name);
    }
  });
  byId("record").addEventListener("click", record);
  byId("again").addEventListener("click", transcribeAgain);
  byId("new").addEventListener("click", async () => {
    if (await mayLeave()) {
      player.close();
      corrections.hide();
      toStart();
      byId("choose").focus();
    }
  });
  byId("cancel").addEventListener("click", () => state.stop?.abort());
  byId("problem-close").addEventListener("click", calm);
  byId("show-key").addEventListener("click", () => askForKey("Enter the API key of this service."));
  byId("forget-key").addEventListener("click", () => {
    api.keepApiKey("");
    byId("key").value = "";
    say("The API key was forgotten");
  });
  byId("edit").addEventListener("click", () => words.edit());
  byId("next-doubt").addEventListener("click", () => nextDoubt(1));
  byId("whole").querySelector("button").addEventListener("click", transcribeAgain);
  byId("undo").addEventListener("click", undo);
  byId("copy").addEventListener("click", copy);
  for (const button of document.querySelectorAll("[data-form]")) {
    const { form } = /** @type {HTMLElement} */ (button).dataset;
    button.addEventListener("click", () => download(form ?? "txt"));
  }
  for (const radio of document.querySelectorAll('input[name="channels"]')) {
    radio.addEventListener("change", () => (byId("speakers").hidden = wishes().speakers.length === 0));
  }
  listenToFiles();
  window.addEventListener("beforeunload", (event) => {
    if (state.stop !== null || state.transcript.unsent.length > 0) {
      event.preventDefault();
    }
  });
}

/** A file may be dropped anywhere, and pasted. */
function listenToFiles() {
  const hasFile = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (hasFile(event)) {
      event.preventDefault();
      document.body.classList.add("is-dropping");
    }
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) {
      document.body.classList.remove("is-dropping");
    }
  });
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("is-dropping");
    if (hasFile(event)) {
      event.preventDefault();
      if (state.stop === null) {
        take(event.dataTransfer);
      }
    }
  });
  document.addEventListener("paste", (event) => {
    if (state.stop === null && take(event.clipboardData)) {
      event.preventDefault();
    }
  });
}

function listenToKeys() {
  const inResult = (/** @type {() => void} */ act) => () => {
    if (document.body.dataset.view === "result") {
      act();
    }
  };
  const numbers = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
  listen([
    { keys: [" "], does: "play, pause", act: inResult(() => player.toggle()) },
    { keys: ["j", "J"], does: "back 5 s", act: inResult(() => player.skip(-SKIP_S)) },
    { keys: ["l", "L"], does: "ahead 5 s", act: inResult(() => player.skip(SKIP_S)) },
    { keys: ["n", "N"], does: "next uncertain word", act: inResult(() => nextDoubt(1)) },
    { keys: ["p", "P"], does: "uncertain word before", act: inResult(() => nextDoubt(-1)) },
    { keys: ["a", "A"], does: "it is right, go on", act: inResult(acceptAndGoOn) },
    ...numbers.map((key, place) => ({
      keys: [key],
      shown: place === 0 ? "1 … 9" : "",
      does: "take that alternative",
      act: inResult(() => takeAlternative(place + 1)),
    })),
    { keys: ["e", "E"], does: "correct the chosen words", act: inResult(() => words.edit()) },
    { keys: ["z", "Z"], does: "take the last correction back", withControl: true, act: inResult(undo) },
    { keys: ["Enter"], does: "send the corrections", withControl: true, act: inResult(() => corrections.send()) },
    { keys: ["?"], does: "this list", act: () => byId("shortcuts").showModal() },
  ]);
}

followTheme();
listenToPeople();
listenToKeys();
toStart();
byId("privacy").textContent =
  `Audio goes to ${location.hostname} and stays on this server. This page stores nothing in your browser.`;
byId("show-key").hidden = !api.apiKey();
offer();
