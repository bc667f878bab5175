# Every target sets up .venv first where it is missing. `make help` lists targets and variables.

PYTHON ?= python3
BIN    := .venv/bin
KILLS  ?= 50
TORCH  :=

TARGETS := help install demo test faults lint table6 fig6 fig7 claims verify eval status train figures \
	report shortcuts compare table1 publish readme bench clean

# The variables that each target uses; `make TARGET NAME=VALUE` with any other is refused, so that a
# mistyped one never starts days of training.
WHERE := SETTINGS RUNS DATA_DIR
HOW   := DEVICE PRECISION ENGINE TRACK YES
STUDY := $(WHERE) $(HOW) SEEDS CONCURRENT

USES_demo      := RUNS $(HOW) CONCURRENT
USES_test      := DATA_DIR
USES_faults    := KILLS
USES_table6    := $(STUDY) DEPTHS
USES_fig6      := $(STUDY) DEPTHS PLAIN_DEPTHS NETWORK
USES_fig7      := $(STUDY)
USES_claims    := $(WHERE)
USES_verify    := $(WHERE) AGAINST
USES_eval      := $(WHERE) WEIGHTS NETWORK NORMALISATION
USES_report    := $(WHERE)
USES_status    := $(WHERE) SEEDS DEPTHS PLAIN_DEPTHS
USES_train     := $(WHERE) $(HOW) NETWORK SEED
USES_figures   := $(WHERE) NETWORK
USES_shortcuts := $(STUDY) DEPTH
USES_compare   := $(STUDY)
USES_publish   := $(WHERE)
USES_bench     := DEVICE ENGINE

GOALS := $(or $(MAKECMDGOALS),help)
NONE  := $(filter-out $(TARGETS) .venv/%,$(GOALS))
USED  := $(sort $(foreach goal,$(GOALS),$(USES_$(goal))))
GIVEN := $(sort $(foreach word,$(MAKEOVERRIDES),$(if $(findstring =,$(word)),\
	$(firstword $(subst =, ,$(word))))))
OTHER := $(filter-out PYTHON TORCH $(USED),$(GIVEN))
UPPER := $(shell echo "$(OTHER)" | tr a-z A-Z)
NEAR  := $(sort $(foreach name,$(UPPER),$(filter $(name)% $(patsubst %S,%,$(name)),$(USED))))
EMPTY := $(strip $(foreach name,$(GIVEN),$(if $(strip $($(name))),,$(name))))

# A target that may train takes none of the variables from the environment, where a wrong one hides.
NAMES  := $(sort $(foreach uses,$(filter USES_%,$(.VARIABLES)),$($(uses))))
HIDDEN := $(strip $(foreach name,$(if $(filter YES,$(USED)),$(NAMES)),\
	$(if $(filter environment,$(origin $(name))),$(name))))
ifneq ($(NONE),)
$(error there is no target $(NONE): make help lists them)
endif
ifneq ($(EMPTY),)
$(error $(EMPTY) is empty: leave it out for its default)
endif
ifneq ($(HIDDEN),)
$(error $(HIDDEN) is set in the environment: give it to make, as in make $(GOALS) $(firstword $(HIDDEN))=..., or unset it)
endif
ifneq ($(filter-out 1,$(YES)),)
$(error YES=$(YES) means nothing: YES=1 trains for hours without asking)
endif
ifneq ($(filter-out cpu,$(TORCH)),)
$(error TORCH=$(TORCH) means nothing: TORCH=cpu installs a PyTorch without CUDA where .venv is missing)
endif
ifneq ($(OTHER),)
$(error make $(GOALS) does not use $(OTHER)$(if $(NEAR), (did you mean $(NEAR)?)): it uses $(or $(USED),no variables))
endif

# Its wheels have a suffix, 2.14.1+cpu, which pip prefers to the same release without one. Where that
# index is not reached, pip takes a PyTorch with CUDA instead, which is refused.
CPU_INDEX := $(if $(TORCH),--extra-index-url https://download.pytorch.org/whl/cpu)
NO_CPU    := "a PyTorch with CUDA was installed, as download.pytorch.org was not reached: make clean"

# TRACK=tensorboard, TRACK=wandb and ENGINE=ray install what they need when first asked for.
EXTRA := $(addprefix .venv/,$(filter tensorboard wandb,$(TRACK)) $(filter ray,$(ENGINE)))

# option NAME, as --name "VALUE" where the variable is set; defaults are those of the commands
lower  = $(shell echo $(subst _,-,$(1)) | tr A-Z a-z)
option = $(if $($(1)),--$(call lower,$(1)) "$($(1))")
given  = $(strip $(foreach name,$(filter-out YES,$(1)),$(call option,$(name))) $(if $(filter YES,$(1)),$(if $(YES),--yes)))

# Of these, those that are named together are planned and made together, by the first of them.
TOGETHER  := $(filter table6 fig6 fig7 claims,$(GOALS))
REPRODUCE  = $(if $(filter $@,$(firstword $(TOGETHER))),@$(BIN)/python \
	experiments/reproduce.py $(TOGETHER) \
	$(call given,$(sort $(foreach goal,$(TOGETHER),$(USES_$(goal))))),@:)

.NOTPARALLEL:
.PHONY: $(TARGETS)

help:  ## this list
	@echo "Targets:"
	@sed -n 's/^\([a-z0-9]*\):.*##/  \1:/p' $(firstword $(MAKEFILE_LIST))
	@echo "Variables (make TARGET NAME=VALUE):"
	@echo "  SETTINGS      paper, paper-45k, overnight, tiny, demo (paper); of compare: 10-epochs,"
	@echo "                100-epochs, tiny-epochs, imagenette, tiny-imagenette (100-epochs)"
	@echo "  DEPTHS        residual nets of table6 and fig6: 6n+2 (20 32 44 56 110)"
	@echo "  PLAIN_DEPTHS  plain nets of fig6 (20 32 44 56)"
	@echo "  SEEDS         how many runs of each network (1): those that have finished count"
	@echo "  NETWORK SEED  the run of train (seed 0); NETWORK: of fig6's precise BN (resnet-20)"
	@echo "  DEPTH         of the three nets of shortcuts (20)"
	@echo "  DATA_DIR      where CIFAR-10 and Imagenette are, or are downloaded to (data)"
	@echo "  RUNS          where runs are recorded (experiments/runs)"
	@echo "  DEVICE        auto, cpu or cuda (auto)"
	@echo "  PRECISION     auto, bfloat16, float32, on CUDA tf32 (auto)"
	@echo "  ENGINE        local, or ray: on all cores, GPUs and nodes at once (local)"
	@echo "  TRACK         tensorboard or wandb: live curves of the runs in training"
	@echo "  YES           1: train for more than two hours without asking"
	@echo "  CONCURRENT    runs at once, with ENGINE=ray on each GPU; 0: automatic (0)"
	@echo "  WEIGHTS       a file of weights for eval, with its NETWORK and NORMALISATION:"
	@echo "                'per-pixel mean', channels, 'imagenet channels', or numbers"
	@echo "  AGAINST       settings of the published runs that verify compares with (SETTINGS)"
	@echo "  KILLS         how often faults kills a training (50)"
	@echo "  PYTHON        the Python (3.10 or later) that .venv is made by (python3)"
	@echo "  TORCH         cpu: .venv is made with a PyTorch without CUDA, of 200 MB"

install: .venv/ready  ## creates .venv and installs the package; other targets do so where it is missing

table6: .venv/ready $(EXTRA)  ## Table 6: trains what is missing of DEPTHS, then writes the table
	$(REPRODUCE)

fig6: .venv/ready $(EXTRA)  ## Figure 6: trains what is missing of DEPTHS and PLAIN_DEPTHS, then draws
	$(REPRODUCE)

fig7: .venv/ready $(EXTRA)  ## Figure 7: trains what is missing of its five nets, measures responses, draws
	$(REPRODUCE)

eval: .venv/ready  ## test error and confusion matrix of the recorded weights, or of WEIGHTS, of NETWORK
	@$(BIN)/python experiments/eval.py $(call given,$(USES_eval))

verify: .venv/ready  ## your own RUNS beside the published ones and the paper: within noise, or differs
	@$(BIN)/python experiments/verify.py $(call given,$(USES_verify))

status: .venv/ready  ## every run of a study: finished, under way, stopped or missing
	@$(BIN)/python experiments/status.py $(call given,$(USES_status))

train: .venv/ready $(EXTRA)  ## one run: NETWORK from SEED
	@$(BIN)/python experiments/train.py $(call given,$(USES_train))

figures: .venv/ready  ## everything that can be drawn from what is recorded; trains nothing
	@$(BIN)/python experiments/figures.py $(call given,$(USES_figures))

report: .venv/ready  ## report.html: one page of all that is recorded, to share; trains nothing
	@$(BIN)/python experiments/report.py $(call given,$(USES_report))

claims: .venv/ready  ## section 4.2's claims, checked on what is recorded; trains nothing
	$(REPRODUCE)

shortcuts: .venv/ready $(EXTRA)  ## shortcut options A, B and C at one DEPTH: trains what is missing, tabulates
	@$(BIN)/python experiments/shortcuts.py $(call given,$(USES_shortcuts))

compare: .venv/ready $(EXTRA)  ## ResNet-18 beside VGG-19; SETTINGS=10-epochs, imagenette: other networks
	@$(BIN)/python experiments/compare.py $(call given,$(USES_compare))

table1: .venv/ready  ## multiply-adds of the ImageNet networks, of VGG and AlexNet, counted, beside the paper's
	@$(BIN)/python experiments/table1.py

publish: .venv/ready  ## copies the finished runs of RUNS to experiments/runs
	@$(BIN)/python experiments/publish.py $(call given,$(USES_publish))

readme: .venv/ready  ## the README's tables, from the published runs
	@$(BIN)/python experiments/readme.py

demo: .venv/ready $(EXTRA)  ## the whole study in a few minutes, on synthetic images: figures/demo/
	@$(BIN)/python experiments/reproduce.py table6 fig6 fig7 claims --settings demo \
		$(call given,$(USES_demo))

define LINT
$(BIN)/ruff format --check .
$(BIN)/ruff check .
$(BIN)/mypy
endef

test: .venv/test  ## the tests, then format, lint and types
	$(BIN)/python -m pytest --numprocesses auto -rfEs
	$(LINT)

faults: .venv/test  ## kill a training KILLS times, two processes at once: is anything lost?
	$(BIN)/python -m tests.kills --kills "$(KILLS)"
	$(BIN)/python -m tests.node_kills --kills "$(KILLS)"
	$(BIN)/python -m pytest -m slow

lint: .venv/test  ## format, lint and types
	$(LINT)

bench: .venv/ready $(EXTRA)  ## training speed beside a plain PyTorch loop; ENGINE=ray: beside local
	@$(BIN)/python experiments/bench.py $(call given,$(USES_bench))

clean:  ## remove .venv and caches; runs and figures stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache *.egg-info

.venv/test .venv/tensorboard .venv/wandb .venv/ray: .venv/ready
	$(BIN)/python -m pip install --editable '.[$(@F)]'
	touch $@

# torch and torchvision in one command, so that pip picks a matching pair
.venv/ready: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install $(CPU_INDEX) --editable .
	$(if $(TORCH),$(BIN)/python -c 'import sys; import torch; sys.exit(torch.version.cuda and $(NO_CPU))')
	touch $@
