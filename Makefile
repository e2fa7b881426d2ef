# Everything here sets itself up: a clean clone needs Python 3.11 or newer, pip and make.
.DEFAULT_GOAL := help
.PHONY: help demo docs test test-postgresql seeds check format bench guard reference lock clean
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

# The first Python that is new enough, or the one that is asked for: make test PYTHON=python3.13
CANDIDATES := python3.11 python3 python3.14 python3.13 python3.12 python
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in $(CANDIDATES); do \
	if $$python -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then echo $$python; break; fi; done)

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := requirements.lock
UV := uv==0.13.9
ARGS ?=
# Test processes side by side; JOBS=0 runs all in one, for a debugger.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
SEEDS ?= 100
FROM ?= 0

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## import, kill, recover: the bank example (ARGS="--data FILE" for your own file)
	@$(BIN)/actorium demo $(ARGS)

test: $(READY) ## run the test suite (ARGS="tests/store -x" for a part of it)
	@$(BIN)/pytest -n $(JOBS) $(ARGS)

test-postgresql: $(READY) ## run the tests that need no particular store on PostgreSQL (ARGS as above)
	@$(BIN)/pytest -n $(JOBS) --store postgresql $(ARGS)

seeds: $(READY) ## simulate clusters and services (SEEDS=100 of each scenario, FROM=0)
	@cd tests && for file in $$(grep -l '^@simulation' simulation/cluster/*.py simulation/services/*.py); do \
		../$(BIN)/actorium simulate $$file --seeds $(SEEDS) --from $(FROM) --jobs $(JOBS) || exit; done

check: $(READY) ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if ls tests/typing/*.py >/dev/null 2>&1; then set -x; $(BIN)/mypy tests/typing; fi

format: $(READY) ## format the code and fix everything that ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## run the benchmark suite (ARGS="--quick" for a first look)
	@$(BIN)/python -m benchmarks $(ARGS)

guard: $(READY) ## compare the costs of commands with the stored run
	@$(BIN)/python -m benchmarks --only cost --rounds 1 --compare benchmarks/stored

docs: $(READY) ## build the documentation's site in build/docs
	@$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
	@echo "The site is in build/docs: open build/docs/index.html"

reference: $(READY) ## write docs/reference.md from the public names and their docstrings
	@cd tests && ../$(BIN)/python -m support.reference_page

lock: .venv-lock/.ready ## resolve requirements.lock again (ARGS=--upgrade for newer versions)
	.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-config --no-emit-package actorium --custom-compile-command "make lock" $(ARGS) \
		--output-file $(LOCK) pyproject.toml

clean: ## remove the environments, caches and builds
	rm -rf $(VENV) .venv-lock build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# Two stamps: a changed lock installs it again, a changed pyproject.toml only the project itself.
$(READY): $(VENV)/.locked pyproject.toml
	@echo "Installing actorium (editable)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
		--no-build-isolation --editable .
	@touch $@

$(VENV)/.locked: $(LOCK)
	@$(MAKE) python-is-new-enough
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) from $(LOCK)"
	@$(PYTHON) -m venv $(VENV) || { \
		echo "Could not create $(VENV): is Python's venv module there (python3-venv on Debian)?" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@touch $@

.venv-lock/.ready: Makefile
	@$(MAKE) python-is-new-enough
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check "$(UV)"
	@touch $@

.PHONY: python-is-new-enough
python-is-new-enough:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; fi
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { \
		echo "$(PYTHON) is missing or older than 3.11; name another: make PYTHON=/path/to/python" >&2; exit 1; }
