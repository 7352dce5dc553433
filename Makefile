# make test, make demo, make docs: everything they need goes into .venv; nothing is installed elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes that tests run in.
WORKERS ?= 2
export HF_HUB_OFFLINE := 1

.PHONY: install test test-all lint demo docs

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: install lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-all: install lint
	$(BIN)/python -m pip install --quiet -e '.[dev,docs,pose,onnx,fid,text]'
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "slow or not slow"

demo: install
	$(BIN)/signgen demo --out demo

docs: install
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	$(BIN)/zensical build --strict
