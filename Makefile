# Every target works in .venv, which the first one builds from the lock.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
TRAINING_RUN := notebooks/B_training_run.ipynb

.DEFAULT_GOAL := help
.PHONY: help train sweep test lab site site-open export exercises bench lock

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

train: $(INSTALLED)  ## train the CNN of chapter 05, and report it, in runs/train; ARGS="-p epochs 3" sets parameters
	@$(PY) -m tapecourse run $(TRAINING_RUN) --out runs/train $(ARGS)

sweep: $(INSTALLED)  ## train with 2 learning rates x 2 seeds into runs/sweep; ARGS="--dry-run" only prints
	@$(PY) -m tapecourse sweep $(TRAINING_RUN) -p epochs 1 -p learning_rate 1e-3,3e-3 -p seed 0,1 --out runs/sweep $(ARGS)

test: $(INSTALLED)  ## prove that everything works: every notebook cell and every test
	@$(PY) -m pytest

lab: $(INSTALLED)  ## open the course in JupyterLab
	@$(PY) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/01_differentiation.ipynb $(ARGS)

site: $(INSTALLED)  ## build the course as a site, from the notebooks as they are, in runs/site
	@$(PY) docs/build.py

site-open: site  ## build the site, and serve it at a free port: prints the address; ARGS="9000" names a port
	@$(PY) -u -m http.server --bind 127.0.0.1 --directory runs/site $(or $(ARGS),0)

export: $(INSTALLED)  ## write all that is derived from notebooks: modules, exercises, README's figure
	@$(PY) -m tapecourse export

exercises: $(INSTALLED)  ## write exercises/ from solutions/
	@$(PY) -m tapecourse export exercises

bench: $(INSTALLED)  ## time the training steps, the tapes and a sweep side by side into runs/bench*.csv
	@$(PY) tests/benchmarks/training_steps.py $(ARGS)
	@$(PY) tests/benchmarks/tape_speed.py
	@$(PY) tests/benchmarks/sweep_speed.py

lock: $(INSTALLED)  ## pin every version in requirements.txt anew from pyproject.toml
	@$(PY) -m uv pip compile --universal --fork-strategy fewest --upgrade --quiet --extra dev --no-emit-index-url \
		--custom-compile-command "make lock" --output-file requirements.txt pyproject.toml

# The stamp is written last: where it is missing, an install was cut off, and starts again from nothing.
# compileall works on all cores, pip on one; both leave what can't be compiled.
$(INSTALLED): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
		echo "Python 3.11, 3.12 or 3.13 is needed, and '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo 'not one that runs'). Name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "'$(PYTHON)' has no venv module. On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@test ! -d $(VENV) -o -e $@ || echo "An earlier install was cut off: starting again."
	@echo "Installing the locked packages into $(VENV): some 2 GB, a minute or more."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PY) -m pip install --disable-pip-version-check --no-compile --requirement requirements.txt
	@$(PY) -m pip install --disable-pip-version-check --no-deps --editable .
	@$(PY) -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@
