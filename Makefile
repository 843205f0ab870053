# Every target makes the virtual environment that it needs.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: help setup demo test test-slow lint benchmark reference clean

help:  ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.txt constraints.txt pyproject.toml
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $(READY)

setup: $(READY)  ## the virtual environment

demo: $(READY)  ## the main job in small, on CarRacing; ends with a table
	$(PYTHON) scripts/demo.py

test: lint  ## lint, types and all fast tests
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n auto

test-slow: $(READY)  ## the tests that take minutes
	$(PYTHON) -m pytest -m slow

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

benchmark: $(READY)  ## speed on this machine
	$(PYTHON) scripts/benchmark.py

reference: .venv-pythae/.ready  ## pythae in an environment of its own, for the benchmark of the autoencoders

.venv-pythae/.ready:
	python3 -m venv .venv-pythae
	.venv-pythae/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		torch numpy scipy cloudpickle pydantic tqdm
	.venv-pythae/bin/python -m pip install --quiet --disable-pip-version-check --no-deps pythae==0.1.2
	touch $@

clean:  ## remove the virtual environment, keep runs/
	rm -rf $(VENV)
