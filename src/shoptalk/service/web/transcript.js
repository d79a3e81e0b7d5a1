/**
 * A transcript: its words with times, what of it a person should look at, and the corrections. Knows no page.
 *
 * @typedef {object} Word
 * @property {string} text empty where a correction removed words
 * @property {number} start in seconds
 * @property {number} end in seconds
 * @property {number | null} confidence from 0 to 1; null where nobody knows it
 * @property {number} channel
 * @property {string} speaker empty where there is one channel
 * @property {string} requestId of what was spoken live; empty: that of the transcript
 * @property {number} offset seconds before the recording of that request
 * @property {Correction | null} correction what put it there, if it was not recognised
 *
 * @typedef {object} Candidate
 * @property {string} text
 * @property {"reading" | "term"} source
 * @property {string} [risk]
 *
 * @typedef {object} Place words that a person should look at
 * @property {Word[]} words
 * @property {string[]} reasons
 * @property {number | null} confidence
 * @property {Candidate[]} alternatives
 * @property {"open" | "accepted" | "corrected"} state
 *
 * @typedef {object} Gap speech that gave no words
 * @property {number} start
 * @property {number} end
 *
 * @typedef {object} Correction
 * @property {Word[]} recognised the words that it replaces, as they were recognised
 * @property {Word[]} words what stands in their place, at least one
 * @property {string} text
 * @property {boolean} isSent
 * @property {boolean} isLocal it spans several requests, so that it belongs to none
 */

/** A word of lower confidence is uncertain, and below `LOW` it is to be looked at. */
export const UNCERTAIN = 0.85;
export const LOW = 0.7;
/** Silence, in seconds, and numbers of words, that begin a new paragraph. */
const PAUSE_S = 2;
const LONG = 70;
const TOO_LONG = 160;
/** Times in answers have three decimals. */
const NEAR_S = 0.002;

export class Transcript {
  constructor() {
    /** @type {Word[]} in the order in which they are read */
    this.words = [];
    /** @type {Gap[]} */
    this.gaps = [];
    /** @type {Place[]} in the order of time */
    this.places = [];
    /** @type {Correction[]} in the order in which they were made */
    this.corrections = [];
    this.duration = 0;
    /** Whether the service looked for places, and for what else may stand there. */
    this.isReviewed = false;
    /** Of the answer that it came in; corrections name it. */
    this.requestId = "";
  }

  /**
   * The transcript of an answer in the form of verbose_json, with words, segments and review.
   * @param {any} answer
   * @param {string} requestId
   */
  static of(answer, requestId) {
    const transcript = new Transcript();
    transcript.requestId = requestId;
    transcript.duration = answer.duration ?? 0;
    transcript.words = inTurns((answer.words ?? []).map(wordOf), answer.segments ?? []);
    transcript.gaps = answer.gaps ?? [];
    transcript.isReviewed = Boolean(answer.review);
    transcript.places = answer.review ? placesOf(answer.review, transcript.words) : lowOf(transcript.words);
    return transcript;
  }

  /** Take words of low confidence as places to look at, where no review was made. */
  watchLow() {
    this.places = lowOf(this.words);
  }

  /** The text as it stands: of several speakers, each turn is a line that begins with the name. */
  text() {
    const lines = turns(this.words).map((turn) => {
      const text = textOf(turn);
      return turn[0].speaker ? `${turn[0].speaker}: ${text}` : text;
    });
    return lines.join("\n");
  }

  /** @returns {Correction[]} that can be sent */
  get unsent() {
    return this.corrections.filter((correction) => !correction.isSent && !correction.isLocal);
  }

  /** @returns {Correction | undefined} that can be taken back */
  get last() {
    return this.corrections.filter((correction) => !correction.isSent).at(-1);
  }

  /** @returns {Place[]} */
  get open() {
    return this.places.filter((place) => place.state === "open");
  }

  /**
   * Write `text` in the place of some words that follow each other; null if that changes nothing.
   *
   * A correction is replaced whole: its words keep no times of their own.
   * @param {number} first of the words that are replaced
   * @param {number} last the last of them
   * @param {string} text
   * @returns {Correction | null}
   */
  correct(first, last, text) {
    [first, last] = this.whole(first, last);
    const replaced = this.words.slice(first, last + 1);
    const clean = text.split(/\s+/).filter(Boolean).join(" ");
    if (clean === textOf(replaced)) {
      return null;
    }
    const earlier = new Set(replaced.map((word) => word.correction).filter((known) => known !== null));
    const recognised = replaced.flatMap((word) => this.#recognisedFor(word));
    this.corrections = this.corrections.filter((known) => !earlier.has(known));
    const isLocal = recognised.some((word) => word.requestId !== recognised[0].requestId);
    /** @type {Correction} */
    const correction = { recognised, words: [], text: clean, isSent: false, isLocal };
    const isAsRecognised = clean === textOf(recognised);
    correction.words = isAsRecognised ? recognised : spread(clean, recognised, correction);
    this.words.splice(first, replaced.length, ...correction.words);
    this.#mark(recognised, isAsRecognised ? "open" : "corrected");
    if (!isAsRecognised) {
      this.corrections.push(correction);
    }
    return correction;
  }

  /**
   * Take the last correction back that was not sent; null if there is none.
   * @returns {Correction | null}
   */
  undo() {
    const correction = this.last;
    if (correction === undefined) {
      return null;
    }
    const first = this.words.indexOf(correction.words[0]);
    this.words.splice(first, correction.words.length, ...correction.recognised);
    this.corrections = this.corrections.filter((known) => known !== correction);
    this.#mark(correction.recognised, "open");
    return correction;
  }

  /**
   * The range made so wide that it holds every correction whole.
   * @param {number} first
   * @param {number} last
   * @returns {[number, number]}
   */
  whole(first, last) {
    const begins = this.words[first].correction;
    const ends = this.words[last].correction;
    while (begins && first > 0 && this.words[first - 1].correction === begins) {
      first -= 1;
    }
    while (ends && last + 1 < this.words.length && this.words[last + 1].correction === ends) {
      last += 1;
    }
    return [first, last];
  }

  /**
   * What was recognised where a word stands: itself, or, for the first word of a correction, all that it replaced.
   * @param {Word} word
   */
  #recognisedFor(word) {
    if (word.correction === null) {
      return [word];
    }
    return word === word.correction.words[0] ? word.correction.recognised : [];
  }

  /**
   * @param {Word[]} recognised
   * @param {Place["state"]} state
   */
  #mark(recognised, state) {
    const known = new Set(recognised);
    for (const place of this.places) {
      if (place.words.some((word) => known.has(word))) {
        place.state = state;
      }
    }
  }
}

/**
 * Words as one text.
 * @param {Word[]} words
 */
export function textOf(words) {
  return words.map((word) => word.text).filter(Boolean).join(" ");
}

/**
 * Words cut where the speaker changes.
 * @param {Word[]} words
 */
export function turns(words) {
  return cut(words, (before, word) => before.channel !== word.channel);
}

/**
 * Words cut into paragraphs: at turns, pauses, and ends of sentences once there are enough.
 * @param {Word[]} words
 */
export function paragraphs(words) {
  return cut(words, (before, word, count) => beginsParagraph(before, word, count));
}

/**
 * Whether a word begins a paragraph.
 * @param {Word} before
 * @param {Word} word
 * @param {number} count words of the paragraph so far
 */
export function beginsParagraph(before, word, count) {
  const isPause = word.start - before.end >= PAUSE_S;
  const isSentence = /[.?!]$/.test(before.text);
  return before.channel !== word.channel || isPause || (isSentence && count >= LONG) || count >= TOO_LONG;
}

/**
 * @param {Word[]} words
 * @param {(before: Word, word: Word, count: number) => boolean} isBorder
 * @returns {Word[][]}
 */
function cut(words, isBorder) {
  /** @type {Word[][]} */
  const parts = [];
  for (const word of words) {
    const current = parts.at(-1);
    const before = current?.at(-1);
    if (current && before && !isBorder(before, word, current.length)) {
      current.push(word);
    } else {
      parts.push([word]);
    }
  }
  return parts;
}

/**
 * A word as the service tells it.
 * @param {any} told
 * @returns {Word}
 */
export function wordOf(told) {
  return {
    text: told.word,
    start: told.start,
    end: told.end,
    confidence: told.confidence ?? null,
    channel: told.channel ?? 0,
    speaker: told.speaker ?? "",
    requestId: told.requestId ?? "",
    offset: told.offset ?? 0,
    correction: null,
  };
}

/**
 * The words of each channel.
 * @param {Word[]} words
 * @returns {Map<number, Word[]>}
 */
function byChannel(words) {
  const ofChannel = new Map();
  for (const word of words) {
    const own = ofChannel.get(word.channel) ?? [];
    own.push(word);
    ofChannel.set(word.channel, own);
  }
  return ofChannel;
}

/**
 * Words of several channels in the order of their sentences, so that nobody is cut off in the middle of one.
 * @param {Word[]} words by their start
 * @param {any[]} segments by their start, each with the words of one channel
 */
function inTurns(words, segments) {
  const ofChannel = byChannel(words);
  if (ofChannel.size < 2) {
    return words;
  }
  const taken = new Map();
  const ordered = [];
  for (const segment of segments) {
    const channel = segment.channel ?? 0;
    const own = ofChannel.get(channel) ?? [];
    let next = taken.get(channel) ?? 0;
    while (next < own.length && own[next].start <= segment.end - NEAR_S) {
      ordered.push(own[next]);
      next += 1;
    }
    taken.set(channel, next);
  }
  for (const [channel, own] of ofChannel) {
    ordered.push(...own.slice(taken.get(channel) ?? 0));
  }
  return ordered;
}

/**
 * The places of an answer's review.
 * @param {any[]} review
 * @param {Word[]} words
 * @returns {Place[]}
 */
function placesOf(review, words) {
  const ofChannel = byChannel(words);
  const next = new Map();
  const places = [];
  for (const told of review) {
    const channel = told.channel ?? 0;
    const own = ofChannel.get(channel) ?? [];
    let at = next.get(channel) ?? 0;
    while (at < own.length && own[at].start < told.start - NEAR_S) {
      at += 1;
    }
    let end = at + 1;
    while (end < own.length && own[end].start < told.end - NEAR_S) {
      end += 1;
    }
    next.set(channel, end);
    const placed = own.slice(at, end);
    if (placed.length > 0) {
      const { reasons, confidence = null, alternatives = [] } = told;
      places.push({ words: placed, reasons, confidence, alternatives, state: /** @type {const} */ ("open") });
    }
  }
  return places;
}

/**
 * Places where no review was made: words of low confidence.
 * @param {Word[]} words
 * @returns {Place[]}
 */
function lowOf(words) {
  const low = words.filter((word) => word.confidence !== null && word.confidence < LOW);
  return low.map((word) => ({
    words: [word],
    reasons: ["low_confidence"],
    confidence: word.confidence,
    alternatives: [],
    state: "open",
  }));
}

/**
 * The words of a correction over the time of those that it replaces.
 * @param {string} text
 * @param {Word[]} recognised
 * @param {Correction} correction
 * @returns {Word[]}
 */
function spread(text, recognised, correction) {
  const start = recognised[0].start;
  const end = recognised[recognised.length - 1].end;
  const texts = text.split(" "); // an empty text is one word without letters
  const step = (end - start) / texts.length;
  const { channel, speaker, requestId, offset } = recognised[0];
  return texts.map((own, number) => ({
    text: own,
    start: start + number * step,
    end: start + (number + 1) * step,
    confidence: null,
    channel,
    speaker,
    requestId,
    offset,
    correction,
  }));
}
