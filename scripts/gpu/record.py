"""What a step found, part by part, on disk as soon as it is known."""

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Differs(Exception):
    """A part did not give what it should; the message says what it gave."""


@dataclass(frozen=True)
class Setting:
    """Where a step runs: on a GPU, or as a rehearsal on a CPU with tiny shapes."""

    rehearsed: bool

    @property
    def device(self) -> str:
        return "cpu" if self.rehearsed else "cuda"

    @property
    def size(self) -> str:
        """A key of `benchmarks.engine.gpu.SIZES`."""
        return "tiny" if self.rehearsed else "0.6b"


class Record:
    """The parts of one step, each passed or not; the file is whole after every change."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.perf_counter):
        self.path = path
        self.parts: dict[str, Any] = {}
        self._clock = clock

    def part(self, name: str, run: Callable[[], Any]) -> None:
        """Run a part; what it returns is kept as its figures, and a failure does not keep later parts from running."""
        started = self._clock()
        self.note(name, {"passed": False, "error": "it did not end"})
        try:
            figures = run()
            told: dict[str, Any] = {"passed": True}
            if figures is not None:
                told["figures"] = figures
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a part raises, the next one is tried
            traceback.print_exc()
            told = {"passed": False, "error": f"{type(error).__name__}: {error}"[:2000]}
        self.note(name, {**told, "seconds": round(self._clock() - started, 2)})
        print(f"  {name}: {self.parts[name]}"[:600], flush=True)

    def note(self, name: str, told: dict[str, Any]) -> None:
        """Write a part as it stands now."""
        self.parts[name] = told
        write_json(self.path, self.parts)


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
