/**
 * Listening to terms, one after the other, and saying what is right.
 *
 * @typedef {{ipa: string, written: string, tier: string, verdict: string, by?: string, on?: string, used: boolean}} Pronunciation
 * @typedef {object} Term
 * @property {string} id
 * @property {string} text
 * @property {string} spoken
 * @property {string} category
 * @property {boolean} held_out
 * @property {boolean} heard
 * @property {boolean} wrong
 * @property {Pronunciation[]} pronunciations
 */

import { byId, counted, element } from "./elements.js";
import { followTheme } from "./theme.js";

const CHECK_AFTER_MS = 150;
const LISTENER = "shoptalk-listener";
/** @type {Record<string, string>} */
const TIERS = {
  override: "given by people who listened",
  lexicon: "from the lexicon",
  dictionary: "from the dictionary",
  stem: "by the stem of the drug's name",
  g2p: "by letter-to-sound rules",
};
const MARKS = { heard: "✓", wrong: "✗", unheard: "·" };

/** @type {{terms: Term[], current: string, chosen: number, checked: string, checks: number}} */
const page = { terms: [], current: "", chosen: 0, checked: "", checks: 0 };
const player = new Audio();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let waiting;

/**
 * Ask the program; its errors are sentences for people.
 * @param {string} name
 * @param {Record<string, string>} [asked]
 */
async function ask(name, asked = {}) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`/api/${name}`, { method: "POST", headers, body: JSON.stringify(asked) });
  if (!answer.ok) {
    throw new Error((await answer.json()).error);
  }
  return answer.headers.get("Content-Type") === "audio/flac" ? answer.blob() : answer.json();
}

/**
 * Do something, and show what went wrong.
 * @param {() => Promise<void>} act
 */
async function telling(act) {
  byId("problem").hidden = true;
  try {
    await act();
  } catch (error) {
    const message = error instanceof TypeError ? "The program has ended. Start it again." : String(error.message);
    byId("problem-text").textContent = message;
    byId("problem").hidden = false;
  }
}

/** @param {string} text told to screen readers */
function say(text) {
  byId("status").textContent = text;
}

/** @param {Term} term */
function stateOf(term) {
  if (term.heard) {
    return "heard";
  }
  return term.wrong ? "wrong" : "unheard";
}

function shownTerms() {
  const wanted = byId("filter").value;
  const search = byId("search").value.trim().toLowerCase();
  return page.terms.filter((term) => {
    return (wanted === "all" || stateOf(term) === wanted) && term.text.toLowerCase().includes(search);
  });
}

function currentTerm() {
  return page.terms.find((term) => term.id === page.current);
}

/** @param {any} state what the program tells of all terms */
function take(state) {
  page.terms = state.terms;
  const heard = state.terms.filter((/** @type {Term} */ term) => term.heard).length;
  byId("count").textContent = `${heard} of ${counted(state.terms.length, "term")} heard and found right.`;
  byId("share").value = state.terms.length ? heard / state.terms.length : 0;
  byId("file").textContent = state.file;
  const cure = "The recipe does not read what is saved yet: write pronunciations: pronunciations.yaml below lexicon.";
  byId("where").textContent = state.in_recipe ? "" : cure;
}

function show() {
  showList();
  showTerm();
}

function showList() {
  const terms = shownTerms();
  const items = terms.map((term) => {
    const state = stateOf(term);
    const mark = element("span", { class: "mark", "data-state": state, "aria-hidden": "true" }, MARKS[state]);
    const told = element("span", { class: "unseen" }, `, ${state === "unheard" ? "not heard yet" : state}`);
    const current = String(term.id === page.current);
    return element("li", {}, element("button", { type: "button", "aria-current": current, click: () => go(term.id) }, mark, term.text, told));
  });
  byId("terms").replaceChildren(...items);
  byId("none").hidden = terms.length > 0;
  byId("terms").querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest" });
}

function showTerm() {
  const term = currentTerm();
  byId("term").hidden = term === undefined;
  if (term === undefined) {
    return;
  }
  byId("text").textContent = term.text;
  const spoken = term.spoken === term.text ? [] : [`spoken “${term.spoken}”`];
  const heldOut = term.held_out ? ["held out"] : [];
  byId("about").textContent = [term.category, ...spoken, ...heldOut].join(" · ");
  page.chosen = Math.min(page.chosen, term.pronunciations.length - 1);
  byId("pronunciations").replaceChildren(...term.pronunciations.map((pronunciation, place) => row(pronunciation, place)));
}

/**
 * @param {Pronunciation} pronunciation
 * @param {number} place
 */
function row(pronunciation, place) {
  const { ipa, written, tier, verdict, by, on, used } = pronunciation;
  const heard = verdict && by ? `${verdict}, ${by}${on ? `, ${on}` : ""}` : "not heard yet";
  const respelled = written === ipa ? [] : [` · ${written}`];
  const sound = element("p", { class: used ? "ipa" : "ipa unused" }, ipa, ...respelled);
  const about = element("p", { class: "hint" }, `${TIERS[tier] ?? ""} · ${heard}${used ? "" : " · not used"}`);
  const button = (/** @type {string} */ name) => {
    const label = name === "right" ? "Right" : "Wrong";
    const pressed = String(verdict === name);
    const click = () => judge(place, pressed === "true" ? "" : name);
    return element("button", { type: "button", class: `verdict ${name}`, "aria-pressed": pressed, "aria-label": `${label}: ${ipa}`, click }, label);
  };
  const play = element("button", { type: "button", class: "second play", "aria-label": `Play ${ipa}`, click: () => choose(place) }, "▶ Play");
  const verdicts = element("div", { class: "row" }, button("right"), button("wrong"));
  return element("li", { class: "pronunciation", "data-chosen": String(place === page.chosen) }, play, element("div", {}, sound, about), verdicts);
}

/** @param {string} ipa */
function hear(ipa) {
  return telling(async () => {
    const id = page.current;
    say("Speaking …");
    const clip = await ask("clip", { id, ipa, voice: byId("voice").value });
    URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(clip);
    say("");
    await player.play();
  });
}

/** @param {number} place */
function choose(place) {
  const pronunciation = currentTerm()?.pronunciations[place];
  if (pronunciation === undefined) {
    return;
  }
  page.chosen = place;
  showTerm();
  hear(pronunciation.ipa);
}

/** @param {string} id */
function go(id) {
  if (id !== page.current) {
    page.current = id;
    page.chosen = 0;
    byId("written").value = "";
    told("", "");
  }
  show();
  byId("text").focus({ preventScroll: true });
}

/**
 * The next or previous term of the list, and its sound.
 * @param {number} step
 * @param {Term[]} [among] the list as it was before a verdict
 */
function turn(step, among = shownTerms()) {
  const place = among.findIndex((term) => term.id === page.current);
  const next = among[place + step];
  if (next === undefined) {
    say(step > 0 ? "That was the last term." : "This is the first term.");
    return false;
  }
  go(next.id);
  choose(0);
  return true;
}

function listenerName() {
  return byId("listener").value.trim();
}

/**
 * @param {number} place
 * @param {string} verdict
 */
function judge(place, verdict) {
  const before = shownTerms();
  const pronunciation = currentTerm()?.pronunciations[place];
  if (pronunciation === undefined) {
    return;
  }
  telling(async () => {
    take(await ask("judge", { id: page.current, ipa: pronunciation.ipa, verdict, by: listenerName() }));
    say(verdict ? `Saved as ${verdict}.` : "Taken back.");
    if (verdict === "right" && turn(1, before)) {
      return;
    }
    show();
    if (verdict === "wrong") {
      byId("written").focus();
    }
  });
}

/**
 * What is known of what is being written.
 * @param {string} text
 * @param {string} ipa empty: it cannot be spoken
 */
function told(text, ipa) {
  page.checked = ipa;
  byId("checked").textContent = text;
  byId("checked").dataset.kind = text && !ipa ? "error" : "";
  byId("listen").disabled = byId("save").disabled = !ipa;
}

/** Check what is written; answers to what was written before are dropped. */
async function check() {
  const number = ++page.checks;
  const written = byId("written").value;
  if (!written.trim()) {
    told("", "");
    return;
  }
  try {
    const { ipa } = await ask("check", { written });
    if (number === page.checks) {
      told(ipa, ipa);
    }
  } catch (error) {
    if (number === page.checks) {
      told(error.message, "");
    }
  }
}

function save() {
  telling(async () => {
    const state = await ask("correct", { id: page.current, written: byId("written").value, by: listenerName() });
    take(state);
    byId("written").value = "";
    told("", "");
    const places = currentTerm()?.pronunciations ?? [];
    page.chosen = Math.max(0, places.findIndex(({ ipa }) => ipa === state.ipa));
    show();
    say("Saved as right.");
    byId("text").focus({ preventScroll: true });
  });
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const inField = target.matches("input[type=text], select");
  if (inField || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || !byId("single-keys").checked) {
    return;
  }
  if (event.key === " " && target.matches("button, input")) {
    return;
  }
  /** @type {Record<string, () => void>} */
  const acts = {
    " ": () => choose(page.chosen),
    r: () => judge(page.chosen, "right"),
    w: () => judge(page.chosen, "wrong"),
    u: () => judge(page.chosen, ""),
    e: () => byId("written").focus(),
    j: () => turn(1),
    k: () => turn(-1),
    "?": () => byId("shortcuts").showModal(),
  };
  const act = /^[1-9]$/.test(event.key) ? () => choose(Number(event.key) - 1) : acts[event.key.toLowerCase()];
  if (act) {
    event.preventDefault();
    act();
  }
}

/** @param {KeyboardEvent} event in the field of a pronunciation */
async function pressedInField(event) {
  if (event.key === "Escape") {
    byId("text").focus({ preventScroll: true });
  }
  if (event.key !== "Enter") {
    return;
  }
  event.preventDefault();
  clearTimeout(waiting);
  await check();
  if (page.checked) {
    event.ctrlKey || event.metaKey ? save() : hear(page.checked);
  }
}

function listen() {
  document.addEventListener("keydown", pressed);
  byId("written").addEventListener("keydown", pressedInField);
  byId("written").addEventListener("input", () => {
    clearTimeout(waiting);
    byId("save").disabled = byId("listen").disabled = true;
    waiting = setTimeout(check, CHECK_AFTER_MS);
  });
  byId("listen").addEventListener("click", () => hear(page.checked));
  byId("otherwise").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    save();
  });
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  byId("filter").addEventListener("change", show);
  byId("search").addEventListener("input", show);
  byId("listener").addEventListener("change", () => localStorage.setItem(LISTENER, listenerName()));
  byId("show-shortcuts").addEventListener("click", () => byId("shortcuts").showModal());
  byId("problem-close").addEventListener("click", () => {
    byId("problem").hidden = true;
  });
}

async function start() {
  followTheme();
  listen();
  await telling(async () => {
    const state = await ask("state");
    const voices = Object.entries(state.voices).map(([name, label]) => element("option", { value: name }, String(label)));
    byId("voice").replaceChildren(...voices);
    byId("listener").value = state.listener || localStorage.getItem(LISTENER) || "";
    take(state);
    const first = page.terms.find((term) => !term.heard) ?? page.terms[0];
    page.current = first?.id ?? "";
    show();
  });
}

start();
