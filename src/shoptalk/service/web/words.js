/**
 * The transcript on the page: words that are clicked, chosen by keys, marked while they are played, and corrected.
 *
 * @typedef {import("./transcript.js").Word} Word
 * @typedef {import("./transcript.js").Gap} Gap
 * @typedef {import("./transcript.js").Transcript} Transcript
 *
 * @typedef {object} Actions
 * @property {(seconds: number) => void} onPlay
 * @property {(first: number, last: number, text: string) => void} onCorrect
 * @property {(words: Word[]) => void} onChoose
 */

import { clock, element } from "./elements.js";
import { beginsParagraph, LOW, paragraphs, textOf, UNCERTAIN } from "./transcript.js";

export class Words {
  /**
   * @param {HTMLElement} box
   * @param {Actions} actions
   */
  constructor(box, actions) {
    this.box = box;
    this.actions = actions;
    /** @type {Transcript | null} */
    this.transcript = null;
    /** @type {Map<Word, HTMLElement>} */
    this.spans = new Map();
    /** @type {WeakMap<Element, Word>} */
    this.wordOf = new WeakMap();
    /** The word that keys start from, and the other end of what is chosen. */
    this.cursor = 0;
    this.anchor = 0;
    /** @type {HTMLElement | null} */
    this.playing = null;
    /** @type {Word[]} by their start */
    this.byTime = [];
    /** @type {Word[]} of the paragraph that words are added to */
    this.growing = [];
    this.tail = element("span", { class: "tail" });
    box.addEventListener("click", (event) => this.#onClick(event));
    box.addEventListener("dblclick", (event) => this.#onDoubleClick(event));
    box.addEventListener("keydown", (event) => this.#onKey(event));
    box.addEventListener("mouseup", () => this.#takeSelection());
  }

  // ---- showing

  /**
   * Show a transcript, in place of what was shown.
   * @param {Transcript} transcript
   */
  show(transcript) {
    this.transcript = transcript;
    this.spans.clear();
    this.playing = null;
    const watched = watchedWords(transcript);
    let gaps = [...transcript.gaps];
    const parts = paragraphs(transcript.words).map((words) => {
      const before = gaps.filter((gap) => gap.start < words[words.length - 1].end);
      gaps = gaps.filter((gap) => !before.includes(gap));
      return this.#paragraph(words, before, watched);
    });
    if (gaps.length > 0) {
      parts.push(element("p", { class: "paragraph" }, ...gaps.map((gap) => this.#gap(gap))));
    }
    this.box.replaceChildren(...parts);
    this.byTime = transcript.words.filter((word) => word.text).sort((one, other) => one.start - other.start);
    this.cursor = Math.min(this.cursor, Math.max(0, transcript.words.length - 1));
    this.anchor = this.cursor;
    this.#showChosen();
  }

  /** Empty, ready for words that come one after the other. */
  clear() {
    this.transcript = null;
    this.spans.clear();
    this.cursor = this.anchor = 0;
    this.growing = [];
    this.box.replaceChildren();
  }

  /**
   * Add words that will not change, and what comes after them without times so far.
   * @param {Word[]} words
   * @param {import("./live.js").Tail} [tail]
   */
  add(words, tail = { stable: "", tentative: "" }) {
    const page = document.documentElement;
    const follows = page.scrollHeight - page.scrollTop - page.clientHeight < 200;
    this.tail.remove();
    for (const word of words) {
      const before = this.growing.at(-1);
      if (!before || beginsParagraph(before, word, this.growing.length)) {
        this.growing = [];
        this.box.append(this.#paragraph([], [], new Set(), word));
      }
      this.box.lastElementChild?.append(this.#span(word, new Set()), " ");
      this.growing.push(word);
    }
    this.tail.replaceChildren(`${tail.stable} `, element("span", { class: "tentative" }, tail.tentative));
    (this.box.lastElementChild ?? this.box).append(this.tail);
    if (follows) {
      page.scrollTop = page.scrollHeight;
    }
  }

  /**
   * Mark the word that is spoken at a time; the mark stays on it until the next one.
   * @param {number} seconds
   * @param {boolean} isMoving bring it into view
   */
  markPlaying(seconds, isMoving) {
    let low = 0;
    let high = this.byTime.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.byTime[middle].start <= seconds + 0.01) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    const word = low > 0 ? this.byTime[low - 1] : null;
    const span = (word && this.spans.get(word)) ?? null;
    if (span === this.playing) {
      return;
    }
    this.playing?.classList.remove("playing");
    span?.classList.add("playing");
    this.playing = span;
    if (span && isMoving && !isInView(span)) {
      span.scrollIntoView({ block: "center" });
    }
  }

  /** No word is played. */
  markNone() {
    this.playing?.classList.remove("playing");
    this.playing = null;
  }

  // ---- choosing

  /** @returns {[number, number]} the first and the last word that are chosen, with corrections whole */
  get chosen() {
    const [first, last] = [Math.min(this.cursor, this.anchor), Math.max(this.cursor, this.anchor)];
    return this.transcript && this.transcript.words.length > 0 ? this.transcript.whole(first, last) : [0, -1];
  }

  /** @returns {Word[]} */
  get chosenWords() {
    const [first, last] = this.chosen;
    return this.transcript?.words.slice(first, last + 1) ?? [];
  }

  /**
   * Choose the words from one to another and bring them into view.
   * @param {number} first
   * @param {number} [last]
   */
  choose(first, last = first) {
    this.#move(last, first);
    const word = this.transcript?.words[this.cursor];
    const span = word && this.spans.get(word);
    if (span && !isInView(span)) {
      span.scrollIntoView({ block: "center" });
    }
  }

  /**
   * @param {number} cursor
   * @param {number} anchor
   */
  #move(cursor, anchor) {
    const count = this.transcript?.words.length ?? 0;
    if (count === 0) {
      return;
    }
    this.cursor = Math.max(0, Math.min(count - 1, cursor));
    this.anchor = Math.max(0, Math.min(count - 1, anchor));
    this.#showChosen();
    this.actions.onChoose(this.chosenWords);
  }

  #showChosen() {
    for (const span of this.box.querySelectorAll(".chosen, .cursor")) {
      span.classList.remove("chosen", "cursor");
    }
    for (const word of this.chosenWords) {
      this.spans.get(word)?.classList.add("chosen");
    }
    const word = this.transcript?.words[this.cursor];
    if (word) {
      this.spans.get(word)?.classList.add("cursor");
    }
  }

  /** @param {Event} event */
  #indexAt(event) {
    const span = event.target instanceof Element ? event.target.closest(".word") : null;
    const word = span && this.wordOf.get(span);
    return word && this.transcript ? this.transcript.words.indexOf(word) : -1;
  }

  /** @param {MouseEvent} event */
  #onClick(event) {
    const index = this.#indexAt(event);
    const hasSelection = document.getSelection()?.isCollapsed === false;
    if (index < 0 || !this.transcript || hasSelection || event.detail > 1) {
      return;
    }
    if (event.shiftKey) {
      this.#move(index, this.anchor);
      return;
    }
    this.#move(index, index);
    this.actions.onPlay(this.transcript.words[index].start);
  }

  /** @param {MouseEvent} event */
  #onDoubleClick(event) {
    if (this.#indexAt(event) >= 0) {
      document.getSelection()?.removeAllRanges();
      this.edit();
    }
  }

  /** What was selected with the mouse or a finger is chosen. */
  #takeSelection() {
    const selection = document.getSelection();
    if (!this.transcript || !selection || selection.isCollapsed || !selection.rangeCount) {
      return;
    }
    const range = selection.getRangeAt(0);
    const words = this.transcript.words;
    const inside = [...this.spans].filter(([, span]) => range.intersectsNode(span));
    const known = inside.map(([word]) => words.indexOf(word)).filter((index) => index >= 0);
    if (known.length > 1) {
      this.#move(Math.max(...known), Math.min(...known));
    }
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.target !== this.box || event.altKey || event.ctrlKey || event.metaKey || !this.transcript) {
      return;
    }
    const last = this.transcript.words.length - 1;
    /** @type {Record<string, number>} */
    const targets = {
      ArrowRight: this.cursor + 1,
      ArrowLeft: this.cursor - 1,
      ArrowDown: this.#paragraphStart(1),
      ArrowUp: this.#paragraphStart(-1),
      Home: 0,
      End: last,
    };
    if (event.key in targets) {
      event.preventDefault();
      const target = Math.max(0, Math.min(last, targets[event.key]));
      this.choose(event.shiftKey ? this.anchor : target, target);
    } else if (event.key === "Enter" && last >= 0) {
      event.preventDefault();
      this.actions.onPlay(this.transcript.words[this.chosen[0]].start);
    }
  }

  /**
   * The first word of the next paragraph (1), or of this one or the one before (-1).
   * @param {number} direction
   */
  #paragraphStart(direction) {
    const words = this.transcript?.words ?? [];
    const starts = [];
    let at = 0;
    for (const paragraph of paragraphs(words)) {
      starts.push(at);
      at += paragraph.length;
    }
    const others = starts.filter((start) => (direction > 0 ? start > this.cursor : start < this.cursor));
    return (direction > 0 ? others[0] : others.at(-1)) ?? this.cursor;
  }

  // ---- correcting

  /** Correct the chosen words where they stand. */
  edit() {
    const [first, last] = this.chosen;
    const span = this.transcript && last >= first ? this.spans.get(this.transcript.words[first]) : null;
    if (!span || this.box.querySelector(".edit-field")) {
      return;
    }
    const words = this.chosenWords;
    const text = textOf(words);
    const input = /** @type {HTMLInputElement} */ (
      element("input", { type: "text", value: text, spellcheck: "true", "aria-label": `Correction of “${text}”` })
    );
    input.size = Math.max(6, text.length + 2);
    const close = () => {
      field.remove();
      for (const word of words) {
        this.spans.get(word)?.removeAttribute("hidden");
      }
      this.box.focus({ preventScroll: true });
    };
    const accept = () => {
      close();
      this.actions.onCorrect(first, last, input.value);
    };
    const field = element(
      "span",
      { class: "edit-field" },
      input,
      element("button", { type: "button", click: accept }, "Accept"),
      element("button", { type: "button", class: "second", click: close }, "Cancel"),
    );
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter" && event.target === input) {
        event.preventDefault();
        accept();
      } else if (event.key === "Escape") {
        event.preventDefault();
        close();
      }
    });
    span.before(field);
    for (const word of words) {
      this.spans.get(word)?.setAttribute("hidden", "");
    }
    input.focus();
    input.select();
  }

  // ---- elements

  /**
   * @param {Word[]} words
   * @param {Gap[]} gaps by their start
   * @param {Set<Word>} watched
   * @param {Word} [first] of a paragraph whose words are still to come
   */
  #paragraph(words, gaps, watched, first = words[0]) {
    const head = element("span", { class: "paragraph-head" });
    if (first.speaker) {
      head.append(element("span", { class: "speaker" }, first.speaker), " ");
    }
    head.append(element("span", { class: "time" }, clock(first.start)), " ");
    const side = first.channel > 0 ? "paragraph of-second" : "paragraph";
    const paragraph = element("p", { class: side }, head);
    let next = 0;
    for (const word of words) {
      while (next < gaps.length && gaps[next].start < word.start) {
        paragraph.append(this.#gap(gaps[next]), " ");
        next += 1;
      }
      paragraph.append(this.#span(word, watched), " ");
    }
    paragraph.append(...gaps.slice(next).map((gap) => this.#gap(gap)));
    return paragraph;
  }

  /**
   * @param {Word} word
   * @param {Set<Word>} watched
   */
  #span(word, watched) {
    const removed = word.correction !== null && !word.text;
    const text = removed ? textOf(word.correction?.recognised ?? []) : word.text;
    const span = element("span", { class: classOf(word, watched) }, text);
    if (word.confidence !== null && word.confidence < UNCERTAIN) {
      span.title = `confidence ${Math.round(100 * word.confidence)} %`;
    }
    this.spans.set(word, span);
    this.wordOf.set(span, word);
    return span;
  }

  /** @param {Gap} gap */
  #gap(gap) {
    const told = `speech without words, ${(gap.end - gap.start).toFixed(1)} s`;
    const onPlay = () => this.actions.onPlay(gap.start);
    return element("button", { type: "button", class: "gap", title: "Play it", click: onPlay }, told);
  }
}

/**
 * The words of places, by what became of them.
 * @param {Transcript} transcript
 */
function watchedWords(transcript) {
  return new Set(transcript.open.flatMap((place) => place.words));
}

/**
 * @param {Word} word
 * @param {Set<Word>} watched words of open places
 */
function classOf(word, watched) {
  if (word.correction !== null) {
    return word.text ? "word corrected" : "word corrected removed";
  }
  if (word.confidence !== null && word.confidence < LOW) {
    return "word low";
  }
  if (watched.has(word)) {
    return "word watched";
  }
  return word.confidence !== null && word.confidence < UNCERTAIN ? "word uncertain" : "word";
}

/** @param {Element} span */
function isInView(span) {
  const { top, bottom } = span.getBoundingClientRect();
  return top > 90 && bottom < window.innerHeight - 90;
}
