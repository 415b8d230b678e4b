# The common tasks. `make help` lists them; `make test PYTHON=python3.13` names another Python.

PYTHON ?= python3
PYTEST_ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq -c constraints.txt
VENV := $(BIN)/python
CORE := .venv/.installed-core
DEV := .venv/.installed-dev

.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint slow bench schema docs site notebooks clean

help:  ## List these tasks
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

setup: $(DEV)  ## Make .venv with fedsim and all that its tests need

demo: $(CORE)  ## Compare five strategies on three regions with failures
	$(BIN)/fedsim compare scenarios/three-regions.yaml --out runs/demo

test: lint  ## Check style, types and layers, then run the fast tests
	$(BIN)/python -m pytest -n auto --dist loadfile $(PYTEST_ARGS)

lint: $(DEV)  ## Check style, types and layers
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-cache --no-logo

slow: $(DEV)  ## Run the slow tests
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow $(PYTEST_ARGS)

bench: $(DEV)  ## Run the benchmarks (some minutes, on a quiet machine)
	$(PIP) -e ".[dev,bench]"
	$(BIN)/python -m benchmarks

schema: $(CORE)  ## Write the scenario's JSON Schema again from the model
	$(BIN)/python -m fedsim.scenario.json_schema

docs: $(DEV)  ## Write the pictures, outputs and tables of the documentation again (some minutes)
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_api.py
	$(BIN)/python docs/make_measures.py
	$(BIN)/python docs/make_tables.py
	$(BIN)/python docs/make_strategies.py
	$(BIN)/python docs/make_pictures.py
	$(BIN)/python docs/make_outputs.py

site: $(DEV)  ## Build the documentation as a site in build/site
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -d build/doctrees docs build/site

notebooks: $(DEV)  ## Execute the notebooks in place
	$(BIN)/python notebooks/execute.py

clean:  ## Remove .venv, caches and build output; runs/ stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .benchmarks build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The installations, each repeated when what it depends on changes. setup includes the core.

$(VENV):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no $(PYTHON). Install Python 3.11 or newer, or name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "fedsim needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv || { rm -rf .venv; exit 1; }

$(CORE): $(VENV) pyproject.toml constraints.txt
	@echo "Installing fedsim into .venv (about a minute) ..."
	@$(PIP) -e .
	@touch $@

$(DEV): $(VENV) pyproject.toml constraints.txt
	@echo "Installing fedsim and the tools of its tests into .venv (two minutes or so) ..."
	@$(PIP) -e ".[dev]"
	@touch $(CORE) $@
