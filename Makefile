# `make run` and `make test` need Python 3.11 and make, nothing else: they set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SPEC ?= pipelines/quickstart.yaml

.PHONY: run test test-all check bench clean

# Installed once, and again when what is to be installed changes.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

# Raw footage to a sampled clip: the funnel, the dataset, the model and the report lie in runs/quickstart.
run: $(VENV)/.installed
	$(BIN)/rushes run $(SPEC)

# Two at a time, file by file, of one thread each: a run under test has workers of its own.
test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n 2 --dist loadfile --durations=10

test-all: $(VENV)/.installed
	$(BIN)/python -m pytest --durations=20

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -m 'not slow' tests/house tests/curate

# The figures of the README, one after the other; see benchmarks/README.md for each alone.
bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) runs
