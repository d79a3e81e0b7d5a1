"""The second peer: LitServe with Shoptalk's engine, which LitServe batches.

    python benchmarks/service/litserve_engine.py MODEL PORT [KEY=VALUE ...]

The settings are the recipe's (`engine.beam=1`, say): the engine is opened as `shoptalk serve` opens it. LitServe runs
one worker process with the model; it forms batches of up to `BATCH` requests and waits `WAIT_S` for them, over ZeroMQ.
The upload is decoded in that process too, by the function that our own service uses.
"""

import io
import sys
from pathlib import Path
from typing import Any

import litserve
from fastapi import Request

from shoptalk.core import audio, config
from shoptalk.core.records import Recognition, Samples
from shoptalk.stages.recognizers import open_engine

BATCH = 16
WAIT_S = 0.01


class Transcriptions(litserve.LitAPI):
    def __init__(self, model: Path, settings: list[str]):
        super().__init__(max_batch_size=BATCH, batch_timeout=WAIT_S, api_path="/v1/audio/transcriptions")
        self._model = model
        self._settings = settings

    def setup(self, device: str) -> None:
        section = config.changed(tuple(self._settings)).engine
        self._engine = open_engine(self._model, section, batch=BATCH)

    def decode_request(self, request: Request) -> Samples:
        form: Any = request  # LitServe hands over the form
        return audio.read(io.BytesIO(form["file"].file.read())).samples_T

    def batch(self, inputs: list[Samples]) -> list[Samples]:
        return inputs  # of unlike lengths: the engine pads them itself

    def predict(self, inputs: list[Samples]) -> list[Recognition]:
        return self._engine.recognize(inputs)

    def unbatch(self, output: list[Recognition]) -> list[Recognition]:
        return output

    def encode_response(self, output: Recognition) -> dict[str, str]:
        return {"text": output.text}


if __name__ == "__main__":
    server = litserve.LitServer(
        Transcriptions(Path(sys.argv[1]), sys.argv[3:]),
        accelerator="cpu",
        workers_per_device=1,
        timeout=60,
        healthcheck_path="/health/ready",
        fast_queue=True,
        disable_openapi_url=True,
    )
    server.run(host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", generate_client_file=False)
