# `make help` lists the commands. Everything is installed into .venv and nothing else is touched.
PYTHON ?= python3
VENV ?= .venv
SHELL := /bin/bash
BIN := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# each file in one of them, the longest first
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: bench calibrate claims help docs repro test test-unit torture lint ui report clean constraints install install-test

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: install ## run the whole study of params.yaml and build the report
	@howdeep repair
	@mkdir -p scratch && touch scratch/started
	@dvc repro > /dev/null   # a line a stage; what it does and what is wrong is said elsewhere
	@[ -f reports/index.html ] || howdeep report
	@[ reports/shown.json -nt scratch/started ] || echo "nothing has changed since the last time"
	@echo "report: $(CURDIR)/reports/index.html; runs: make ui"

claims: install ## judge what is said about depth, each sentence by an experiment of its own: reports/claims.html
	@howdeep repair
	@dvc --cd claims repro > /dev/null
	@echo "report: $(CURDIR)/reports/claims.html; a single one: howdeep claim NAME"

test: test-unit ## all tests, in two processes
	python -m pytest -m slow $(IN_TWO)

test-unit: install-test ## the fast tests only, in two processes
	python -m pytest -m 'not slow' $(IN_TWO)

torture: ## all tests with all their cases: an hour of kills, full disks, hostile files; counts at its end
	HOWDEEP_TESTS=full $(MAKE) test

lint: install-test ## ruff, pyright, and the floors of the house: who may import whom
	ruff check .
	ruff format --check .
	lint-imports
	pyright

bench: install ## measure speed and scale, on an idle machine: tables and plots in benchmarks/results/
	for part in loops pipeline sweeps scale cluster deployment tables; do python -m benchmarks.$$part || exit 1; done

calibrate: install ## see how often verdicts err where the truth is known, in studies of one network: docs/calibration.md
	python -m benchmarks.calibrate

ui: install ## MLflow's UI on http://127.0.0.1:5000 (PORT=5001 for another port)
	howdeep ui --port $(or $(PORT),5000)

report: install ## rebuild reports/index.html
	howdeep report

docs: ## refresh the picture of README from the newest results
	mkdir -p docs && cp results/figures/map.svg docs/answer.svg

clean: ## remove what commands made, except the environment, the data and DVC's cache
	rm -rf reports scratch outputs multirun replication mlflow.db* mlartifacts mlruns dvc_plots .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

constraints: install-test ## pin the newest versions that pyproject.toml allows (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
	  --no-annotate --no-header --quiet -o constraints.txt
	sed -i '1i # Made by `make constraints`: one tested set of versions for Python 3.11 to 3.13.' constraints.txt

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 14) or sys.exit( \
	  "expected Python 3.11 to 3.13, got %d.%d: try make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@
