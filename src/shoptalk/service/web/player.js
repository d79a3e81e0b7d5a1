/**
 * Plays the recording: buttons, the position, and where uncertain words and gaps lie.
 *
 * @typedef {{start: number, end: number, kind: "doubt" | "gap"}} Mark in seconds
 */

import { byId, clock } from "./elements.js";

export const SKIP_S = 5;
/** The line of the recording is drawn in so many parts. */
const PARTS = 500;
const SVG = "http://www.w3.org/2000/svg";

export class Player {
  /**
   * @param {(seconds: number, isMoving: boolean) => void} onTime
   * @param {(message: string) => void} onProblem
   */
  constructor(onTime, onProblem) {
    /** @type {HTMLAudioElement} */
    this.audio = byId("audio");
    this.onTime = onTime;
    this.duration = 0;
    this.url = "";
    this.audio.addEventListener("play", () => this.#follow());
    for (const name of ["play", "pause", "ended"]) {
      this.audio.addEventListener(name, () => (byId("play").textContent = this.audio.paused ? "Play" : "Pause"));
    }
    for (const name of ["timeupdate", "seeked"]) {
      this.audio.addEventListener(name, () => this.#tell());
    }
    this.audio.addEventListener("error", () => {
      if (this.url) {
        onProblem("This browser cannot play the recording. The transcript is complete all the same.");
      }
    });
    byId("play").addEventListener("click", () => this.toggle());
    byId("back").addEventListener("click", () => this.skip(-SKIP_S));
    byId("ahead").addEventListener("click", () => this.skip(SKIP_S));
    byId("speed").addEventListener("change", () => (this.audio.playbackRate = Number(byId("speed").value)));
    byId("position").addEventListener("input", () => this.seek(Number(byId("position").value)));
  }

  /**
   * Take a recording, in place of the one before.
   * @param {Blob} recording
   */
  open(recording) {
    this.close();
    this.url = URL.createObjectURL(recording);
    this.audio.src = this.url;
    this.audio.playbackRate = Number(byId("speed").value);
  }

  /** Forget the recording. */
  close() {
    this.audio.pause();
    URL.revokeObjectURL(this.url);
    this.url = "";
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  /**
   * Say how long the recording is, and where there is something to look at.
   * @param {number} duration
   * @param {Mark[]} spans
   */
  describe(duration, spans) {
    this.duration = duration;
    byId("position").max = String(duration);
    const marked = new Map();
    for (const { start, end, kind } of spans) {
      const first = Math.floor((PARTS * start) / duration);
      const last = Math.max(first, Math.floor((PARTS * end) / duration));
      for (let part = first; part <= Math.min(last, PARTS - 1); part += 1) {
        marked.set(part, kind === "gap" ? kind : (marked.get(part) ?? kind));
      }
    }
    const drawn = [...marked].map(([part, kind]) => {
      const mark = document.createElementNS(SVG, "rect");
      const place = { x: (1000 * part) / PARTS, y: 0, width: 1000 / PARTS, height: 10, class: kind };
      Object.entries(place).forEach(([name, value]) => mark.setAttribute(name, String(value)));
      return mark;
    });
    byId("marks").replaceChildren(...drawn);
    this.#tell();
  }

  /** @param {number} seconds */
  playFrom(seconds) {
    this.seek(seconds);
    this.#start();
  }

  toggle() {
    if (this.audio.paused) {
      this.#start();
    } else {
      this.audio.pause();
    }
  }

  /** @param {number} seconds backwards below 0 */
  skip(seconds) {
    this.seek(this.audio.currentTime + seconds);
  }

  /** @param {number} seconds */
  seek(seconds) {
    this.audio.currentTime = Math.max(0, Math.min(seconds, this.duration));
    this.#tell();
  }

  #start() {
    this.audio.play().catch(() => {}); // what cannot be played is told by the event `error`
  }

  /** While it plays, words are marked with every picture of the screen: `timeupdate` comes four times a second. */
  #follow() {
    if (!this.audio.paused) {
      this.onTime(this.audio.currentTime, true);
      requestAnimationFrame(() => this.#follow());
    }
  }

  #tell() {
    const seconds = this.audio.currentTime;
    byId("position").value = String(seconds);
    byId("position").setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(this.duration)}`);
    byId("time").textContent = `${clock(seconds)} / ${clock(this.duration)}`;
    this.onTime(seconds, !this.audio.paused);
  }
}
