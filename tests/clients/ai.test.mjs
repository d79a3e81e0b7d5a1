// Vercel's AI SDK and OpenAI's client for Node, unmodified: `transcribe` sends no response_format and reads segments.
import assert from "node:assert/strict";
import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createOpenAI } from "@ai-sdk/openai";
import * as ai from "ai";
import OpenAI from "openai";

const folder = process.env.SHOPTALK_CLIENTS;
const server = JSON.parse(readFileSync(join(folder, "server.json"), "utf8"));
const short = server.recordings.short;
const path = join(folder, short.file);
const transcribe = ai.transcribe ?? ai.experimental_transcribe;

for (const model of [server.model, "whisper-1", "gpt-4o-transcribe"]) {
  test(`AI SDK: ${model}`, async () => {
    const provider = createOpenAI({ baseURL: server.base_url, apiKey: server.key });
    const answer = await transcribe({ model: provider.transcription(model), audio: readFileSync(path) });
    assert.equal(answer.text, short.text);
    assert.ok(answer.segments.length > 0);
    assert.ok(Math.abs(answer.durationInSeconds - short.duration_s) < 0.1);
  });
}

test("openai for Node: json", async () => {
  const client = new OpenAI({ baseURL: server.base_url, apiKey: server.key });
  const answer = await client.audio.transcriptions.create({ file: createReadStream(path), model: server.model });
  assert.equal(answer.text, short.text);
});

test("openai for Node: events", async () => {
  const client = new OpenAI({ baseURL: server.base_url, apiKey: server.key });
  const fields = { file: createReadStream(path), model: server.model, stream: true };
  let deltas = "";
  let done = "";
  for await (const event of await client.audio.transcriptions.create(fields)) {
    if (event.type === "transcript.text.delta") deltas += event.delta;
    if (event.type === "transcript.text.done") done = event.text;
  }
  assert.equal(done, short.text);
  assert.equal(deltas, short.text);
});

test("openai for Node: a wrong key", async () => {
  const client = new OpenAI({ baseURL: server.base_url, apiKey: "wrong" });
  const asked = client.audio.transcriptions.create({ file: createReadStream(path), model: server.model });
  await assert.rejects(asked, (error) => error.status === 401 && Boolean(error.requestID));
});
