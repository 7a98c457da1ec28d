# Everything runs in .venv, built from requirements.lock.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# What .venv was built from; compared by content, so a fresh checkout's file times do not matter.
LOCKED := $(VENV)/requirements.lock
INSTALLED := $(VENV)/pyproject.toml
DEMO_OUT ?= demo-output
# Test processes side by side; each keeps its own numerics single-threaded.
JOBS ?= 2

.PHONY: help setup environment package demo test test-slow lint format types contracts check build lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

setup: ## build .venv from the lock (only when the lock changed)
	@cmp -s requirements.lock $(LOCKED) || $(MAKE) --no-print-directory environment
	@cmp -s pyproject.toml $(INSTALLED) || $(MAKE) --no-print-directory package

environment:
	@python=""; \
	for candidate in $${PYTHON:-python3.11 python3.12 python3.13 python3}; do \
	  if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	    2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "bsa-vision needs Python 3.11, 3.12 or 3.13, and found none on the PATH." \
	    "Install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	echo "Building $(VENV) with $$python from requirements.lock (about 6 GB, some minutes)"; \
	"$$python" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --only-binary :all: -r requirements.lock
	@cp requirements.lock $(LOCKED)

package:
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation -e .
	@cp pyproject.toml $(INSTALLED)

demo: setup ## render a small synthetic patient and score it
	$(BIN)/bsa-vision demo --out $(DEMO_OUT)

test: setup ## the tests (minutes)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test-slow: setup ## the tests marked slow
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m slow

lint: setup ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## apply the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup ## mypy, strict
	$(BIN)/mypy

contracts: setup ## which package may import which
	$(BIN)/lint-imports

check: lint types contracts test ## all of the above

build: setup ## the wheel, in dist/
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

lock: ## resolve requirements.lock anew (needs uv); keeps the versions already locked
	uv pip compile --universal --generate-hashes --all-extras --no-annotate \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	  pyproject.toml -o requirements.lock

clean: ## remove what was built, not .venv
	rm -rf build dist $(DEMO_OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis
