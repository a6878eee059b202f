# The commands that a person types; `make help` lists them.

VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 4
ROUNDS ?= 9
PYTEST := $(BIN)/python -m pytest
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help venv obtain demo test test-unit test-pages test-compose test-kubernetes lint format docs chaos chaos-inbox bench bench-planning bench-fleet bench-carry bench-proxy bench-capture bench-outbox bench-commit-order bench-sizing bench-inject bench-kubernetes wheel image lock clean clean-cache

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
	$(BIN)/python -m tests.kubernetes_schemas

demo: venv ## start the whole system on this machine and walk through it, until Ctrl-C
	$(BIN)/pillion demo

test: obtain ## run all tests that this machine can run; JOBS=n at a time, the timing-sensitive ones alone
	@status=0; \
	$(PYTEST) -n $(JOBS) --dist loadgroup -m 'not exclusive' || status=$$?; \
	$(PYTEST) -m exclusive || status=$$?; \
	exit $$status

SEED ?= 0
SECONDS ?= 300
ROWS ?= 0

chaos: obtain ## break the outbox's servers and relays by a plan and judge what arrived; SEED=n repeats a plan, SECONDS=n is its length, ROWS=n adds one transaction so large
	$(BIN)/python -m tests.chaos --seed $(SEED) --seconds $(SECONDS) --rows $(ROWS)

chaos-inbox: obtain ## break inboxes, their service, broker and database by a plan; SEED and SECONDS as for chaos
	$(BIN)/python -m tests.chaos.inbox --seed $(SEED) --seconds $(SECONDS)

test-unit: venv ## run the tests that need no server
	$(PYTEST) tests/unit

test-compose: venv ## build and start the whole Compose system and try all of it; COMPOSE="docker compose" takes another Compose
	@docker info >/dev/null 2>&1 || { echo "test-compose needs a Docker engine: docker info fails, so there is none here or you may not use it." >&2; exit 1; }
	$(BIN)/python -m tests.compose.standins
	$(PYTEST) tests/compose

test-kubernetes: venv ## install the charts on a real Kubernetes and try all of it: KUBECONFIG's, else kind's, else the one beside the checkout
	@docker info >/dev/null 2>&1 || { echo "test-kubernetes needs a Docker engine, which builds the images: docker info fails." >&2; exit 1; }
	$(BIN)/python -m tests.compose.standins
	$(PYTEST) tests/kubernetes

test-pages: obtain ## type every command that README and docs show beside a real system, and compare what it prints; two minutes
	$(PYTEST) tests/pages

lint: venv ## check form, types and the direction of imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv ## put the code into its form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: venv ## write the generated pages anew: settings, metrics, alert rules, dashboard, annotations, doctor, the charts' tables and copies
	$(BIN)/python -m agent.config.docs docs/settings.md
	$(BIN)/python -m agent.metrics.documents
	$(BIN)/python -m tests.charts.generated
	$(BIN)/python -m agent.inject.docs docs/injection.md
	$(BIN)/python -m agent.doctor.docs docs/doctor.md

bench: venv ## measure what an agent costs beside one service: memory and idle CPU
	$(BIN)/python -m tests.bench.footprint

bench-planning: venv ## measure from a change in Consul to an Envoy that acts on it; table and build/bench-planning.json
	$(BIN)/python -m tests.bench.planning

bench-fleet: venv ## measure what fifty agents ask of one Consul, idle and while an instance flaps; AGENTS, SECONDS and PARTS change how
	$(BIN)/python -m tests.bench.fleet

bench-carry: venv ## measure what the carry hook adds to a request, a call and a start; JSON to build/bench-carry.json
	$(BIN)/python -m tests.bench.carry

bench-capture: venv ## measure what the triggers of outbox.changes take of a service's writes; SECONDS, ROUNDS and CLIENTS change how
	$(BIN)/python -m tests.bench.capture

bench-outbox: obtain ## measure how fast the outbox's relay is, beside the ceilings and other relays; table and build/bench-outbox.json
	$(BIN)/python -m tests.bench.outbox

bench-commit-order: venv ## measure what order: commit of an outbox table takes of a service's transactions; SECONDS, ROUNDS, CLIENTS and KEYS change how
	$(BIN)/python -m tests.bench.commit_order

bench-sizing: venv ## measure what one relay takes when idle, at steady rates and behind a backlog; SECONDS and ROWS change how
	$(BIN)/python -m tests.bench.sizing

bench-inject: venv ## measure one replica of the injector, and the offline injection of 1,000 Deployments
	$(BIN)/python -m tests.bench.injector
	$(BIN)/python -m tests.bench.inject

bench-proxy: venv ## measure Envoy as Pillion configures it beside a minimal configuration; needs wrk and nginx; ROUNDS=n, PROFILE=1 takes parts out
	ROUNDS=$(ROUNDS) PROFILE=$(PROFILE) $(BIN)/python -m tests.bench.proxy

bench-kubernetes: venv ## measure on a real Kubernetes what a sidecar adds to a pod's start, and what a rolling update loses
	$(BIN)/python -m tests.compose.standins
	$(PYTEST) tests/kubernetes/test_start.py tests/kubernetes/test_rolling.py
	@sed -n '/^## /,$$p' build/kubernetes-report.md

wheel: venv ## build dist/pillion-*.whl
	$(BIN)/python -m build --wheel

image: ## build the container image with agent and Envoy
	docker build --tag pillion:dev --build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null)" .

LOCK = build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' $(UPGRADE)

lock: ## write the images' lock files anew from what they ask for; UPGRADE=--upgrade takes the newest of everything
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOCK) --extra kafka --extra kubernetes --extra nats --extra postgres --extra rabbitmq --no-emit-package grpcio --output-file requirements/image.txt setup.cfg
	$(LOCK) --output-file requirements/build.txt requirements/build.in
	for name in inventory orders storefront; do \
		$(LOCK) --output-file compose/services/$$name/requirements.txt compose/services/$$name/requirements.in || exit 1; \
	done

clean: ## remove what was built here
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

clean-cache: ## remove the servers that were obtained
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/pillion"
