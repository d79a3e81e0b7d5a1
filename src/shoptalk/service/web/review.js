/**
 * The list of what a person should look at, each place with other readings as buttons.
 *
 * @typedef {import("./transcript.js").Place} Place
 * @typedef {import("./transcript.js").Transcript} Transcript
 *
 * @typedef {object} Actions
 * @property {(place: Place) => void} onJump
 * @property {(place: Place, text: string) => void} onAlternative
 * @property {(place: Place) => void} onEdit
 * @property {(place: Place) => void} onAccept
 */

import { byId, clock, counted, element } from "./elements.js";
import { textOf } from "./transcript.js";

/** Places that are listed at once; an hour may have a thousand. */
const LISTED = 40;
/** @type {Record<string, string>} */
const REASONS = {
  high_risk_term: "high-risk term",
  sounds_like_high_risk_term: "sounds like a high-risk term",
};

export class Review {
  /** @param {Actions} actions */
  constructor(actions) {
    this.actions = actions;
    /** @type {Transcript | null} */
    this.transcript = null;
    /** @type {Place | null} */
    this.current = null;
    this.listed = LISTED;
    byId("order").addEventListener("change", () => this.update());
    byId("more-places").addEventListener("click", () => {
      this.listed += LISTED;
      this.update();
    });
  }

  /** @param {Transcript} transcript */
  show(transcript) {
    this.transcript = transcript;
    this.current = null;
    this.listed = LISTED;
    this.update();
  }

  /** Show the places as they are now. */
  update() {
    const transcript = this.transcript;
    if (transcript === null) {
      return;
    }
    const open = transcript.open;
    const shown = this.ordered(open).slice(0, this.listed);
    const focused = document.activeElement?.closest(".place") !== null;
    byId("places").replaceChildren(...shown.map((place) => this.#entry(place)));
    byId("more-places").hidden = shown.length >= open.length;
    const count = open.length > 0 ? ` (${open.length.toLocaleString("en")})` : "";
    byId("review-title").textContent = `To review${count}`;
    byId("review-hint").textContent = hintOf(open.length, transcript.places.length);
    if (focused && document.activeElement === document.body) {
      (byId("places").querySelector("button") ?? byId("words")).focus({ preventScroll: true });
    }
  }

  /**
   * Mark a place as the one that is looked at; null: none.
   * @param {Place | null} place
   */
  mark(place) {
    this.current = place;
    const open = this.transcript ? this.ordered(this.transcript.open) : [];
    const index = place ? open.indexOf(place) : -1;
    [...byId("places").children].forEach((entry, number) => entry.classList.toggle("is-current", number === index));
  }

  /** @param {Place[]} places by time */
  ordered(places) {
    if (byId("order").value === "time") {
      return places;
    }
    const urgency = (/** @type {Place} */ place) => (isRisky(place) ? 0 : 1) + (place.confidence ?? 0.5);
    return [...places].sort((one, other) => urgency(one) - urgency(other));
  }

  /** @param {Place} place */
  #entry(place) {
    const text = textOf(place.words);
    const jump = element(
      "button",
      { type: "button", class: "place-jump", click: () => this.actions.onJump(place) },
      element("span", {}, text),
      element("span", { class: "time" }, clock(place.words[0].start)),
    );
    const choices = place.alternatives.map((candidate) => {
      const shown = candidate.text || "(nothing)";
      const what = candidate.risk === "high" ? `${shown} (high risk)` : shown;
      const label = `Write “${shown}” instead of “${text}”`;
      const onClick = () => this.actions.onAlternative(place, candidate.text);
      return element("button", { type: "button", class: "alternative", "aria-label": label, click: onClick }, what);
    });
    const quiet = { type: "button", class: "quiet" };
    const right = element(
      "button",
      { ...quiet, "aria-label": `“${text}” is right`, click: () => this.actions.onAccept(place) },
      "Right",
    );
    const edit = element(
      "button",
      { ...quiet, "aria-label": `Correct “${text}”`, click: () => this.actions.onEdit(place) },
      "Correct",
    );
    const line = element(
      "div",
      { class: "place-line" },
      element("p", { class: "place-reason" }, reasonsOf(place)),
      element("span", {}, right, edit),
    );
    const kinds = ["place", ...(isRisky(place) ? ["is-risky"] : []), ...(place === this.current ? ["is-current"] : [])];
    const row = choices.length > 0 ? [element("div", { class: "row" }, ...choices)] : [];
    return element("li", { class: kinds.join(" ") }, jump, line, ...row);
  }
}

/** @param {Place} place */
function isRisky(place) {
  return place.reasons.some((reason) => reason in REASONS);
}

/** @param {Place} place */
function reasonsOf(place) {
  const risks = place.reasons.filter((reason) => reason in REASONS).map((reason) => REASONS[reason]);
  const confidence = place.confidence === null ? [] : [`confidence ${Math.round(100 * place.confidence)} %`];
  return [...risks, ...confidence].join(", ");
}

/**
 * @param {number} open
 * @param {number} all
 */
function hintOf(open, all) {
  if (all === 0) {
    return "No word is marked as uncertain. Read it all the same.";
  }
  const done = open === 0 ? "All" : `${all - open} of`;
  return `${done} ${counted(all, "place")} looked at.`;
}
