# `make table6 DEPTHS="20 32"` sets up .venv where it is missing, then runs experiments/table6.py, and
# so on for each file there. Make only passes its variables on: `python experiments` checks them.

## PYTHON: the Python (3.10 or later) that .venv is made by (python3)
PYTHON ?= python3
## TORCH: cpu: .venv is made with a PyTorch without CUDA, of 200 MB
TORCH  :=
$(if $(filter-out cpu,$(TORCH)),$(error TORCH=$(TORCH) means nothing: TORCH=cpu installs a PyTorch without CUDA))
## KILLS: how often faults kills a training (50)
KILLS  ?= 50

BIN := .venv/bin

# Those that are named together are planned and trained together.
TOGETHER := table6 fig6 fig7 claims
COMMANDS := $(filter-out __main__ reproduce $(TOGETHER),$(basename $(notdir $(wildcard experiments/*.py))))

# What is installed when it is first asked for.
EXTRAS := $(filter tensorboard wandb ray,$(TRACK) $(ENGINE)) $(filter report,$(MAKECMDGOALS)) \
	$(if $(filter %.safetensors,$(WEIGHTS)),safetensors)
EXTRAS := $(EXTRAS:%=.venv/%)

.NOTPARALLEL:
.PHONY: help check install test faults lint clean reproduce $(TOGETHER) $(COMMANDS)

help:  ## This list
	@$(or $(wildcard $(BIN)/python),$(PYTHON)) experiments help

$(COMMANDS): check $(EXTRAS)
	@$(BIN)/python experiments $@

$(TOGETHER): reproduce
	@:

reproduce: check $(EXTRAS)
	@$(BIN)/python experiments reproduce $(filter $(TOGETHER),$(MAKECMDGOALS))

# Comes before all else, so that a mistyped variable never starts days of training.
check: .venv/ready
	@$(BIN)/python experiments check $(MAKECMDGOALS)

# Reached by a target that does not exist.
.DEFAULT:
	@$(or $(wildcard $(BIN)/python),$(PYTHON)) experiments check $@

install: check  ## Set up .venv; other targets do so where it is missing

test: check .venv/test  ## The tests, then format, lint and types [DATA_DIR]
	$(BIN)/python -m pytest --numprocesses auto -rfEs
	$(LINT)

lint: check .venv/test  ## Format, lint and types
	$(LINT)

define LINT
$(BIN)/ruff format --check .
$(BIN)/ruff check .
$(BIN)/mypy
endef

faults: check .venv/test  ## Kill a training KILLS times: is anything lost? Then the slow tests [KILLS]
	$(BIN)/python -m tests.kills --kills "$(KILLS)"
	$(BIN)/python -m tests.node_kills --kills "$(KILLS)"
	$(BIN)/python -m pytest -m slow --numprocesses auto --dist loadfile

clean:  ## Remove .venv and caches; runs and figures stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache *.egg-info

.venv/test .venv/report .venv/notebook .venv/safetensors .venv/tensorboard .venv/wandb .venv/ray: .venv/ready
	$(BIN)/python -m pip install --editable '.[$(@F)]'
	touch $@

# CPU wheels of PyTorch have a suffix, 2.14.1+cpu, which pip prefers to the same release without one.
# Where their index is not reached, pip takes a PyTorch with CUDA, which is refused. torch and
# torchvision are installed in one command, so that pip picks a matching pair.
CPU_INDEX := $(if $(TORCH),--extra-index-url https://download.pytorch.org/whl/cpu)
CPU_ONLY  := import sys, torch; sys.exit(torch.version.cuda and \
	"a PyTorch with CUDA was installed, as download.pytorch.org was not reached: make clean")
RECENT    := import sys; sys.exit(sys.version_info < (3, 10) and \
	"Python 3.10 or later is needed: make PYTHON=...")

.venv/ready: setup.cfg setup.py pyproject.toml
	$(PYTHON) -c '$(RECENT)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install $(CPU_INDEX) --editable .
	$(if $(TORCH),$(BIN)/python -c '$(CPU_ONLY)')
	touch $@
