# Two commands do all the set-up on a machine with only Python and make: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow oracles test-all check fmt lint types bench docs clean

demo: $(STAMP) ## the main job on the embedded upstream
	$(BIN)/minibert-mirror demo

# Three for two cores, since some tests wait; by file, so that what its tests share is made once; the longest files first.
test: $(STAMP) ## the fast tests: offline, under two minutes
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -q -m "not slow and not network and not oracle"

test-slow: $(STAMP) ## the others: real nginx, aria2c, curl and hf, fifty times kill -9
	$(BIN)/python -m pytest -n 2 -q -m "slow and not network"

oracles: $(VENV)/.oracles ## what torch, TensorFlow, Paddle and others say of our files (1 GB to install)
	$(BIN)/python -m pytest -n 2 -q -m oracle

test-all: test test-slow oracles

check: lint types test ## what must be green on every commit

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

fmt: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## speed, as a ratio to peers in the same run (wants nginx, curl, aria2c)
	$(BIN)/python benchmarks/pull.py
	$(BIN)/python benchmarks/ledger.py
	$(BIN)/python benchmarks/verify.py

docs: $(STAMP) ## write docs/cli.md from the help texts
	$(BIN)/python tools/write_cli_docs.py

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -e . --group dev
	touch $(STAMP)

$(VENV)/.oracles: $(STAMP)
	$(BIN)/python -m pip install -q --group oracles
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
