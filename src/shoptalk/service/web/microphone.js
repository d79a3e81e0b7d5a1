/** The microphone: samples as they are spoken, and all of them as a recording. */

import { address } from "./api.js";

/** The rate that the model takes; a browser that cannot record at it keeps the device's own. */
const WANTED_HZ = 16_000;
const HEADER_BYTES = 44;

export class Microphone {
  /**
   * @param {AudioContext} context
   * @param {MediaStream} stream
   * @param {AudioWorkletNode} node
   * @param {(samples: Int16Array, level: number) => void} onSamples level: root of the mean square, 0 to 1
   */
  constructor(context, stream, node, onSamples) {
    this.context = context;
    this.stream = stream;
    this.node = node;
    /** @type {Int16Array[]} */
    this.chunks = [];
    /** @type {() => void} */
    this.onFlushed = () => {};
    node.port.onmessage = (event) => {
      if (event.data === null) {
        this.onFlushed();
        return;
      }
      this.chunks.push(event.data.samples);
      onSamples(event.data.samples, event.data.level);
    };
  }

  /**
   * Ask for the microphone and begin; rejects with an error whose message is a sentence.
   * @param {(samples: Int16Array, level: number) => void} onSamples
   */
  static async open(onSamples) {
    if (!navigator.mediaDevices) {
      throw new Error("Browsers give the microphone only to pages over HTTPS or on this machine. Open the page so.");
    }
    const asked = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: asked }).catch((error) => {
      throw new Error(sentence(error));
    });
    const { context, source } = connected(stream);
    await context.audioWorklet.addModule(address("page/capture.js"));
    const mono = { numberOfOutputs: 0, channelCount: 1, channelCountMode: /** @type {const} */ ("explicit") };
    const node = new AudioWorkletNode(context, "capture", mono);
    const microphone = new Microphone(context, stream, node, onSamples);
    source.connect(node);
    await context.resume();
    return microphone;
  }

  get rate() {
    return this.context.sampleRate;
  }

  /** Seconds so far. */
  get duration() {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0) / this.rate;
  }

  /** Stop it; what was spoken until now has been told when this returns. */
  async close() {
    const flushed = new Promise((resolve) => (this.onFlushed = () => resolve(null)));
    this.node.port.postMessage("stop");
    await Promise.race([flushed, new Promise((resolve) => setTimeout(resolve, 500))]);
    this.stream.getTracks().forEach((track) => track.stop());
    await this.context.close();
  }

  /** All that was spoken, as WAV. */
  recording() {
    const bytes = 2 * this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    return new Blob([wavHeader(bytes, this.rate), .../** @type {BlobPart[]} */ (this.chunks)], { type: "audio/wav" });
  }
}

/** @param {MediaStream} stream */
function connected(stream) {
  const wanted = new AudioContext({ sampleRate: WANTED_HZ });
  try {
    return { context: wanted, source: wanted.createMediaStreamSource(stream) };
  } catch {
    wanted.close(); // Firefox records at the device's rate alone
    const context = new AudioContext();
    return { context, source: context.createMediaStreamSource(stream) };
  }
}

/**
 * The head of a WAV file with 16-bit mono samples.
 * @param {number} bytes of samples
 * @param {number} rate
 */
function wavHeader(bytes, rate) {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  const write = (/** @type {number} */ at, /** @type {string} */ text) =>
    [...text].forEach((letter, number) => header.setUint8(at + number, letter.charCodeAt(0)));
  write(0, "RIFF");
  header.setUint32(4, HEADER_BYTES - 8 + bytes, true);
  write(8, "WAVEfmt ");
  header.setUint32(16, 16, true); // bytes of the format
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // channels
  header.setUint32(24, rate, true);
  header.setUint32(28, 2 * rate, true); // bytes a second
  header.setUint16(32, 2, true); // bytes a sample
  header.setUint16(34, 16, true); // bits a sample
  write(36, "data");
  header.setUint32(40, bytes, true);
  return header.buffer;
}

/** @param {DOMException} error */
function sentence(error) {
  if (error.name === "NotAllowedError") {
    return "The microphone is blocked for this page. Allow it in the browser's settings, then try again.";
  }
  if (error.name === "NotFoundError") {
    return "There is no microphone. Connect one, then try again.";
  }
  return "The microphone cannot be used, perhaps because another program has it. Close that program, then try again.";
}
