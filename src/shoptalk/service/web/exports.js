/**
 * The transcript as files: text, subtitles, JSON. They are made here, because they have the corrections.
 *
 * @typedef {import("./transcript.js").Word} Word
 * @typedef {import("./transcript.js").Transcript} Transcript
 * @typedef {{start: number, end: number, speaker: string, lines: string[]}} Cue
 */

import { rounded } from "./elements.js";
import { textOf, turns } from "./transcript.js";

/** Two lines of so many characters are a cue at most, as the service cuts subtitles, too. */
const LINE = 42;
const LONGEST_S = 7;
const SHORTEST_S = 1;
/** Silence that ends a cue. */
const PAUSE_S = 1;

/** @type {Record<string, {name: string, type: string, make: (transcript: Transcript) => string}>} */
export const FORMS = {
  srt: { name: "SRT", type: "application/x-subrip", make: srt },
  vtt: { name: "WebVTT", type: "text/vtt", make: vtt },
  txt: { name: "Text", type: "text/plain", make: (transcript) => `${transcript.text()}\n` },
  json: { name: "JSON", type: "application/json", make: json },
};

/**
 * Let the browser save a text as a file.
 * @param {string} text
 * @param {string} name
 * @param {string} type
 */
export function save(text, name, type) {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** @param {Transcript} transcript */
function srt(transcript) {
  const cues = cuesOf(transcript.words).map((cue, number) => {
    const text = cue.lines.join("\n");
    const spoken = cue.speaker ? `${cue.speaker}: ${text}` : text;
    return `${number + 1}\n${time(cue.start, ",")} --> ${time(cue.end, ",")}\n${spoken}\n`;
  });
  return cues.join("\n");
}

/** @param {Transcript} transcript */
function vtt(transcript) {
  const escaped = (/** @type {string} */ text) =>
    text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const cues = cuesOf(transcript.words).map((cue) => {
    const text = escaped(cue.lines.join("\n"));
    const spoken = cue.speaker ? `<v ${escaped(cue.speaker)}>${text}` : text;
    return `${time(cue.start, ".")} --> ${time(cue.end, ".")}\n${spoken}\n`;
  });
  return `WEBVTT\n\n${cues.join("\n")}`;
}

/** @param {Transcript} transcript */
function json(transcript) {
  const words = transcript.words.filter((word) => word.text);
  const content = {
    text: transcript.text(),
    duration: transcript.duration,
    request_id: transcript.requestId,
    words: words.map(({ text, start, end, confidence, speaker, correction }) => ({
      word: text,
      start: rounded(start),
      end: rounded(end),
      ...(confidence === null ? {} : { confidence }),
      ...(speaker ? { speaker } : {}),
      ...(correction ? { corrected: true } : {}),
    })),
    gaps: transcript.gaps,
    corrections: transcript.corrections.map(({ recognised, text }) => ({
      original: textOf(recognised),
      text,
      start: recognised[0].start,
      end: recognised[recognised.length - 1].end,
    })),
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

/**
 * Words in cues: of one speaker each, ended by a sentence, a pause, their length or their time.
 * @param {Word[]} words
 */
export function cuesOf(words) {
  /** @type {Cue[]} */
  const cues = [];
  for (const turn of turns(words.filter((word) => word.text))) {
    let first = 0;
    for (let next = 1; next <= turn.length; next += 1) {
      if (next === turn.length || endsBefore(turn.slice(first, next), turn[next])) {
        cues.push(cueOf(turn.slice(first, next)));
        first = next;
      }
    }
  }
  cues.sort((one, other) => one.start - other.start);
  cues.forEach((cue, number) => {
    const next = cues[number + 1]?.start ?? Infinity;
    cue.end = Math.min(Math.max(cue.end, cue.start + SHORTEST_S), Math.max(next, cue.start));
  });
  return cues;
}

/**
 * @param {Word[]} current
 * @param {Word} word
 */
function endsBefore(current, word) {
  const last = current[current.length - 1];
  const isFull = linesOf([...current, word]).length > 2 || word.end - current[0].start > LONGEST_S;
  return isFull || word.start - last.end >= PAUSE_S || /[.?!]$/.test(last.text);
}

/**
 * @param {Word[]} words
 * @returns {Cue}
 */
function cueOf(words) {
  const { start, speaker } = words[0];
  return { start, end: words[words.length - 1].end, speaker, lines: linesOf(words) };
}

/** @param {Word[]} words */
function linesOf(words) {
  const lines = [""];
  for (const text of words.map((word) => word.text)) {
    const longer = `${lines[lines.length - 1]} ${text}`.trim();
    if (longer.length <= LINE || !lines[lines.length - 1]) {
      lines[lines.length - 1] = longer;
    } else {
      lines.push(text);
    }
  }
  return lines;
}

/**
 * @param {number} seconds
 * @param {string} point
 */
function time(seconds, point) {
  const ms = Math.max(0, Math.round(seconds * 1000));
  const twoDigits = (/** @type {number} */ value) => String(Math.floor(value)).padStart(2, "0");
  const whole = [ms / 3_600_000, (ms / 60_000) % 60, (ms / 1000) % 60].map(twoDigits).join(":");
  return `${whole}${point}${String(ms % 1000).padStart(3, "0")}`;
}
