# Everything one does with this repository. `make` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 3
export PYTHONDONTWRITEBYTECODE ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-all check proto bench trace docs lock lint types imports manifests clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "o2c needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing what requirements-dev.lock pins (first time only) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

setup: $(STAMP) ## create .venv with everything pinned; nothing else

demo: $(STAMP) ## run real orders from submission to an agent's view of the bill
	@$(BIN)/o2c demo

up: $(STAMP) ## keep the whole suite running on loopback until Ctrl-C, for trying things by hand
	@$(BIN)/o2c up

test: $(STAMP) ## the default tests, on SQLite and a real PostgreSQL
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not slow" -q

test-all: $(STAMP) ## the default tests and the slow ones
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -q

check: lint types imports manifests ## lint, types, import rules, contract, generated files, manifests
	@$(BIN)/python -m tools.gen_protos --check
	@$(BIN)/python -m tools.check_protos
	@$(BIN)/python -m tools.gen_docs --check
	@echo "check: all good"

lint: $(STAMP) ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict
	@$(BIN)/mypy

imports: $(STAMP) ## who may import whom
	@$(BIN)/lint-imports --no-cache

manifests: $(STAMP) ## validate the Kubernetes manifests offline
	@$(BIN)/python -m tools.check_manifests

proto: $(STAMP) ## regenerate stubs, reason enums and the descriptor image
	@$(BIN)/python -m tools.gen_protos

bench: $(STAMP) ## measure, as ratios of runs side by side
	@$(BIN)/python -m bench

trace: $(STAMP) ## every scenario of the specification and the tests that show it
	@$(BIN)/python -m tools.trace

docs: $(STAMP) ## regenerate the reference pages and docs/traceability.md
	@$(BIN)/python -m tools.gen_docs

lock: $(STAMP) ## resolve the dependencies again, with hashes and without an index address
	@$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --extra dev --constraint requirements.lock --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --output-file requirements-dev.lock

clean: ## remove what the targets above made
	@rm -rf $(VENV) .o2c .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
