# The commands that a person types; `make help` lists them.

VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 4
PYTEST := $(BIN)/python -m pytest
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help venv obtain demo test test-unit lint format bench wheel image clean clean-cache

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.installed ## make .venv with everything that developing needs

$(VENV)/.installed: setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later was not found on PATH; give it as make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

obtain: venv ## obtain the servers that the tests run (once, into ~/.cache/pillion)
	$(BIN)/pillion demo --obtain tests

demo: venv ## start the whole system on this machine and walk through it, until Ctrl-C
	$(BIN)/pillion demo

test: obtain ## run all tests that this machine can run; JOBS=n at a time, the timing-sensitive ones alone
	@status=0; \
	$(PYTEST) -n $(JOBS) --dist loadgroup -m 'not exclusive' || status=$$?; \
	$(PYTEST) -m exclusive || status=$$?; \
	exit $$status

test-unit: venv ## run the tests that need no server
	$(PYTEST) tests/unit

lint: venv ## check form, types and the direction of imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv ## put the code into its form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: venv ## measure what an agent costs beside one service: memory and idle CPU
	$(BIN)/python -m tests.bench.footprint

wheel: venv ## build dist/pillion-*.whl
	$(BIN)/python -m build --wheel

image: ## build the container image with agent and Envoy
	docker build --tag pillion:dev .

clean: ## remove what was built here
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

clean-cache: ## remove the servers that were obtained
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/pillion"
