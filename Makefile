# Rollcall on one machine. `make` lists what there is.
SHELL := /bin/bash
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
VENV := .venv
BIN := $(VENV)/bin
ENVIRONMENT := $(VENV)/.installed
MEMBERS := $(patsubst %/pyproject.toml,%,$(wildcard libs/*/pyproject.toml services/*/pyproject.toml deploy/local/pyproject.toml))

.DEFAULT_GOAL := help
.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

# --- the platform ----------------------------------------------------------------------------

.PHONY: up down clean token logs status
up: $(ENVIRONMENT) ## start everything, wait until it is ready, print the addresses
	@$(BIN)/rollcall up

down: ## stop everything; data stays in .rollcall/
	@if [ -x $(BIN)/rollcall ]; then $(BIN)/rollcall down; else echo "Nothing runs: there is no $(VENV)."; fi

clean: ## stop everything and remove the data
	@if [ -x $(BIN)/rollcall ]; then $(BIN)/rollcall clean; else rm -rf .rollcall; fi

token: $(ENVIRONMENT) ## print the first user's bearer token (make -s token)
	@$(BIN)/rollcall token

logs: $(ENVIRONMENT) ## print the logs
	@$(BIN)/rollcall logs

status: $(ENVIRONMENT) ## who runs, which partitions each holds, lag
	@$(BIN)/rollcall status

# --- checks ----------------------------------------------------------------------------------

.PHONY: test lint types imports test-fast test-containers
# They mostly wait: for processes that start, are killed, come back. Those of one platform or more
# are in two parts of the same length, those of none are done early.
ALONE := $(addprefix tests/,house manifests observability)
OF_PLATFORMS := $(addprefix tests/,chaos e2e hanging history)
OF_ENGINES := tests/compose  # make compose-test
# The tests start processes from one in which gRPC runs, whose own support of fork makes 1 in 30
# children abort.
test test-fast: export GRPC_ENABLE_FORK_SUPPORT = 0
test: lint types imports ## every check: lint, types, import rules, all tests
	@echo "== tests: three parts at the same time, two of them shown after the first"
	@set -m; \
	  $(BIN)/pytest libs services deploy $(ALONE) > $(VENV)/alone.log 2>&1 & alone=$$!; \
	  $(BIN)/pytest $(OF_PLATFORMS) > $(VENV)/platforms.log 2>&1 & platforms=$$!; \
	  trap 'kill -INT $$alone $$platforms; wait $$alone $$platforms; exit 130' INT TERM; \
	  $(BIN)/pytest tests $(addprefix --ignore=,$(ALONE) $(OF_PLATFORMS) $(OF_ENGINES)); code=$$?; \
	  for part in alone platforms; do \
	    wait $${!part}; code=$$((code + $$?)); cat $(VENV)/$$part.log; done; \
	  exit $$code

lint: $(ENVIRONMENT) ## style
	@echo "== lint"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/buf lint

# Two services may each have a tests/conftest.py: one run for each folder of tests.
SOURCES := $(addsuffix /src,$(MEMBERS))
types: export MYPYPATH := $(subst $(eval ) ,:,$(SOURCES) tests)
types: $(ENVIRONMENT) ## static types
	@echo "== types"
	@$(BIN)/mypy $(filter-out libs/contracts/src,$(SOURCES))
	@for tests in $(wildcard $(addsuffix /tests,$(MEMBERS)) tests); do \
	  printf '%s: ' "$$tests"; $(BIN)/mypy "$$tests" || exit; done

imports: $(ENVIRONMENT) ## who may import whom
	@echo "== import rules"
	@$(BIN)/lint-imports --no-logo

test-fast: $(ENVIRONMENT) ## the unit tests alone
	@$(BIN)/pytest libs services deploy

test-containers: $(ENVIRONMENT) ## the integration tests on containers, where Docker is present
	@$(BIN)/python -W ignore -c 'import docker; docker.from_env(timeout=5).ping()' 2>/dev/null \
	  || { echo "make test-containers needs Docker, and no Docker daemon answers." >&2; exit 1; }
	@ROLLCALL_TEST_PLATFORM=containers $(BIN)/pytest tests/integration

# --- images and Compose ----------------------------------------------------------------------

.PHONY: images image-requirements compose-test
IMAGES := gateway user-management email-notification slack-notification cli
TAG ?= dev
images: ## build the images rollcall/<service>:dev (TAG, IMAGES)
	@for image in $(IMAGES); do \
	  echo "== image rollcall/$$image:$(TAG)"; \
	  docker build --quiet --file deploy/docker/Dockerfile --build-arg IMAGE=$$image \
	    --build-arg VERSION=$(TAG) --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
	    --tag rollcall/$$image:$(TAG) . || exit; \
	done

image-requirements: $(ENVIRONMENT) ## which part of the lock each image installs, anew
	@$(LONG) manifests.image_requirements

compose-test: $(ENVIRONMENT) images ## docker-compose.yml for real: build, start, journeys, also secured
	@$(BIN)/pytest tests/compose

# --- long runs, each on a platform of its own ------------------------------------------------

LONG := PYTHONPATH=tests $(BIN)/python -m
N ?= 50
MINUTES ?= 10

.PHONY: model-check races history-check crash chaos hanging upgrade bench-commands bench-consumers bench-history bench-telemetry
model-check: $(ENVIRONMENT) ## every command against a pure model: 500 runs of up to 50 steps
	@$(LONG) model.check

races: $(ENVIRONMENT) ## clients that want the same at once: one winner each
	@$(LONG) races

history-check: $(ENVIRONMENT) ## every answer about the past against a pure model: 10,000 of them (SEED)
	@$(LONG) history $(if $(SEED),--seed $(SEED))

crash: $(ENVIRONMENT) ## kill -9 everywhere, N times each, then check log and store (N=50)
	@$(LONG) faults --times $(N)

hanging: $(ENVIRONMENT) ## a mail server hangs for some recipients, for ten minutes: the others must not notice
	@$(LONG) hanging

chaos: export GRPC_ENABLE_FORK_SUPPORT = 0
chaos: $(ENVIRONMENT) ## faults of every kind everywhere, then check groups, messages, store (MINUTES=10, SEED)
	@$(LONG) chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

upgrade: $(ENVIRONMENT) ## a rolling upgrade from an earlier release to this one, under load (FROM=commit)
	@[ -n "$(FROM)" ] || { echo "make upgrade FROM=<commit or tag of the earlier release>" >&2; exit 2; }
	@$(LONG) upgrade --from $(FROM)

bench-commands: $(ENVIRONMENT) ## what a command costs, beside a conventional service
	@$(LONG) bench.commands

bench-consumers: $(ENVIRONMENT) ## what consuming costs, beside the floor and a framework
	@$(LONG) bench.consumers

bench-telemetry: $(ENVIRONMENT) ## what traces and metrics cost a request
	@$(LONG) bench.telemetry

EVENTS ?= 1000000
bench-history: $(ENVIRONMENT) ## what the past costs: moments, lists, searches, exports, rebuilds (EVENTS=1000000)
	@$(LONG) bench.history --events $(EVENTS)

# --- environment -----------------------------------------------------------------------------

$(ENVIRONMENT): requirements.lock $(addsuffix /pyproject.toml,$(MEMBERS))
	@python=$$(for p in $(PYTHON); do \
	    "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done); \
	  [ -n "$$python" ] || { echo "Rollcall needs Python 3.11 or newer and found none as: $(PYTHON). Set PYTHON=/path/to/python3.11" >&2; exit 1; }; \
	  echo "Installing the locked dependencies into $(VENV) ..." >&2; \
	  "$$python" -m venv $(VENV)
	@awk '/^[a-z]/ {on = /^uv==/} on' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ,$(MEMBERS))
	@touch $@

.PHONY: lock protos protos-baseline
lock: $(ENVIRONMENT) ## pin every dependency anew, with hashes
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	  --python-version 3.11 --group dev $(shell sed -n 's/^name = "\(rollcall-.*\)"/--no-emit-package \1/p' $(addsuffix /pyproject.toml,$(MEMBERS))) \
	  pyproject.toml -o requirements.lock

STUBS := libs/contracts/src
protos: $(ENVIRONMENT) ## generate the stubs from protos/
	@PATH=$(BIN):$$PATH $(BIN)/python -m grpc_tools.protoc -I protos --python_out=$(STUBS) \
	  --mypy_out=quiet:$(STUBS) --grpc_python_out=$(STUBS) --mypy_grpc_out=quiet:$(STUBS) \
	  protos/rollcall/*/v*/*.proto

.PHONY: crd-schemas
crd-schemas: $(ENVIRONMENT) ## the tests' schemas of custom resources, anew from their operators' (Go, Maven)
	@$(LONG) manifests.crds

BASELINE := tests/house/protos-baseline.binpb
protos-baseline: $(ENVIRONMENT) ## what the protos may no longer break: renew it on a release only
	$(BIN)/buf build --exclude-source-info -o $(BASELINE)
