// Vercel's AI SDK over the realtime API, and Node's own WebSocket, whose key stands in the subprotocol as in a browser.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createOpenAI } from "@ai-sdk/openai";
import * as ai from "ai";

const folder = process.env.SHOPTALK_CLIENTS;
const server = JSON.parse(readFileSync(join(folder, "server.json"), "utf8"));
const live = server.recordings.live;
const pcm = readFileSync(join(folder, live.file)).subarray(44);
const url = server.base_url.replace("http", "ws");
const streamTranscribe = ai.streamTranscribe ?? ai.experimental_streamTranscribe;

function* pieces(size = 4800) {
  for (let start = 0; start < pcm.length; start += size) yield pcm.subarray(start, start + size);
}

for (const model of ["gpt-realtime-whisper", "gpt-live-transcribe"]) {
  test(`AI SDK, streamed: ${model}`, async () => {
    const provider = createOpenAI({ baseURL: server.base_url, apiKey: server.key });
    const answer = streamTranscribe({
      model: provider.transcription(model),
      audio: ReadableStream.from(pieces()),
      inputAudioFormat: { type: "audio/pcm", rate: 24000 },
    });
    let deltas = "";
    for await (const part of answer.fullStream) {
      if (part.type === "transcript-delta") deltas += part.delta;
    }
    assert.equal(await answer.text, live.text);
    assert.equal(deltas, live.text);
  });
}

test("WebSocket of Node: realtime", async () => {
  const socket = new WebSocket(`${url}/realtime`, ["realtime", `openai-insecure-api-key.${server.key}`]);
  const completed = await new Promise((resolve, reject) => {
    socket.onopen = () => {
      const input = { turn_detection: null };
      socket.send(JSON.stringify({ type: "session.update", session: { type: "transcription", audio: { input } } }));
      for (const piece of pieces()) {
        socket.send(JSON.stringify({ type: "input_audio_buffer.append", audio: piece.toString("base64") }));
      }
      socket.send(JSON.stringify({ type: "input_audio_buffer.commit" }));
    };
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "error") reject(new Error(event.error.message));
      if (event.type.endsWith("transcription.completed")) resolve(event);
    };
    socket.onerror = () => reject(new Error("the socket failed"));
  });
  assert.equal(socket.protocol, "realtime");
  assert.equal(completed.transcript, live.text);
  socket.close();
});

test("WebSocket of Node: stream", async () => {
  const socket = new WebSocket(`${url}/stream?rate=24000`, ["realtime", `openai-insecure-api-key.${server.key}`]);
  const done = await new Promise((resolve, reject) => {
    socket.onopen = () => {
      for (const piece of pieces()) socket.send(piece);
      socket.send(JSON.stringify({ type: "end" }));
    };
    socket.onmessage = ({ data }) => {
      const told = JSON.parse(data);
      if (told.type === "done") resolve(told);
    };
    socket.onerror = () => reject(new Error("the socket failed"));
  });
  assert.equal(done.text, live.text);
  assert.equal(done.words.map(({ word }) => word).join(" "), live.text);
});
