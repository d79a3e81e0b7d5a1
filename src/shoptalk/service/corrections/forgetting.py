"""Deletion by request id: whoever keeps something of requests registers how it forgets one.

    forgetting.add("jobs", jobs.forget)

`DELETE /v1/requests/{request_id}` calls all of them, and answers with what each has deleted.
"""

from collections.abc import Callable

Forget = Callable[[str, str | None], int]
"""Deletes what was kept of a request id for a caller's id, or for all callers with None; how many things that were.

It blocks and may be called from any thread, also for ids that it does not know (0), and again for the same one. An id
is the client's own where it sent one, so several requests may have it, also of several callers.
"""


class Forgetting:
    """All places that keep something of requests."""

    def __init__(self) -> None:
        self._places: dict[str, Forget] = {}

    def add(self, name: str, forget: Forget) -> None:
        """Register a place; `name` stands in the answer, such as ``recordings``."""
        if name in self._places:
            raise ValueError(f"{name} forgets already")
        self._places[name] = forget

    def forget(self, request_id: str, caller: str | None) -> dict[str, int]:
        """What each place has deleted; the places come in the order in which they were added."""
        return {name: forget(request_id, caller) for name, forget in self._places.items()}
