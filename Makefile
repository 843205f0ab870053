# Each target creates the virtual environment that it needs.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: help setup demo drive test test-slow test-gpu lint docs statistics benchmark reference zoo clean

help:  ## the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.txt constraints.txt pyproject.toml
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $(READY)

setup: $(READY)  ## create the virtual environment

demo: $(READY)  ## pretrain, train and evaluate on CarRacing in minutes
	$(PYTHON) scripts/demo.py

drive: $(READY)  ## the trained CarRacing agent on five held-out tracks, and a video of the first
	rm -rf runs/drive && mkdir -p runs && cp -R agents/pretrained/CarRacing-v2 runs/drive
	$(PYTHON) scripts/evaluate_agent.py --agent runs/drive --episodes 5 --video runs/drive/drive.mp4

test: lint  ## lint, types and the fast tests
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n auto --dist worksteal

test-slow: $(READY)  ## the tests that take minutes each
	CUDA_VISIBLE_DEVICES= $(PYTHON) -m pytest -m slow

test-gpu: $(READY)  ## the tests that need a CUDA GPU
	$(PYTHON) -m pytest -m gpu

lint: $(READY)  ## ruff, the word list and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(PYTHON) scripts/lint_words.py
	$(VENV)/bin/mypy

docs: $(VENV)/.docs  ## the site of the documentation, in site/
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

$(VENV)/.docs: $(READY)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

statistics: $(READY)  ## sizes of files and functions, density of comments
	$(PYTHON) scripts/code_statistics.py

benchmark: $(READY)  ## frames per second on this machine
	$(PYTHON) scripts/benchmark.py

reference: .venv-pythae/.ready  ## pythae, for the study of the ELBO

.venv-pythae/.ready:
	python3 -m venv .venv-pythae
	.venv-pythae/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		torch numpy scipy cloudpickle pydantic tqdm
	.venv-pythae/bin/python -m pip install --quiet --disable-pip-version-check --no-deps pythae==0.1.2
	touch $@

zoo: .venv-zoo/.ready  ## RL Zoo, for its slow test

.venv-zoo/.ready: constraints.txt
	python3 -m venv .venv-zoo
	.venv-zoo/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		rl_zoo3==2.9.2 -e .
	touch $@

clean:  ## remove the virtual environment and the site, keep runs/
	rm -rf $(VENV) site
