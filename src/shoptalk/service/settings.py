"""Every setting of the service, with its default: how it is served, never what is recognised.

Settings are no experiment. They come from a file of their own (`shoptalk serve --settings`), from `--set serve.KEY=…`,
or from the section `serve` of a recipe, which no signature covers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shoptalk.core import config, review
from shoptalk.core.errors import RecipeError
from shoptalk.core.protocols import MAX_WEIGHT
from shoptalk.core.recipe import Recipe, Section


class Settings(Section):
    """Immutable; an unknown key is an error."""

    host: str = "127.0.0.1"
    """Address to bind; other than loopback needs SHOPTALK_API_KEY or `keys_file`."""
    port: int = Field(default=8178, ge=0, le=65535)
    """Port to bind."""
    root_path: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    """Path prefix behind a reverse proxy, such as ``/speech``. The proxy may pass it on or cut it off."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of reverse proxies, whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""
    cors_origins: tuple[str, ...] = ()
    """Web pages whose scripts may use the service, such as ``https://notes.example.org``; ``*``: all."""
    tls_certificate: Path | None = None
    """Certificate chain in PEM; the service then speaks HTTPS alone."""
    tls_key: Path | None = None
    """Its private key in PEM; without, it stands in the certificate's file."""
    tls_client_ca: Path | None = None
    """Certificate authorities in PEM: only clients with a certificate of theirs are let in."""
    tls_minimum: Literal["1.2", "1.3"] = "1.2"
    """Lowest version of TLS."""
    max_connections: int = Field(default=1_000, ge=1)
    """Connections at the same time; a further one is answered 503 and closed."""
    header_timeout_s: float = Field(default=10.0, gt=0)
    """A connection on which no whole request head arrives for so long is closed."""
    answer_idle_s: float = Field(default=60.0, gt=0)
    """A client that takes nothing of its answer for so long is cut off."""
    max_upload_mb: float = Field(default=512.0, gt=0)
    """Largest upload; a larger one is answered 413. Three hours are 330 MiB as WAV at 16 kHz."""
    max_audio_s: float = Field(default=12_600.0, gt=0)
    """Longest recording; a longer one is answered 400."""
    uploads: int = Field(default=64, ge=1)
    """Requests that may be uploading or decoding at once; a further one is answered 429."""
    uploads_mb: float = Field(default=1024.0, gt=0)
    """Memory for uploads, all together; what needs more is answered 429. A single one is taken whatever its size."""
    decoders: int = Field(default=2, ge=1)
    """Threads that decode recordings."""
    decoded_audio_s: float = Field(default=25_200.0, gt=0)
    """Decoded audio in memory, all together, 64 kB a second; what needs more is answered 429. A single recording is
    taken whatever its length."""
    boost: float = Field(default=1.0, gt=0, le=MAX_WEIGHT)
    """Weight of the phrases of `keywords` and `prompt`."""
    max_phrases: int = Field(default=2_000, ge=1)
    """Phrases of one request; more are answered 400."""
    strict_fields: bool = False
    """Refuse fields that nobody knows; else a warning names them."""
    queue: int = Field(default=128, ge=1)
    """Requests that may wait; a further one is answered 429."""
    workers: int = Field(default=0, ge=0)
    """Processes for each model on a CPU, which share its cores. 0: one for each core where the model's files have at
    most 500 MB, else one. A small model in two processes transcribes twice as much as with two threads."""
    batch: int = Field(default=16, ge=1)
    """Recordings, or windows of long ones, that are recognised together."""
    batch_wait_ms: float = Field(default=10.0, ge=0)
    """How long the first recording of a batch waits for others."""
    batch_aim_ms: float = Field(default=500.0, gt=0)
    """A batch should take no longer, so that what comes meanwhile has its turn soon."""
    hang_s: float = Field(default=60.0, gt=0)
    """A worker process that is silent for so long, and for as long as its batch would play, is started anew."""
    timeout_s: float = Field(default=120.0, gt=0)
    """A request that takes longer is answered 504."""
    upload_idle_s: float = Field(default=30.0, gt=0)
    """An upload of which nothing arrives for so long is answered 408; at once with 503 when the server is to stop."""
    upload_min_kb_s: float = Field(default=1.0, ge=0)
    """An upload that is slower than this, in KiB a second after `upload_idle_s`, is answered 408."""
    upload_timeout_s: float = Field(default=3600.0, gt=0)
    """An upload that takes longer is answered 408."""
    drain_s: int = Field(default=30, ge=1)
    """When told to stop, the server lets requests in progress finish for so long."""
    live_max_s: float = Field(default=14_400.0, gt=0)
    """Longest session of a WebSocket; a longer one gets its last words and is closed."""
    live_message_mb: float = Field(default=16.0, gt=0)
    """Largest message of a WebSocket; a larger one closes it with the code 1009."""
    live_backlog_s: float = Field(default=30.0, gt=0)
    """Audio of one WebSocket that may wait for the model; with more, no further message is read meanwhile."""
    live_ping_s: float = Field(default=20.0, gt=0)
    """So often the client of a WebSocket is asked whether it is there; who does not answer for as long is cut off."""
    keys_file: Path | None = None
    """API keys with scopes and limits, made by `shoptalk keys`; in force beside SHOPTALK_API_KEY."""
    vocabularies_dir: Path | None = None
    """Folder for the vocabularies of keys, readable text; without one they are kept in memory and end with it."""
    vocabularies_per_key: int = Field(default=100, ge=1)
    """Vocabularies of one key; a further one is answered 400."""
    vocabulary_phrases: int = Field(default=1000, ge=1)
    """Phrases of one vocabulary; more are answered 400."""
    audit_file: Path | None = None
    """The audit log, JSON Lines: which key asked which model, when, for how much audio, and what came of it."""
    audit_address: bool = False
    """The audit log has the address of the client."""
    audit_max_mb: float = Field(default=100.0, gt=0)
    """An audit log of so many MiB is renamed to NAME.TIME, and a new one begun; none is deleted."""
    audit_flush: Literal["never", "every_second", "always"] = "every_second"
    """When lines of the audit log are made to reach the disk: left to the system, each second, or with each write."""
    audit_required: bool = False
    """The service is not ready while the audit log cannot be written."""
    keep_audio_dir: Path | None = None
    """Folder for recordings and transcripts of keys that agreed, encrypted; nothing is kept without it."""
    keep_audio_key: Path | None = None
    """File with the key that encrypts them: 32 bytes in base64, as `openssl rand -base64 32` gives them."""
    keep_audio_hours: float = Field(default=24.0, gt=0)
    """After so long they are deleted, also if the service was stopped meanwhile."""
    store_dir: Path | None = None
    """Folder of jobs and corrections; without one there are none. What was spoken is encrypted there, and expires."""
    store_key: Path | None = None
    """File with the key that encrypts it: 32 bytes in base64, as `openssl rand -base64 32` gives them."""
    database: str = ""
    """Database of jobs and corrections, such as ``postgresql://user@host/shoptalk``, which several servers may share;
    without, an SQLite file in `store_dir`."""
    corrections_days: float = Field(default=90.0, gt=0)
    """Corrections, and the recordings that belong to them, are deleted after so long."""
    correctable_hours: float = Field(default=168.0, gt=0)
    """So long after an answer a correction of it is taken. Until then its request id is kept, with key, model, time and
    length; never the text."""
    registry: str = ""
    """MLflow's address of the model registry, such as ``sqlite:///runs/registry.db``, in which a deletion looks for
    models that were trained on it."""
    jobs_at_once: int = Field(default=4, ge=1)
    """Files of jobs that are transcribed at once; they give way to requests and streams."""
    jobs_days: float = Field(default=7.0, gt=0)
    """A job and its results are deleted so long after its last progress."""
    jobs_files: int = Field(default=10_000, ge=1)
    """Files of one job; more are answered 400."""
    jobs_per_key: int = Field(default=100, ge=1)
    """Jobs of one key that are not over; a further one is answered 429."""
    jobs_upload_mb: float = Field(default=4096.0, gt=0)
    """Largest upload of a job, all its files together; `max_upload_mb` holds for each."""
    jobs_lease_s: float = Field(default=30.0, gt=0)
    """A file whose server says nothing for so long is transcribed by another one, or by the server's next start."""
    jobs_folder: Path | None = None
    """Folder whose recordings jobs may name; none without."""
    jobs_s3: tuple[str, ...] = ()
    """Where in S3 jobs may read and write, such as ``s3://clinic/recordings/``; nowhere without."""
    webhook_secret: Path | None = None
    """File with the secret that signs news of jobs: ``whsec_`` and 24 to 64 bytes in base64; no webhooks without."""
    webhook_networks: tuple[str, ...] = ()
    """Private networks that webhooks may go to, also by plain HTTP, such as ``10.1.0.0/16``; all public ones may."""
    metrics_key: bool = False
    """`/metrics` asks for an API key with the scope metrics."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """The figures are at `/metrics` of this port alone, without a key, for a network that only Prometheus reaches."""
    core_dumps: bool = False
    """Let a process that crashes write its memory, with the audio in it, to a file, where the system is set to."""
    models: dict[str, Path] = {}
    """Further models, bundles or `.nemo` files by the name that clients send; `--model NAME=PATH` adds one."""
    default_model: str = ""
    """The model of requests that name none, or one of OpenAI's; the first one without."""
    aliases: dict[str, str] = {}
    """Other names of models, beside OpenAI's (whisper-1, gpt-4o-transcribe …), which mean the default model."""
    strict_models: bool = False
    """Refuse aliases, OpenAI's names and requests that name no model."""
    models_folder: Path | None = None
    """Models that are swapped in lie below this folder; any path without."""
    queue_audio_s: float = Field(default=14_400.0, gt=0)
    """Audio that may be under way in one model; more is answered 429. One recording is taken whatever its length."""
    streams: int = Field(default=64, ge=1)
    """Live streams of one model at the same time; a further one is answered 429."""
    timeout_per_audio_s: float = Field(default=0.5, ge=0)
    """So much longer than `timeout_s` a request may take for each second of its audio."""
    challenger: str = ""
    """A model that also gets part of the default model's recordings, to be compared; its texts answer nobody."""
    challenger_share: float = Field(default=0.1, ge=0, le=1)
    """The part of the recordings that the challenger gets, when nothing else waits."""
    golden_check: bool = True
    """Hold what a model makes of a golden recording against its text; a model that differs does not become ready."""
    golden_recording: Path | None = None
    """A golden recording for all models, with `golden_text`; without, the bundle's own, or one that ships."""
    golden_text: str = ""
    """What the right model makes of `golden_recording`."""
    golden_max_wer: float = Field(default=0.3, ge=0)
    """Words in which a golden transcript may differ, as a part of the text's words."""
    golden_every_s: float = Field(default=60.0, ge=0)
    """How often the golden recording is transcribed again; 0: at the start only."""
    review_confidence: float = Field(default=review.CONFIDENCE, ge=0, le=1)
    """Where a review is asked for, words of lower confidence are told."""


def of_recipe(recipe: Recipe) -> Settings:
    """The settings that a recipe has in its section `serve`; `RecipeError` names a wrong key."""
    return config.validated(Settings, recipe.serve, "settings of the service", section="serve")


def read(path: Path) -> Mapping[str, Any]:
    """The keys of a settings file, as the section `serve` has them; `RecipeError` names a wrong one."""
    if not path.is_file():
        raise RecipeError(f"{path}: no such file; settings are a YAML file such as `port: 9000`")
    content = config.read_mapping(path, "settings are a mapping of keys")
    config.validated(Settings, content, str(path))
    return content
