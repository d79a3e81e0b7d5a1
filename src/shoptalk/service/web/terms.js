/** The words to expect, as chips: typed, pasted as a list, removed; and the vocabularies of the key. */

import { byId, counted, element } from "./elements.js";

const BETWEEN = /[\n\r\t,;]+/;

export class Terms {
  /** @param {(message: string) => void} say */
  constructor(say) {
    this.say = say;
    /** @type {string[]} */
    this.terms = [];
    /** @type {HTMLInputElement} */
    this.field = byId("term");
    this.field.addEventListener("keydown", (event) => this.#onKey(event));
    this.field.addEventListener("paste", (event) => this.#onPaste(event));
    this.field.addEventListener("input", () => {
      if (BETWEEN.test(this.field.value)) {
        this.take();
      }
    });
    byId("add-term").addEventListener("click", () => {
      this.take();
      this.field.focus();
    });
  }

  /** @returns {string[]} the vocabularies that are chosen */
  get vocabularies() {
    const boxes = byId("vocabulary-list").querySelectorAll("input:checked");
    return [...boxes].map((box) => /** @type {HTMLInputElement} */ (box).value);
  }

  /**
   * Offer the vocabularies of the key.
   * @param {string[]} names
   */
  offer(names) {
    byId("vocabularies").hidden = names.length === 0;
    const chips = names.map((name) => {
      const box = element("input", { type: "checkbox", value: name });
      return element("li", { class: "chip" }, element("label", {}, box, name));
    });
    byId("vocabulary-list").replaceChildren(...chips);
  }

  /** Take what is in the field. */
  take() {
    this.#add(this.field.value);
    this.field.value = "";
  }

  /** @param {string} list */
  #add(list) {
    const known = new Set(this.terms);
    const texts = list.split(BETWEEN).map((text) => text.trim());
    const added = [...new Set(texts)].filter((text) => text && !known.has(text));
    this.terms.push(...added);
    this.#show();
    if (added.length > 0) {
      this.say(added.length === 1 ? `${added[0]} added` : `${counted(added.length, "term")} added`);
    }
  }

  /** @param {string} term */
  #remove(term) {
    const index = this.terms.indexOf(term);
    this.terms.splice(index, 1);
    this.#show();
    const buttons = byId("terms").querySelectorAll("button");
    (buttons[Math.min(index, buttons.length - 1)] ?? this.field).focus();
    this.say(`${term} removed`);
  }

  #show() {
    const chips = this.terms.map((term) => {
      const remove = { type: "button", "aria-label": `Remove ${term}`, click: () => this.#remove(term) };
      return element("li", { class: "chip" }, term, element("button", remove, "×"));
    });
    byId("terms").replaceChildren(...chips);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.take();
    } else if (event.key === "Backspace" && !this.field.value && this.terms.length > 0) {
      this.#remove(this.terms[this.terms.length - 1]);
      this.field.focus();
    }
  }

  /** @param {ClipboardEvent} event */
  #onPaste(event) {
    const text = event.clipboardData?.getData("text") ?? "";
    if (BETWEEN.test(text.trim())) {
      event.preventDefault(); // a field of one line would lose the ends of lines
      this.#add(text);
    }
  }
}
