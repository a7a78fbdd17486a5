# One entry point for people and CI. `make demo` and `make test` need nothing but Python 3.11+, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo test test-all test-lowest test-runs mutants audit check docs bench bench-speed format clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Each stamp is an install that was finished; a changed pyproject.toml asks for it again.
$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[onnx]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

demo: $(VENV)/.installed
	@BIN=$(BIN) DEMO=$(DEMO) sh benchmarks/demo.sh

test: $(VENV)/.dev
	$(BIN)/python -m pytest

test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -m 'not network' --timeout 3600

# The default tests with the lowest versions that the dependencies allow, in an environment of their own.
$(VENV)-lowest/.installed: pyproject.toml .ci/lowest.py
	$(PYTHON) -m venv $(VENV)-lowest
	@mkdir -p build
	$(PYTHON) .ci/lowest.py > build/lowest.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --constraint build/lowest.txt --editable '.[test]'
	@touch $@

test-lowest: $(VENV)-lowest/.installed
	$(VENV)-lowest/bin/python -m pytest

# Whether an installed package has a known vulnerability; fails as well where that could not be looked up.
audit: $(VENV)/.dev
	$(BIN)/python .ci/audit.py

# Ten runs in random order, half of them beside two busy loops: most of an hour.
test-runs: $(VENV)/.dev
	@PYTHON=$(BIN)/python sh benchmarks/test_runs.sh

# Small wrong changes of the code that computes, and whether a test notices each. Hours; continued where it was stopped.
mutants: $(VENV)/.dev
	$(BIN)/python benchmarks/mutants.py

check: $(VENV)/.dev
	$(BIN)/ruff format --check metacli tests benchmarks
	$(BIN)/ruff check metacli tests benchmarks
	$(BIN)/mypy

$(VENV)/.docs: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

# The site is in build/site; nothing is fetched while it builds.
docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict --quiet

# Speed alone takes about ten minutes, the recipes take hours.
bench: bench-speed
	$(BIN)/python benchmarks/run.py

bench-speed: $(VENV)/.bench
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/speed_tasks.py

format: $(VENV)/.dev
	$(BIN)/ruff format metacli tests benchmarks
	$(BIN)/ruff check --fix metacli tests benchmarks

clean:
	rm -rf $(VENV) $(VENV)-lowest $(DEMO) build dist *.egg-info
