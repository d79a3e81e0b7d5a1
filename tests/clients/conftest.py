"""The server that all tests of clients share. `make clients` runs them; without its server nothing is collected."""

import os
from importlib.util import find_spec
from typing import Any

import pytest

NEEDS = {
    "test_openai.py": "openai",
    "test_openai_realtime.py": "openai",
    "test_livekit_realtime.py": "livekit",
    "test_pipecat_realtime.py": "pipecat",
    "test_litellm.py": "litellm",
    "test_pipecat.py": "pipecat",
    "test_livekit.py": "livekit",
    "test_curl.py": "pytest",
}
"""The package that each file tests; the environment of openai's second generation has openai alone.

curl is no package of an environment."""
HAS_SERVER = "SHOPTALK_CLIENTS" in os.environ

collect_ignore = [name for name, package in NEEDS.items() if not HAS_SERVER or find_spec(package) is None]


@pytest.fixture(scope="session")
def shoptalk() -> Any:
    """A `server.Server`."""
    import server

    return server.read()
