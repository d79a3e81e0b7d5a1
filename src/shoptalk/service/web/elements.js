/** Making and finding elements; text is always set as text, never parsed as HTML. */

/**
 * A new element.
 *
 * Of its attributes, a function listens to the event of that name, `true` has no value, and `false` is left out.
 * @param {string} tag
 * @param {Record<string, string | boolean | ((event: any) => void)>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      made.addEventListener(name, value);
    } else if (value === true) {
      made.setAttribute(name, "");
    } else if (value !== false) {
      made.setAttribute(name, value);
    }
  }
  made.append(...children);
  return made;
}

/**
 * The element of the page with this id, which must be there.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const known = document.getElementById(id);
  if (known === null) {
    throw new Error(`the page has no element "${id}"`);
  }
  return known;
}

/**
 * A time of a recording as people read it: 0:07, 12:30, 1:02:03.
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const twoDigits = (/** @type {number} */ value) => String(value).padStart(2, "0");
  return hours > 0 ? `${hours}:${twoDigits(minutes)}:${twoDigits(rest)}` : `${minutes}:${twoDigits(rest)}`;
}

/**
 * Seconds to the millisecond, as the service tells them.
 * @param {number} seconds
 */
export function rounded(seconds) {
  return Math.round(seconds * 1000) / 1000;
}

/**
 * A number with its noun: 1 word, 12 words.
 * @param {number} number
 * @param {string} noun in the singular
 */
export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
