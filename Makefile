# `make demo` and `make test` work in a fresh clone; `make` alone lists the rest.
.DEFAULT_GOAL := help
PYTHON_IN_VENV := .venv/bin/python
# What hangs on how numbers are multiplied and added; `make test` runs it natively, with all else.
NUMERIC_TESTS := tests/core tests/scoring tests/tuning tests/engine --ignore=tests/engine/gpu
# Two processes with a thread each: half the time on two cores, and both fit into 8 GiB.
QUICK_TESTS := OMP_NUM_THREADS=1 $(PYTHON_IN_VENV) -m pytest -q -m "not slow and not faults and not page" -n 2 --dist loadfile

.PHONY: help setup demo test test-narrowed e2e gpu-rehearsal clients soak long-audio jobs-kills page service bench-service bench-live base docs lint format types contract check lock clean

help:  ## show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup:  ## make .venv with the pinned packages (done by every other target, in a blink when nothing changed)
	@scripts/setup.sh

demo: setup  ## the whole road on recipes/demo.yaml, from a list of terms to an answer over HTTP
	.venv/bin/shoptalk demo --recipe recipes/demo.yaml --run runs/demo

test: setup  ## the quick tests
	$(QUICK_TESTS)

test-narrowed: setup  ## the numeric tests as on a processor with AVX2 alone (SHOPTALK_CPU=avx2)
	SHOPTALK_CPU=avx2 $(QUICK_TESTS) $(NUMERIC_TESTS)

e2e: setup  ## the slow tests: the demo recipe, shrunk, through the real models and the real server
	$(PYTHON_IN_VENV) -m pytest -q -m slow

gpu-rehearsal: setup  ## what a GPU is to settle, on a CPU with tiny shapes (docs/gpu.md)
	scripts/gpu_check.sh --rehearse

clients: setup  ## the clients of others, unmodified, against a real server: openai, LiteLLM, Pipecat, LiveKit, AI SDK
	$(PYTHON_IN_VENV) scripts/clients.py

soak: setup  ## 64 clients, some ill-behaved, for an hour: nothing lost, nothing grows; make soak MINUTES=10
	$(PYTHON_IN_VENV) benchmarks/service/soak.py --minutes $(or $(MINUTES),60)

long-audio: setup  ## three hours by HTTP: the text of `shoptalk transcribe`, memory bounded; make long-audio HOURS=0.5
	$(PYTHON_IN_VENV) benchmarks/service/long_audio.py --hours $(or $(HOURS),3)

jobs-kills: setup  ## jobs while processes are killed at random times, over SQLite and PostgreSQL; make jobs-kills KILLS=5
	$(PYTHON_IN_VENV) -m tests.service.jobs.kills --kills $(or $(KILLS),50)
	$(PYTHON_IN_VENV) -m tests.service.jobs.kills --kills $(or $(KILLS),50) --postgres --servers 2

page: setup  ## the pages for people in Chromium: files, microphone, keyboard, accessibility
	scripts/debian.sh chromium
	$(PYTHON_IN_VENV) -m pytest -q -m page tests/service/web tests/stages/audition

service: setup  ## the service as a whole: its faults, the clients of others, and a soak of a minute
	$(PYTHON_IN_VENV) -m pytest -q -m faults tests/service
	$(PYTHON_IN_VENV) scripts/clients.py
	$(PYTHON_IN_VENV) benchmarks/service/soak.py --minutes 1

bench-service: setup  ## the service beside NeMo under a lock and LitServe: rates, latencies (half an hour, a quiet machine)
	$(PYTHON_IN_VENV) -m pip install --quiet --no-deps --require-hashes --upgrade \
		--target .local/bench-service/litserve --requirement benchmarks/service/litserve.txt
	$(PYTHON_IN_VENV) benchmarks/service

bench-live: setup  ## live streams at the same time on a core, their delays and errors (8 minutes, a quiet machine)
	$(PYTHON_IN_VENV) benchmarks/service/streams.py

base: setup  ## train shoptalk-base-en-tiny again: make base MATERIAL=folder (models/README.md)
	@scripts/train_base.sh "$(MATERIAL)"

docs: setup  ## paste what the code knows into docs/: help, recipe keys, models, test sets
	$(PYTHON_IN_VENV) scripts/paste_docs.py

lint: setup  ## ruff: rules and format
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m ruff format --check .

format: setup  ## let ruff mend what it can
	$(PYTHON_IN_VENV) -m ruff check --fix .
	$(PYTHON_IN_VENV) -m ruff format .

types: setup  ## mypy --strict on src
	$(PYTHON_IN_VENV) -m mypy

contract: setup  ## who may import whom
	.venv/bin/lint-imports

check: lint types contract test  ## everything quick

lock: setup  ## resolve the dependencies anew into requirements/*.lock (UPGRADE=1: newest versions)
	@scripts/lock.sh

clean:  ## remove caches and build outputs (.venv and runs/ stay)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
