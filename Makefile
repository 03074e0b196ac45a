# Two commands set everything up: `make demo` and `make test`. Python 3.11 or newer, venv and make are all they need.
PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# Each PYTHON that is asked for has an environment of its own, such as .venv-3.12.
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(VERSION))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-cell check check-oldest bench format clean

demo: $(VENV)/demo
	$(BIN)/saiki adder

test: $(VENV)/test
	$(BIN)/python -m pytest

# The tests of one cell: make test-cell CELL=gru
test-cell: $(VENV)/test
	$(BIN)/python -m pytest tests -k '$(or $(CELL),$(error name a cell: make test-cell CELL=gru)) or is_pinned or table_of_cells'

check: $(VENV)/check
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

# The tests with the lowest Python and the lowest versions that pyproject.toml declares.
check-oldest:
	$(MAKE) test VENV=.venv-oldest CONSTRAINTS=.venv-oldest/constraints.txt \
	  PYTHON=python$$(sed -n 's/^requires-python = ">=\(.*\)"/\1/p' pyproject.toml)

bench: $(VENV)/bench
	$(BIN)/python -m benchmarks.peers --json peers.json --tables peers.md --picture peers.png
	$(BIN)/python -m benchmarks.adder
	$(BIN)/python -m benchmarks.stream
	$(BIN)/python -m benchmarks.trees
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.kills

format: $(VENV)/check
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf .venv .venv-*

$(VENV)/demo: EXTRA = plots
$(VENV)/test: EXTRA = test
$(VENV)/check: EXTRA = check
$(VENV)/bench: EXTRA = bench
$(VENV)/demo $(VENV)/test $(VENV)/check $(VENV)/bench: pyproject.toml $(CONSTRAINTS) | $(BIN)/python$(VERSION)
	@echo "installing saiki[$(EXTRA)] into $(VENV)"
	$(PIP) --editable '.[$(EXTRA)]' $(addprefix --constraint ,$(CONSTRAINTS))
	@touch $@

$(CONSTRAINTS): pyproject.toml | $(BIN)/python$(VERSION)
	grep -o '"[a-z][a-z-]*>=[0-9.]*' pyproject.toml | sed 's/"//; s/>=/==/' > $@

# Every environment has its Python under this name, so one that another version made is made again.
$(BIN)/python$(VERSION):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "saiki needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V || echo missing). Try: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
