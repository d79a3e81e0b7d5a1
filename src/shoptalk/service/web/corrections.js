/**
 * The bar of corrections that were not sent: consent, sending, and what to do where the service keeps none.
 *
 * @typedef {import("./transcript.js").Correction} Correction
 * @typedef {import("./transcript.js").Transcript} Transcript
 */

import * as api from "./api.js";
import { ServiceError } from "./api.js";
import { byId, counted, rounded } from "./elements.js";
import { textOf } from "./transcript.js";

/** Codes of a service that has no place for corrections, or is older than them. */
const KEEPS_NONE = ["no_store", "unknown_url"];

export class Corrections {
  /**
   * @param {object} actions
   * @param {(message: string) => void} actions.say
   * @param {() => void} actions.onSent
   * @param {() => void} actions.save
   * @param {(error: ServiceError) => void} actions.needsKey
   */
  constructor(actions) {
    this.actions = actions;
    /** @type {Transcript | null} */
    this.transcript = null;
    byId("corrections").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.send();
    });
    byId("save-corrected").addEventListener("click", () => actions.save());
  }

  /** @param {Transcript} transcript */
  show(transcript) {
    this.transcript = transcript;
    const count = transcript.unsent.length;
    const local = transcript.corrections.filter((correction) => correction.isLocal).length;
    byId("corrections").hidden = count + local === 0;
    byId("undo").hidden = transcript.last === undefined;
    byId("send").hidden = count === 0;
    byId("save-corrected").hidden = true;
    const told = count > 0 ? [`${counted(count, "correction")}, not sent yet.`] : [];
    if (local > 0) {
      told.push(`${counted(local, "correction")} across pauses cannot be sent, but will be in files.`);
    }
    byId("corrections-text").textContent = told.join(" ");
    byId("send").disabled = false;
  }

  hide() {
    byId("corrections").hidden = true;
  }

  /** Send all of them, one after the other; those that were taken are not sent again. */
  async send() {
    const transcript = this.transcript;
    if (transcript === null || transcript.unsent.length === 0 || byId("send").disabled) {
      return;
    }
    byId("send").disabled = true;
    const consent = byId("consent").checked;
    const count = transcript.unsent.length;
    try {
      for (const correction of transcript.unsent) {
        await api.correct(fieldsOf(correction, transcript.requestId, consent));
        correction.isSent = true;
      }
    } catch (error) {
      this.#tell(/** @type {ServiceError} */ (error));
      return;
    }
    this.actions.onSent();
    this.actions.say(`${counted(count, "correction")} sent. Thank you.`);
    byId("words").focus({ preventScroll: true });
  }

  /** @param {ServiceError} error */
  #tell(error) {
    byId("send").disabled = false;
    if (error.status === 401) {
      this.actions.needsKey(error);
      return;
    }
    const keepsNone = KEEPS_NONE.includes(error.code);
    const message = keepsNone
      ? `This service keeps no corrections. Save the corrected text instead.`
      : `The corrections were not sent. ${error.message}`;
    byId("corrections-text").textContent = message;
    byId("save-corrected").hidden = !keepsNone;
    this.actions.say(message);
  }
}

/**
 * @param {Correction} correction
 * @param {string} requestId
 * @param {boolean} consent
 */
function fieldsOf(correction, requestId, consent) {
  const { recognised, text } = correction;
  const { offset } = recognised[0];
  return {
    request_id: recognised[0].requestId || requestId,
    text,
    consent,
    original: textOf(recognised),
    start_s: rounded(recognised[0].start - offset),
    end_s: rounded(recognised[recognised.length - 1].end - offset),
  };
}
