/**
 * The service's public API, at addresses relative to the page; every failure is a `ServiceError`.
 *
 * @typedef {object} Wishes what is asked of a transcription
 * @property {string} model empty: the default model
 * @property {string[]} terms
 * @property {string[]} vocabularies names
 * @property {string[]} speakers a name for each channel; empty: channels are mixed
 *
 * @typedef {object} Progress
 * @property {(share: number) => void} onUpload from 0 to 1
 * @property {(words: any[]) => void} onWords further words, as the service tells them
 */

const KEY = "shoptalk-api-key";
const TRANSCRIPTIONS = "v1/audio/transcriptions";
/** Answers that another try may mend. */
const BUSY = [408, 429, 502, 503, 504];
const USUAL_WAIT_S = 5;

/** An answer that is no success, or none at all (status 0); the message is a sentence for people. */
export class ServiceError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {number} retryAfterS 0: another try cannot help
   */
  constructor(status, code, message, retryAfterS = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

/**
 * The address of a path of the API, behind whatever prefix the page has.
 * @param {string} path without a slash before it
 */
export function address(path) {
  return new URL(path, document.baseURI);
}

/** The API key of this tab; empty where none was given. */
export function apiKey() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** @param {string} key empty: forget it */
export function keepApiKey(key) {
  if (key) {
    sessionStorage.setItem(KEY, key);
  } else {
    sessionStorage.removeItem(KEY);
  }
}

/**
 * The names of the models, the default one first.
 * @returns {Promise<string[]>}
 */
export async function models() {
  return named(await call("GET", "v1/models"), "id");
}

/**
 * The names of the key's vocabularies.
 * @returns {Promise<string[]>}
 */
export async function vocabularies() {
  return named(await call("GET", "v1/vocabularies"), "name");
}

/**
 * Send a correction.
 * @param {object} correction the fields of `POST /v1/corrections`
 * @returns {Promise<any>}
 */
export async function correct(correction) {
  return call("POST", "v1/corrections", correction);
}

/**
 * The transcript of a recording, the id of its request, and what had to be left out; words are told while it is made.
 * @param {Blob} recording
 * @param {Wishes} wishes
 * @param {Progress} progress
 * @param {AbortSignal} signal
 * @returns {Promise<{answer: any, requestId: string, warning: string}>}
 */
export function transcribe(recording, wishes, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch tells nothing of an upload's progress
    const events = new EventReader((told) => {
      if (told.words) {
        progress.onWords(told.words);
      }
    });
    request.open("POST", address(TRANSCRIPTIONS));
    for (const [name, value] of Object.entries(keyHeader())) {
      request.setRequestHeader(name, value);
    }
    request.upload.addEventListener("progress", (event) => progress.onUpload(event.loaded / event.total));
    request.upload.addEventListener("load", () => progress.onUpload(1));
    request.addEventListener("progress", () => {
      if (request.status === 200) {
        events.read(request.responseText);
      }
    });
    request.addEventListener("load", () => {
      const failure = request.status === 200 ? events.end(request.responseText) : null;
      if (request.status !== 200) {
        reject(errorOf(request.status, request.responseText, (name) => request.getResponseHeader(name)));
      } else if (failure) {
        reject(failure);
      } else {
        const header = (/** @type {string} */ name) => request.getResponseHeader(name) ?? "";
        resolve({ answer: events.done, requestId: header("x-request-id"), warning: header("x-shoptalk-warning") });
      }
    });
    request.addEventListener("error", () => reject(unreachable()));
    request.addEventListener("abort", () => reject(new DOMException("cancelled", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(formOf(recording, wishes));
  });
}

/** Reads server-sent events out of a text that grows. */
class EventReader {
  /** @param {(told: any) => void} onDelta */
  constructor(onDelta) {
    this.onDelta = onDelta;
    /** @type {any} */
    this.done = null;
    /** @type {any} */
    this.error = null;
    this.position = 0;
  }

  /** @param {string} text all that has come */
  read(text) {
    for (let end = text.indexOf("\n\n", this.position); end >= 0; end = text.indexOf("\n\n", this.position)) {
      const lines = text.slice(this.position, end).split("\n");
      this.position = end + 2;
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (data && data !== "[DONE]") {
        this.#take(JSON.parse(data));
      }
    }
  }

  /**
   * What is wrong with an answer that has ended; null if it is whole.
   * @param {string} text
   */
  end(text) {
    this.read(text);
    if (this.error) {
      return errorOf(500, JSON.stringify({ error: this.error }), () => null);
    }
    return this.done ? null : unreachable();
  }

  /** @param {any} told */
  #take(told) {
    if (told.error) {
      this.error = told.error;
    } else if (told.type === "transcript.text.delta") {
      this.onDelta(told);
    } else if (told.type === "transcript.text.done") {
      this.done = told;
    }
  }
}

/**
 * @param {Blob} recording
 * @param {Wishes} wishes
 */
function formOf(recording, wishes) {
  const form = new FormData();
  form.append("stream", "true");
  form.append("response_format", "verbose_json");
  form.append("timestamp_granularities[]", "word");
  form.append("timestamp_granularities[]", "segment");
  form.append("review", "true");
  if (wishes.model) {
    form.append("model", wishes.model);
  }
  if (wishes.speakers.length > 0) {
    form.append("channels", "each");
  }
  const lists = { keywords: wishes.terms, vocabulary: wishes.vocabularies, channel_names: wishes.speakers };
  for (const [name, values] of Object.entries(lists)) {
    for (const value of values) {
      form.append(`${name}[]`, value);
    }
  }
  form.append("file", recording, "recording"); // its own name may tell who was recorded
  return form;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [content]
 */
async function call(method, path, content) {
  const headers = { ...keyHeader(), ...(content ? { "content-type": "application/json" } : {}) };
  const body = content ? JSON.stringify(content) : undefined;
  const answer = await fetch(address(path), { method, headers, body, credentials: "same-origin" }).catch(() => null);
  if (answer === null) {
    throw unreachable();
  }
  const text = await answer.text();
  if (!answer.ok) {
    throw errorOf(answer.status, text, (name) => answer.headers.get(name));
  }
  return JSON.parse(text);
}

/** @returns {Record<string, string>} */
function keyHeader() {
  return apiKey() ? { authorization: `Bearer ${apiKey()}` } : {};
}

/**
 * @param {any} list
 * @param {string} field
 * @returns {string[]}
 */
function named(list, field) {
  return list.data.map((/** @type {any} */ entry) => entry[field]);
}

function unreachable() {
  return new ServiceError(0, "unreachable", "The service cannot be reached. Check the connection, then try again.");
}

/**
 * @param {number} status
 * @param {string} body
 * @param {(name: string) => string | null} header
 */
function errorOf(status, body, header) {
  let told = { message: "", code: "" };
  try {
    told = JSON.parse(body).error;
  } catch {
    // a proxy answers in a form of its own
  }
  const mayRetry = BUSY.includes(status) && header("x-should-retry") !== "false";
  const retryAfterS = mayRetry ? Number(header("retry-after")) || USUAL_WAIT_S : 0;
  return new ServiceError(status, told.code ?? "", sentence(status, told.message ?? ""), retryAfterS);
}

/**
 * A message of the service with a capital and a full stop.
 * @param {string} message
 */
export function asSentence(message) {
  return message.charAt(0).toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? "" : ".");
}

/**
 * What people can do about an error.
 * @param {number} status
 * @param {string} message the service's own
 */
function sentence(status, message) {
  if (status === 401) {
    return apiKey()
      ? "The service does not accept this API key. Check it, or ask whoever runs the service for another."
      : "The service asks for an API key. Enter it, then go on.";
  }
  if (message) {
    return asSentence(message);
  }
  if (status === 413) {
    return "The recording is too large for this service. Cut it into shorter ones.";
  }
  return `The service answered with the status ${status}. Try again; if it stays so, tell whoever runs the service.`;
}
