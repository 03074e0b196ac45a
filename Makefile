# Two commands set everything up: `make demo` and `make test`. Python 3.11 or newer, venv and make are all they need.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check bench format clean

demo: .venv/demo
	$(BIN)/saiki adder

test: .venv/test
	$(BIN)/python -m pytest

check: .venv/check
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

bench: .venv/bench
	$(BIN)/python -m benchmarks.peers --json peers.json --tables peers.md --picture peers.png
	$(BIN)/python -m benchmarks.adder
	$(BIN)/python -m benchmarks.stream
	$(BIN)/python -m benchmarks.trees
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.kills

format: .venv/check
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf .venv

.venv/demo: EXTRA = plots
.venv/test: EXTRA = test
.venv/check: EXTRA = check
.venv/bench: EXTRA = bench
.venv/demo .venv/test .venv/check .venv/bench: pyproject.toml | $(BIN)/python
	@echo "installing saiki[$(EXTRA)] into .venv"
	$(PIP) --editable '.[$(EXTRA)]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "saiki needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
