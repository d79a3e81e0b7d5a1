"""Clients of the step `service`: URL ROUNDS FILE … sends all files at once, and once more for each further round.

Prints one line of JSON: `answers` (text and seconds of each file) and `whole_s` of the last round.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

LONGEST_S = 50.0


async def asked(url: str, files: Sequence[Path], rounds: int) -> tuple[list[tuple[str, float]], float]:
    contents = [file.read_bytes() for file in files]
    limits = httpx.Limits(max_connections=len(files))

    async with httpx.AsyncClient(timeout=LONGEST_S, limits=limits) as client:

        async def ask(name: str, content: bytes, started: float) -> tuple[str, float]:
            answer = await client.post(url, files={"file": (name, content)}, data={"model": "check"})
            answer.raise_for_status()
            return str(answer.json()["text"]), time.perf_counter() - started

        answers: list[tuple[str, float]] = []
        whole_s = 0.0
        for _ in range(rounds):
            started = time.perf_counter()
            pairs = zip(files, contents, strict=True)
            answers = await asyncio.gather(*(ask(file.name, content, started) for file, content in pairs))
            whole_s = time.perf_counter() - started
    return answers, whole_s


def main() -> int:
    url, rounds, *files = sys.argv[1:]
    answers, whole_s = asyncio.run(asked(url, [Path(file) for file in files], int(rounds)))
    print(json.dumps({"answers": answers, "whole_s": round(whole_s, 4)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
