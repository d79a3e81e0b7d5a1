/**
 * Keys for what the page can do; they act outside of fields and dialogs.
 *
 * @typedef {object} Shortcut
 * @property {string[]} keys as `KeyboardEvent.key`, the first is shown
 * @property {string} does
 * @property {() => void} act
 * @property {boolean} [withControl]
 * @property {string} [shown] instead of the first key; empty: another shortcut's entry tells of it
 */

import { byId, element } from "./elements.js";

/** What the transcript itself listens to. */
const OF_THE_TRANSCRIPT = [
  ["←", "→", "word before, word after (in the transcript)"],
  ["↑", "↓", "paragraph before, paragraph after (in the transcript)"],
  ["Shift", "→", "choose several words (in the transcript)"],
  ["Enter", "play from the word (in the transcript)"],
];
/** @type {Record<string, string>} */
const SHOWN = { " ": "Space" };

/**
 * Listen to shortcuts and list them in the dialog.
 * @param {Shortcut[]} shortcuts
 */
export function listen(shortcuts) {
  const dialog = byId("shortcuts");
  const listed = shortcuts.filter(({ shown }) => shown !== "");
  const entries = listed.map(({ keys: [key], does, withControl, shown }) => {
    const name = shown ?? SHOWN[key] ?? (key.length === 1 ? key.toUpperCase() : key);
    return entry([...(withControl ? ["Ctrl"] : []), name], does);
  });
  const others = OF_THE_TRANSCRIPT.map((parts) => entry(parts.slice(0, -1), parts[parts.length - 1]));
  byId("shortcut-list").replaceChildren(...entries.flat(), ...others.flat());
  byId("show-shortcuts").addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    const withControl = event.ctrlKey || event.metaKey;
    if (event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) {
      return;
    }
    if (!withControl && (isTaken(event) || !byId("single-keys").checked)) {
      return;
    }
    const known = shortcuts.find((shortcut) => {
      return shortcut.keys.includes(event.key) && Boolean(shortcut.withControl) === withControl;
    });
    if (known) {
      event.preventDefault();
      known.act();
    }
  });
}

/**
 * Whether the element that has the focus needs the key itself.
 * @param {KeyboardEvent} event
 */
function isTaken(event) {
  const target = event.target instanceof Element ? event.target : document.body;
  if (target.closest("select, textarea, input:not([type=checkbox], [type=radio], [type=range])")) {
    return true;
  }
  return event.key === " " && target.closest("button, input, a, label") !== null;
}

/**
 * @param {string[]} keys
 * @param {string} does
 */
function entry(keys, does) {
  const shown = keys.map((key) => element("kbd", {}, key));
  return [element("dt", {}, ...shown), element("dd", {}, does)];
}
