# Everything runs in a virtual environment of its own, made on first use. `make PYTHON=python3.12` chooses
# the Python, `make VENV=folder` the environment.

# The first Python that is new enough; empty if there is none.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv

# The name is a checksum of what is installed, so a changed pin installs anew and a touched file does not.
STAMP := $(VENV)/installed-$(shell cat pyproject.toml constraints.txt | cksum | cut -d ' ' -f 1)

export PATH := $(abspath $(VENV))/bin:$(PATH)
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help repro study-real test test-integration test-full test-faults test-mutants ui docs lint types check install clean

help: ## List what can be made
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1#\2/p' $(MAKEFILE_LIST) | \
		while IFS='#' read -r command text; do printf '%-18s %s\n' "$$command" "$$text"; done

repro: $(STAMP) ## Run the study in params.yaml to its verdict; what is up to date is not run again
	@dvc repro

study-real: $(STAMP) ## Run the 25 studies on real data, some two hours; CELL=digits runs one: studies/real/README.md
	@dvc repro studies/real/dvc.yaml$(if $(CELL),:study@$(CELL))

test: $(STAMP) ## Run the quick tests, on up to four cores
	@python -m pytest -n auto --maxprocesses 4 --dist worksteal

test-integration: $(STAMP) ## Run the tests that start Ray, DVC, MLflow's models or a torchvision network: some minutes
	@python -m pytest -m 'integration and not slow' -n auto --maxprocesses 4 --dist worksteal

test-full: $(STAMP) ## Run the slow tests, too, and hunt longer for faults of the losses: an hour or more
	@python -m pytest --full -m 'not gpu and not browser' --ignore tests/faults -n auto --maxprocesses 4 --dist worksteal

test-faults: $(STAMP) ## Kill a study at 50 points, fill its disk, start it twice: some 15 minutes
	@python -m pytest tests/faults -m 'slow or not slow' -s

test-mutants: $(STAMP) ## Change the code in one place at a time, and see whether a test fails: hours; ONLY=losstune.training SAMPLE=40
	@python benchmarks/mutants.py $(ONLY) $(if $(SAMPLE),--sample $(SAMPLE))

ui: $(STAMP) ## Open the MLflow UI on this machine
	@losstune ui

# Without --quiet, which hides the warnings from --strict, too.
docs: $(STAMP) ## Build the documentation site into build/site; a broken link or an undocumented name ends it
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	@echo "build/site/index.html; to search it, serve it: python -m http.server --bind 127.0.0.1 --directory build/site"

lint: $(STAMP) ## Check style and formatting
	@ruff check . && ruff format --check .

types: $(STAMP) ## Check the types
	@mypy

check: lint types test ## Run lint, types and test

install: $(STAMP) ## Make the virtual environment, as every other command does when it is missing

clean: ## Remove the virtual environment and the tools' caches, but no result and no finished training
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist src/losstune.egg-info
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP):
	@if ! '$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		found=$$('$(or $(PYTHON),python3)' --version 2>/dev/null || echo no Python); \
		echo "losstune needs Python 3.11 or newer, found $$found; name one: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; fi
	@echo "Installing losstune into $(VENV): some minutes, and on Linux about 7 GB, most of it CUDA for PyTorch."
	@test -x $(VENV)/bin/pip || '$(PYTHON)' -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	@rm -f $(VENV)/installed-*
	@touch $@
