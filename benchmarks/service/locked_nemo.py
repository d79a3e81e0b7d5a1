"""The first peer: a plain FastAPI server that calls NeMo's `transcribe()` under a lock, as tutorials show it.

    python benchmarks/service/locked_nemo.py MODEL PORT

NeMo's model is not thread-safe, so a lock lets one request at a time to it. The upload goes to a temporary file,
because `transcribe` takes paths. What a careful author would do is done: the route runs in FastAPI's pool of threads
and does not block the event loop, the model is in evaluation mode and warmed up, decoding is NeMo's batched greedy.
"""

import shutil
import sys
import tempfile
import threading
import wave
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, File, Form, UploadFile
from nemo.collections.asr.models import EncDecRNNTBPEModel
from omegaconf import open_dict


def load(path: Path) -> Any:
    """The model, after one second of silence."""
    model = EncDecRNNTBPEModel.restore_from(str(path), map_location="cpu")
    model.eval()
    if "validation_ds" not in model.cfg:  # which `transcribe` reads; published checkpoints have it
        with open_dict(model.cfg):
            model.cfg.validation_ds = {"use_start_end_token": False}
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        with wave.open(file.name, "wb") as silence:
            silence.setnchannels(1)
            silence.setsampwidth(2)
            silence.setframerate(16_000)
            silence.writeframes(bytes(32_000))
        model.transcribe([file.name], batch_size=1, verbose=False)
    return model


def create_app(asr_model: Any) -> FastAPI:
    app = FastAPI()
    lock = threading.Lock()

    @app.post("/v1/audio/transcriptions")
    def transcribe(file: UploadFile = File(), model: str = Form()) -> dict[str, str]:  # noqa: B008
        suffix = Path(file.filename or "audio.wav").suffix
        with tempfile.NamedTemporaryFile(suffix=suffix) as stored:
            shutil.copyfileobj(file.file, stored)
            stored.flush()
            with lock, torch.inference_mode():
                (hypothesis,) = asr_model.transcribe([stored.name], batch_size=1, verbose=False)
        return {"text": hypothesis.text}

    @app.get("/health/ready")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(load(Path(sys.argv[1]))), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
