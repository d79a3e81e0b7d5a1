/** The audio thread of the microphone: it sends 16-bit samples, mono, and how loud they are, ten times a second. */

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.samples = new Int16Array(Math.round(sampleRate / 10));
    this.count = 0;
    this.energy = 0;
    this.isOn = true;
    this.port.onmessage = () => {
      this.isOn = false;
      this.#send();
      this.port.postMessage(null);
    };
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const [channel] = inputs[0];
    for (const value of channel ?? []) {
      const clipped = Math.max(-1, Math.min(1, value));
      this.samples[this.count] = Math.round(clipped * 32767);
      this.energy += clipped * clipped;
      this.count += 1;
      if (this.count === this.samples.length) {
        this.#send();
      }
    }
    return this.isOn;
  }

  #send() {
    const samples = this.samples.slice(0, this.count);
    const level = Math.sqrt(this.energy / Math.max(1, this.count));
    this.port.postMessage({ samples, level }, [samples.buffer]);
    this.count = 0;
    this.energy = 0;
  }
}

registerProcessor("capture", Capture);
