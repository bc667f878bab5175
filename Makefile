# Every target sets up .venv first where it is missing. `make help` lists targets and variables.

PYTHON       ?= python3
SETTINGS     ?= paper
RUNS         ?= experiments/runs
DATA_DIR     ?= data
DEPTHS       ?=
PLAIN_DEPTHS ?=
SEEDS        ?= 1
SEED         ?= 0
NETWORK      ?= resnet-20
DEVICE       ?= auto
PRECISION    ?= auto
KILLS        ?= 50
DEPTH        ?= 20
CONCURRENT   ?= 0

BIN  := .venv/bin
WHERE = --settings "$(SETTINGS)" --runs "$(RUNS)" --data-dir "$(DATA_DIR)"
HOW   = --device "$(DEVICE)" --precision "$(PRECISION)" --seeds "$(SEEDS)" \
	--concurrent "$(CONCURRENT)"
STUDY = $(WHERE) $(HOW)
NETS  = $(if $(DEPTHS),--depths "$(DEPTHS)")
PLAIN = $(if $(PLAIN_DEPTHS),--plain-depths "$(PLAIN_DEPTHS)")

.NOTPARALLEL:
.PHONY: help demo test faults lint table6 fig6 fig7 claims train figures \
	shortcuts compare table1 publish bench clean

help:  ## this list
	@echo "Targets:"
	@sed -n 's/^\([a-z0-9]*\):.*##/  \1:/p' $(firstword $(MAKEFILE_LIST))
	@echo "Variables (make TARGET NAME=VALUE):"
	@echo "  SETTINGS      paper, paper-45k, overnight, tiny, demo; of compare:"
	@echo "                100-epochs (its default), 10-epochs, tiny-epochs  ($(SETTINGS))"
	@echo "  DEPTHS        residual nets of table6 and fig6: 6n+2            ($(or $(DEPTHS),20 32 44 56 110))"
	@echo "  PLAIN_DEPTHS  plain nets of fig6                                ($(or $(PLAIN_DEPTHS),20 32 44 56))"
	@echo "  SEEDS         how many runs of each network, from seed 0        ($(SEEDS))"
	@echo "  NETWORK SEED  the run of train; NETWORK: fig6's precise BN      ($(NETWORK) $(SEED))"
	@echo "  DEPTH         of the three nets of shortcuts                    ($(DEPTH))"
	@echo "  DATA_DIR      where CIFAR-10 is, or is downloaded to            ($(DATA_DIR))"
	@echo "  RUNS          where runs are recorded                           ($(RUNS))"
	@echo "  DEVICE        auto, cpu or cuda                                 ($(DEVICE))"
	@echo "  PRECISION     auto, bfloat16, float32, on CUDA tf32; not bench  ($(PRECISION))"
	@echo "  CONCURRENT    runs at once; 0: as many as suits the device      ($(CONCURRENT))"
	@echo "  KILLS         how often faults kills a training                 ($(KILLS))"
	@echo "  PYTHON        the Python (3.10 or later) that .venv is made by  ($(PYTHON))"

table6: .venv/ready  ## Table 6: trains what is missing of DEPTHS, then writes the table
	$(BIN)/python experiments/table6.py $(STUDY) $(NETS)

fig6: .venv/ready  ## Figure 6: trains what is missing of DEPTHS and PLAIN_DEPTHS, then draws
	$(BIN)/python experiments/fig6.py $(STUDY) $(NETS) $(PLAIN) --network "$(NETWORK)"

fig7: .venv/ready  ## Figure 7: trains what is missing of its five nets, measures responses, draws
	$(BIN)/python experiments/fig7.py $(STUDY)

train: .venv/ready  ## one run: NETWORK from SEED
	$(BIN)/python experiments/train.py $(WHERE) --device "$(DEVICE)" --precision "$(PRECISION)" \
		--network "$(NETWORK)" --seed "$(SEED)"

figures: .venv/ready  ## everything that can be drawn from what is recorded; trains nothing
	PYTHONPATH=. $(BIN)/python experiments/figures.py $(WHERE) --network "$(NETWORK)"

claims: .venv/ready  ## section 4.2's claims, checked on what is recorded; trains nothing
	$(BIN)/python experiments/claims.py $(WHERE)

shortcuts: .venv/ready  ## shortcut options A, B and C at one DEPTH: trains what is missing, tabulates
	$(BIN)/python experiments/shortcuts.py $(STUDY) --depth "$(DEPTH)"

# its own default, which the command line and the environment replace as elsewhere
compare: SETTINGS := $(if $(filter environment%,$(origin SETTINGS)),$(SETTINGS),100-epochs)
compare: .venv/ready  ## ResNet-18 beside VGG-19; SETTINGS=10-epochs: SimpleCNN beside ResNet-18
	$(BIN)/python experiments/compare.py $(STUDY)

table1: .venv/ready  ## multiply-adds of the ImageNet networks, counted, beside the paper's
	$(BIN)/python experiments/table1.py

publish: .venv/ready  ## copies the finished runs of RUNS to experiments/runs
	$(BIN)/python experiments/publish.py $(WHERE)

demo: SETTINGS = demo
demo: table6 fig6 fig7 claims  ## the whole study in a few minutes, on synthetic images: figures/demo/

test: .venv/ready  ## the tests, then format, lint and types
	$(BIN)/python -m pytest
	$(MAKE) lint

faults: .venv/ready  ## kill a training KILLS times, two processes at once: is anything lost?
	$(BIN)/python -m tests.kills --kills "$(KILLS)"
	$(BIN)/python -m pytest -m slow

lint: .venv/ready  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/ready  ## training speed beside a plain PyTorch loop, as a ratio
	$(BIN)/python experiments/bench.py --device "$(DEVICE)"

clean:  ## remove .venv and caches; runs and figures stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache *.egg-info

# torch and torchvision in one command, so that pip picks a matching pair
.venv/ready: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install --editable '.[test]'
	touch $@
