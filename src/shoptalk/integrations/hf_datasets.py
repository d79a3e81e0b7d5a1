"""Hugging Face `datasets`: folders that it saved, Parquet files, and data sets of the hub, row by row, undecoded."""

import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoptalk.core.config import environment
from shoptalk.core.disk import FULL, disk_full, naming_full_disk
from shoptalk.core.errors import HubUnreachableError, ImportFormatError, MissingToolError, ShoptalkError
from shoptalk.core.models.sources import HUB_TIMEOUT_S

_CURE = "try again where it is, or fetch the data set there and give its folder"


def rows(source: str, *, config: str | None = None, split: str = "test") -> Iterator[tuple[str, dict[str, Any]]]:
    """Where it stands (``SOURCE:NUMBER``), and the columns of each row, with the audio column as bytes or path.

    `source` is a folder made by ``save_to_disk``, a Parquet file or a folder of them, or a hub name ``OWNER/NAME``,
    which is read as a stream. Of Parquet files those whose names begin with the split are taken, if there are any.
    `HubUnreachableError` within seconds where there is no hub. Audio stays as it is written.
    """
    if not Path(source).exists():
        _reach_hub(source)
    datasets = _datasets()
    try:
        with _without_bars(datasets), naming_full_disk(Path(datasets.config.HF_DATASETS_CACHE)):
            dataset = _opened(datasets, source, config, split)
    except ShoptalkError:
        raise
    except ConnectionError as error:
        raise HubUnreachableError(f"{source}: {error}; {_CURE}") from None
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ImportFormatError(
            f"{source}: cannot be opened ({error}); if its terms have to be accepted, do that on its page and log in "
            "with `hf auth login`"
        ) from None
    column = _audio_column(datasets, dataset.features or {}, source)
    if isinstance(dataset.features[column], datasets.Audio):
        dataset = dataset.cast_column(column, datasets.Audio(decode=False))
    return _rows(dataset, column, source)


def _rows(dataset: Any, column: str, source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        for number, row in enumerate(dataset, start=1):
            held = row.pop(column)
            audio = (held.get("bytes") or held.get("path")) if isinstance(held, Mapping) else held
            yield f"{source}:{number}", row | {"audio": audio, "row": f"{number:08d}"}
    except ConnectionError as error:
        raise HubUnreachableError(f"{source}: {error}; give the same command again to go on") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise disk_full(Path(source)) from None
        raise ImportFormatError(f"{source}: cannot be read on ({error}); is a file of it broken?") from None


def _opened(datasets: Any, source: str, config: str | None, split: str) -> Any:
    path = Path(source)
    if not path.exists():
        return datasets.load_dataset(source, config, split=split, streaming=True)
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    if files and all(file.suffix == ".parquet" for file in files):
        files = [file for file in files if file.name.startswith(split)] or files
        folders = sorted({str(file.parent) for file in files})
        if len(folders) > 1:
            raise ImportFormatError(f"{source}: has Parquet files in several folders; give one: {', '.join(folders)}")
        named = [str(file) for file in files]
        return datasets.load_dataset("parquet", data_files=named, split="train", streaming=True)
    saved = datasets.load_from_disk(source)
    if isinstance(saved, datasets.DatasetDict):
        if split not in saved:
            raise ImportFormatError(f"{source}: has no split {split}; give the folder of one: {', '.join(saved)}")
        return saved[split]
    return saved


def _audio_column(datasets: Any, features: Mapping[str, Any], source: str) -> str:
    columns = [name for name, feature in features.items() if isinstance(feature, datasets.Audio)]
    if not columns:
        columns = [name for name in ("audio", "audio_filepath", "path", "file") if name in features]
    if not columns:
        raise ImportFormatError(f"{source}: has no audio column; it has {', '.join(features) or 'no columns'}")
    return columns[0]


def _reach_hub(source: str) -> None:
    """Ask the hub for a sign of life: `datasets` would try for most of a minute."""
    if source.count("/") != 1 or source.startswith((".", "/")):
        raise ImportFormatError(f"{source}: no such file or folder, and no hub name (OWNER/NAME)")
    if environment("SHOPTALK_HUB") == "off":
        raise HubUnreachableError(f"{source}: SHOPTALK_HUB is off; {_CURE}")
    endpoint = environment("HF_ENDPOINT", "https://huggingface.co")
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        urllib.request.urlopen(request, timeout=HUB_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        return  # it answers
    except (urllib.error.URLError, OSError) as error:
        raise HubUnreachableError(f"{source}: {endpoint} is not reachable ({error}); {_CURE}") from None


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingToolError("datasets is not installed; run `pip install 'shoptalk[tuning]'`") from None
    return datasets


@contextmanager
def _without_bars(datasets: Any) -> Iterator[None]:
    """No bars of its own within the block; after it they are as before."""
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
