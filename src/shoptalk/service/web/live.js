/**
 * A realtime session over a WebSocket, as OpenAI's protocol has it: `v1/realtime`, transcription, server VAD.
 *
 * @typedef {import("./transcript.js").Word} Word
 *
 * @typedef {object} Tail what is not final yet
 * @property {string} stable words that will not change, but have no times yet
 * @property {string} tentative words that may still change
 *
 * @typedef {object} Handlers
 * @property {(words: any[], tail: Tail) => void} onWords further words with times, as the service tells them
 * @property {(error: ServiceError) => void} onFailure the session is over, or a stretch of speech is lost
 */

import { address, apiKey, asSentence, ServiceError } from "./api.js";

const ITEM = "conversation.item.input_audio_transcription.";
const FINISH = "finish";
/** So long the last words may take. */
const LAST_WORDS_MS = 60_000;

export class LiveSession {
  /**
   * @param {{model: string, terms: string[], vocabularies: string[], rate: number}} wishes
   * @param {Handlers} handlers
   */
  constructor(wishes, handlers) {
    this.wishes = wishes;
    this.handlers = handlers;
    /** @type {Map<string, {stable: string, tentative: string}>} items that have not ended, in their order */
    this.items = new Map();
    /** @type {Map<string, any[]>} of items that have ended before one that came earlier */
    this.ended = new Map();
    this.isFinishing = false;
    this.isCommitted = false;
    this.isOver = false;
    /** @type {ServiceError | null} what the service told last, which is why it closes */
    this.failure = null;
    /** @type {Int16Array[]} spoken before the session was there */
    this.waiting = [];
    /** @type {(value: unknown) => void} */
    this.onOver = () => {};
    const url = address("v1/realtime?intent=transcription");
    url.protocol = url.protocol.replace("http", "ws");
    const key = apiKey() ? [`openai-insecure-api-key.${apiKey()}`] : [];
    this.socket = new WebSocket(url, ["realtime", ...key]);
    this.socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    this.socket.onclose = (event) => this.#onClose(event);
  }

  /**
   * Send what was spoken.
   * @param {Int16Array} samples
   */
  send(samples) {
    if (this.socket.readyState === WebSocket.CONNECTING || this.waiting.length > 0) {
      this.waiting.push(samples);
    } else {
      this.#append(samples);
    }
  }

  /** Nothing more is spoken; resolves when all words have come. */
  async finish() {
    const over = new Promise((resolve) => (this.onOver = resolve));
    if (this.isOver) {
      return;
    }
    this.isFinishing = true;
    this.#say({ type: "input_audio_buffer.commit", event_id: FINISH });
    await Promise.race([over, new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS))]);
    this.close();
  }

  /** Leave, whatever is still to come. */
  close() {
    this.isOver = true;
    this.socket.close(1000);
  }

  /** @param {any} event */
  #take(event) {
    const id = event.item_id ?? "";
    switch (event.type) {
      case "session.created":
        this.#begin();
        break;
      case "input_audio_buffer.speech_started":
        this.#item(id);
        break;
      case "input_audio_buffer.committed":
        this.#item(id);
        this.isCommitted ||= this.isFinishing;
        break;
      case `${ITEM}delta`:
        this.#item(id).stable += event.delta;
        this.#tell([]);
        break;
      case `${ITEM}tentative`: // this service's own event
        this.#item(id).tentative = event.text;
        this.#tell([]);
        break;
      case `${ITEM}completed`:
        this.#end(id, wordsOf(event));
        break;
      case `${ITEM}failed`:
        this.#end(id, []);
        this.handlers.onFailure(errorOf(event.error));
        break;
      case "error":
        this.#onError(event.error);
        break;
    }
  }

  #begin() {
    const { model, terms, vocabularies, rate } = this.wishes;
    const transcription = { ...(model ? { model } : {}), keywords: terms, vocabulary: vocabularies };
    const input = { format: { type: "audio/pcm", rate }, transcription, turn_detection: { type: "server_vad" } };
    const include = ["item.input_audio_transcription.tentative"];
    this.#say({ type: "session.update", session: { type: "transcription", audio: { input }, include } });
    const waiting = this.waiting;
    this.waiting = [];
    waiting.forEach((samples) => this.#append(samples));
  }

  /** @param {Int16Array} samples */
  #append(samples) {
    const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
    this.#say({ type: "input_audio_buffer.append", audio: btoa(String.fromCharCode(...bytes)) });
  }

  /** @param {object} event */
  #say(event) {
    if (this.socket.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify(event));
    }
  }

  /** @param {string} id */
  #item(id) {
    const known = this.items.get(id) ?? { stable: "", tentative: "" };
    this.items.set(id, known);
    return known;
  }

  /**
   * An item has ended; its words are told once all before it have ended.
   * @param {string} id
   * @param {any[]} words
   */
  #end(id, words) {
    this.#item(id);
    this.ended.set(id, words);
    const ready = [];
    for (const known of [...this.items.keys()]) {
      const own = this.ended.get(known);
      if (own === undefined) {
        break;
      }
      ready.push(...own);
      this.items.delete(known);
      this.ended.delete(known);
    }
    this.#tell(ready);
    this.#endIfDone();
  }

  /** @param {any[]} words */
  #tell(words) {
    const tails = [...this.items.values()];
    const stable = tails.map((tail) => tail.stable.trim()).filter(Boolean).join(" ");
    const tentative = tails.map((tail) => tail.tentative.trim()).filter(Boolean).join(" ");
    this.handlers.onWords(words, { stable, tentative });
  }

  /** @param {any} error */
  #onError(error) {
    if (error.event_id === FINISH) {
      this.isCommitted = true; // nothing was left to commit
      this.#endIfDone();
    } else {
      this.failure = errorOf(error);
      this.handlers.onFailure(this.failure);
    }
  }

  #endIfDone() {
    if (this.isCommitted && this.items.size === 0) {
      this.isOver = true;
      this.onOver(null);
    }
  }

  /** @param {CloseEvent} event */
  #onClose(event) {
    if (!this.isOver) {
      this.isOver = true;
      const brokeOff = new ServiceError(0, "closed", event.reason || "The connection to the service broke off.");
      this.handlers.onFailure(this.failure ?? brokeOff);
    }
    this.onOver(null);
  }
}

/** @param {any} error */
function errorOf(error) {
  const message = error?.message ?? "a stretch of speech could not be transcribed";
  return new ServiceError(0, error?.code ?? "", asSentence(message));
}

/**
 * The words of an item. A correction names the item, and times from the item's start.
 * @param {any} completed
 */
function wordsOf(completed) {
  const own = { requestId: completed.item_id, offset: completed.start };
  return completed.words.map((/** @type {any} */ word) => ({ ...word, ...own }));
}
