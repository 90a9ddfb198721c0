# make demo   an unseen digital patient, from DICOM on disk to T1 map, tables, pictures and scene
# make test   the whole test suite
# make bench  speed on this machine
# make torture  mutated studies, kills and damaged models (docs/safety.md); TORTURE=200 for a short run
# make results  docs/study again: tables, figures and page from the rows committed in docs/study/data
# make study  the study from nothing: cohort, training of every method, measurement; BUDGET for each method
# Each sets up .venv first; nothing but make and Python 3.11, 3.12 or 3.13 is needed.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
# `make demo OUT=elsewhere` works; a variable OUT that happens to be in the environment does not count.
OUT := demo_output
JOBS ?= 2

# The first interpreter on the PATH of a version that pyproject.toml allows.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)

# Numeric libraries start one thread per core each; two test workers would otherwise fight for two cores.
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1

# What each method of the study may learn, and at which size: for a GPU SIZE=full and a larger budget.
BUDGET ?= --max-minutes 20
SIZE ?= small
STUDY := runs/study
METHODS := t1diff paper regression pix2pix cyclegan pgan hinet gan_disentangled ddpm_raw

.PHONY: demo test bench torture results study lint setup clean

demo: $(STAMP)
	$(BIN)/python -m T1DiffLogic demo -o $(OUT)

test: $(STAMP)
	$(THREADS) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -q Testing

bench: $(STAMP)
	$(BIN)/python -m pytest -q -o python_files='bench_*.py' Testing/benchmark

# How many mutated studies, and the seed of every chance.
TORTURE ?= 10000
TORTURE_SEED ?= 1

torture: $(STAMP)
	TORTURE=$(TORTURE) TORTURE_SEED=$(TORTURE_SEED) $(THREADS) \
	$(BIN)/python -m pytest -q -o python_files='torture_*.py' Testing/torture

results: $(STAMP)
	$(BIN)/python -m T1DiffLogic.evaluation.results docs/study

study: $(STAMP)
	$(BIN)/python -m T1DiffLogic.dataset.phantom_cohort -o $(STUDY)/cohort --workers $(JOBS)
	for shift in vendor disease; do \
	$(BIN)/python -m T1DiffLogic.dataset.phantom_cohort -o $(STUDY)/$$shift --shift $$shift --workers $(JOBS) \
	|| exit 1; done
	for method in $(METHODS); do test -f $(STUDY)/$$method/config.json || \
	$(BIN)/python -m T1DiffLogic train $$method $(STUDY)/cohort -o $(STUDY)/$$method --size $(SIZE) $(BUDGET) \
	|| exit 1; done
	$(BIN)/python -m T1DiffLogic evaluate $(STUDY)/cohort -o $(STUDY)/results --most-steps 50 \
	--vendor-shift $(STUDY)/vendor --disease-shift $(STUDY)/disease \
	--methods $(foreach m,$(METHODS),$(m)=$(STUDY)/$(m)) t1diff-released=Resources/Models/t1diff_fast
	rm -rf docs/study && cp -R $(STUDY)/results docs/study

lint: $(STAMP)
	$(BIN)/python -m ruff check T1DiffLogic T1DiffExtension Testing

setup: $(STAMP)

# One pip command, so that torch is resolved once, together with everything that wants it.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "T1Diff needs Python 3.11, 3.12 or 3.13; set PYTHON=/path/to/python3."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch --editable '.[batch,dicom,scene,test,train]'
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --only-binary :all: PySide6-Essentials \
	|| echo "No PySide6 for this system: the tests of Slicer's panels will be skipped."
	@touch $(STAMP)

clean:
	rm -rf $(VENV) demo_output build dist *.egg-info
