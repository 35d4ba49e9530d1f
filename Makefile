# `make help` lists the targets. Needs Python 3.11 or newer with venv and pip; everything is installed into .venv.

PYTHON ?= python3
PYTEST_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-all lint format clean

help:  ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "  Variables: PYTHON=python3.12 (makes the environment), PYTEST_ARGS='-k chain' (for test and test-all)."

# Stamps: an installation is repeated only when pyproject.toml or constraints.txt is newer than the last one.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "seiko needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "'$(PYTHON)' could not make an environment. Install its venv module (on Debian and Ubuntu the package"; \
	  echo "python3-venv), or name another Python: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/.created
	@echo "Installing seiko and its tools for tests into $(VENV) (first time: some minutes) ..."
	@$(PIP) -e '.[dev]'
	@touch $@

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/.created
	@echo "Installing seiko into $(VENV) (first time: some minutes) ..."
	@$(PIP) -e '.[molecules]'
	@touch $@

venv: $(VENV)/.test  ## Make .venv with everything needed to work on seiko.

demo: $(VENV)/.demo  ## Run a small campaign from start to end.
	@$(BIN)/seiko demo

test: $(VENV)/.test  ## Style, types and the fast tests; all of them run even if one fails.
	@failed=0; $(MAKE) --no-print-directory lint || failed=1; \
	$(PYTEST) -m "not slow" || failed=1; exit $$failed

test-all: $(VENV)/.test  ## Style, types and every test, the slow ones too.
	@failed=0; $(MAKE) --no-print-directory lint || failed=1; \
	$(PYTEST) || failed=1; exit $$failed

lint: $(VENV)/.test  ## Style and types only.
	@failed=0; $(BIN)/ruff check . || failed=1; $(BIN)/ruff format --check . || failed=1; \
	$(BIN)/mypy || failed=1; exit $$failed

format: $(VENV)/.test  ## Put imports and layout in order.
	@$(BIN)/ruff check --fix-only --select I .
	@$(BIN)/ruff format .

clean:  ## Remove .venv, caches and build outputs; runs and demos stay.
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	@find src tests benchmarks recipes examples -name __pycache__ -type d -prune -exec rm -rf {} +
