# Every target makes its environment first: a virtual environment in .venv with the versions of constraints.txt.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo
LABELS ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test lint types imports docs bench clean

setup: $(VENV)/installed

# clip-anytorch (openai/CLIP's own code) and clip-benchmark, for comparison in tests, ask for torchvision, which nothing here needs.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("fullclip needs Python 3.10 or newer" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps clip-anytorch clip-benchmark
	touch $@

demo: setup
	$(BIN)/fullclip demo --out $(OUT) $(if $(LABELS),--labels "$(LABELS)")

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports --config pyproject.toml

docs: setup
	$(BIN)/python docs/make_cli_page.py

bench: setup
	$(BIN)/fullclip bench
	$(BIN)/python bench/tokenizer.py
	$(BIN)/python bench/loader.py
	$(BIN)/python bench/loss.py
	$(BIN)/python bench/step.py
	$(BIN)/python bench/probe.py
	$(BIN)/python bench/overlap.py

clean:
	rm -rf $(VENV) $(OUT)
