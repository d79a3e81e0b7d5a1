"""Where recordings of jobs lie: uploaded into the store, below a folder of the server, or in S3."""

from pathlib import Path

from shoptalk.core.audio import ENDINGS
from shoptalk.core.errors import ObjectStoreError, ObjectStoreUnreachableError, StoreError
from shoptalk.core.protocols import ObjectStore
from shoptalk.service.http.intake import MIB
from shoptalk.service.http.uploads import too_large
from shoptalk.service.jobs.ledger import upload_name
from shoptalk.service.jobs.records import Claimed, Place, Result
from shoptalk.service.jobs.wanted import BESIDE, INPUT
from shoptalk.service.problems import Problem, not_ready
from shoptalk.service.settings import Settings
from shoptalk.service.store import Store

UPLOAD, FOLDER, IN_S3 = "upload", "folder", "s3"
S3_PREFIX = "s3://"
DOTS = frozenset({".", ".."})
"""Amazon takes them for names; a proxy, or a store over folders, may take them for another folder."""
OUTPUTS = {"text": ".txt", "srt": ".srt", "vtt": ".vtt"}
"""How results end that are written to S3; those of all other forms end in ``.json``."""


class Sources:
    """Finds and reads recordings; methods block."""

    def __init__(self, store: Store, settings: Settings, objects: ObjectStore | None) -> None:
        """`StoreError` for settings that name no address, or S3 without `objects`."""
        self._store = store
        self._settings = settings
        self._objects = objects
        self._allowed = tuple(address.rstrip("/") + "/" for address in settings.jobs_s3)
        for address in self._allowed:
            if not address.startswith(S3_PREFIX):
                raise StoreError("serve.jobs_s3: an address is such as s3://clinic/recordings/")
        if self._allowed and objects is None:
            raise StoreError("serve.jobs_s3: this service was started without access to S3")

    def find(self, inputs: tuple[str, ...]) -> list[Place]:
        """The recordings that addresses name, each once; `Problem` 400 says which address names none, by its number.

        An address names one recording, or with a / at its end all that are below it.
        """
        places: dict[str, Place] = {}
        for number, address in enumerate(inputs, start=1):
            in_s3 = address.startswith(S3_PREFIX)
            of_address = self._in_s3(address, number) if in_s3 else self._in_folder(address, number)
            if not of_address:
                raise _no_input(number, "names no recording")
            places |= {place.at: place for place in of_address}
            if len(places) > self._settings.jobs_files:
                raise too_many(self._settings)
        return list(places.values())

    def require_output(self, output: str) -> None:
        """`Problem` 400 if results may not be written there; beside recordings they may, where those may be read."""
        if output and output != BESIDE:
            self._require_s3(output, "output", "`output`")

    def read(self, claimed: Claimed) -> bytes:
        """A recording; `Problem` 400 if it is there no more, 413 if it is too large, 503 if S3 does not answer."""
        place = claimed.file.place
        most = int(self._settings.max_upload_mb * MIB)
        if place.bytes > most:
            raise too_large(self._settings.max_upload_mb)
        try:
            if place.kind == UPLOAD:
                return self._store.read(upload_name(claimed.job.id, claimed.file.id))
            if place.kind == FOLDER:
                content = self._below_folder(place.at).read_bytes()
            else:
                content = self._s3.read(place.at, most)
        except ObjectStoreUnreachableError:
            raise not_ready("S3 does not answer; try again") from None
        except (OSError, ObjectStoreError):
            raise Problem(400, "the recording cannot be read any more; hand it in again", code="input_gone") from None
        if len(content) > most:
            raise too_large(self._settings.max_upload_mb)
        return content

    def write(self, claimed: Claimed, form: str, result: Result) -> None:
        """Write a result to S3 where the job asks for it; again if it was written before."""
        output = claimed.options.output
        if not output:
            return
        ending = OUTPUTS.get(form, ".json")
        place = claimed.file.place
        base = place.name.replace("\\", "/").rsplit("/", 1)[-1] or "recording"
        address = place.at + ending if output == BESIDE else f"{output}{claimed.file.number:05d}-{base}{ending}"
        try:
            self._s3.write(address, result.body, result.media_type)
        except ObjectStoreUnreachableError:
            raise not_ready("S3 does not answer; try again") from None
        except ObjectStoreError:
            message = "the result cannot be written to `output`; whoever runs the server must allow that"
            raise Problem(400, message, code="output_refused") from None

    @property
    def _s3(self) -> ObjectStore:
        if self._objects is None:
            raise Problem(400, "this server has no access to S3 any more", code="input_gone")
        return self._objects

    def _in_s3(self, address: str, number: int) -> list[Place]:
        self._require_s3(address, INPUT, f"the {number}. address")
        try:
            listed = self._s3.listed(address, self._settings.jobs_files + 1)
        except ObjectStoreUnreachableError:
            raise not_ready("S3 does not answer; try again") from None
        except ObjectStoreError:
            raise _no_input(number, "cannot be read") from None
        is_folder = address.endswith("/")
        kept = [item for item in listed if not is_folder or Path(item.address).suffix.lower() in ENDINGS]
        return [Place(IN_S3, item.address, item.address, item.bytes) for item in kept]

    def _require_s3(self, address: str, param: str, named: str) -> None:
        climbs = not DOTS.isdisjoint(address.split("/"))
        if climbs or not address.startswith(self._allowed):
            there = ", ".join(self._allowed) or "nowhere: serve.jobs_s3 is empty"
            raise Problem(
                400, f"{named} lies where jobs may not go; they may go to {there}", code="input_refused", param=param
            )

    def _in_folder(self, address: str, number: int) -> list[Place]:
        root = self._root
        try:
            path = self._below_folder(address)
            if path.is_file():
                return [_place(path, root)]
            return [_place(child, root) for child in self._recordings(path)]
        except (OSError, ValueError):
            raise _no_input(number, "names nothing in the server's folder") from None

    def _recordings(self, folder: Path) -> list[Path]:
        listed: list[Path] = []
        for path in sorted(folder.rglob("*")):
            is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.suffix.lower() not in ENDINGS or is_hidden or not path.is_file():
                continue
            if path.resolve().is_relative_to(self._root):
                listed.append(path)
            if len(listed) > self._settings.jobs_files:
                break
        return listed

    @property
    def _root(self) -> Path:
        if self._settings.jobs_folder is None:
            message = "this server has no folder for jobs (serve.jobs_folder); upload the files"
            raise Problem(400, message, code="input_refused", param=INPUT)
        return self._settings.jobs_folder.resolve()

    def _below_folder(self, name: str) -> Path:
        """The path of what lies below the folder, whatever links lead there; `OSError` if it is not there."""
        path = (self._root / name).resolve(strict=True)
        if not path.is_relative_to(self._root):
            raise FileNotFoundError(name)
        return path


def too_many(settings: Settings) -> Problem:
    """400 for a job of too many files."""
    return Problem(400, f"a job has {settings.jobs_files:,} files at most; hand in several", code="too_many_files")


def _place(path: Path, root: Path) -> Place:
    name = str(path.relative_to(root))
    return Place(FOLDER, name, name, path.stat().st_size)


def _no_input(number: int, what: str) -> Problem:
    return Problem(400, f"the {number}. address of `input` {what}", code="input_not_found", param=INPUT)
