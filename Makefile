# bike: `make demo` and `make test` are all a newcomer needs.
PYTHON ?= python3.11
PIP_VERSION = 25.3
VENV = .venv
BIN = $(VENV)/bin
EXTRAS = dev,docs,decord,dask,s3,ssh,torchnet,plots,onnx
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS = 1

.DEFAULT_GOAL := help
.PHONY: help install repository demo exp readme test wheel cross-cpu faults fuzz rehearsal plots pages site push check format constraints clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(VENV)/.installed  ## make .venv from the pinned constraints

$(VENV)/.installed: pyproject.toml constraints.txt constraints-results.txt build-constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON): not found. Install Python 3.11, or name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) can't make virtual environments. On Debian and Ubuntu: apt install $(PYTHON)-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip==$(PIP_VERSION)
	@echo "Installing into $(VENV) (two to five minutes, 2 GB)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --build-constraint build-constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

repository:
	@test -e .git && git rev-parse --quiet --verify HEAD >/dev/null || { echo "$(CURDIR): no git repository with a commit, which DVC needs (a zip download has none). Run \`git init && git add . && git commit -m Start\`, then the same again."; exit 1; }

demo: repository install  ## generated data set, whole pipeline, result table, report/index.html
	$(BIN)/dvc repro
	@$(BIN)/bike report --show
	@$(BIN)/bike report --readme README.md --check || echo 'README.md shows other numbers than this run; make readme renews its table.'
	@echo "The whole report: $(CURDIR)/report/index.html"

exp: install  ## experiments side by side: what differs among parameters and metrics, without the columns of files
	$(BIN)/dvc exp show --only-changed --drop '.*/|constraints-results.txt$$'

readme: install  ## README's table from the results
	$(BIN)/bike report --readme README.md

test: install  ## the whole test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

wheel: install  ## the wheel alone, in an environment of its own: from `bike init` to a number
	PYTHON=$(PYTHON) .ci/wheel

cross-cpu: install  ## a small pipeline on emulated processors of two makers: the same bytes (needs qemu-user; half an hour)
	$(BIN)/python .ci/cross_cpu.py

faults: install  ## a fault at every single change on disk
	BIKE_FAULTS=all $(BIN)/python -m pytest -s -n 2 --dist worksteal tests/faults/test_every_change.py tests/faults/test_training.py

fuzz: install  ## every reader on 3000 corrupted inputs each (BIKE_FUZZ=N for another number)
	BIKE_FUZZ=$${BIKE_FUZZ:-3000} $(BIN)/python -m pytest tests/faults/test_fuzz.py -n 2

rehearsal: install  ## every kind of published row on tiny videos, from `bike init` to its summary
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'rehearsal or not rehearsal' tests/project

plots: install  ## curves and matrices of `dvc plots` as a page that opens without a network
	$(BIN)/python -m bike.project.plots

pages: install  ## renew docs/benchmarks/ from the presets and the measured speeds
	$(BIN)/python -m bike.project.page docs

site: install  ## docs/ as a site in site/ (its search needs a server: `python -m http.server -d site`)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

push: install  ## results to the DVC remote, and proof in a scratch clone that a pull restores them
	$(BIN)/bike push

check: install  ## format, lint, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

format: install  ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

constraints: install  ## renew both files of pins from what is installed
	@set -e; names=$$(sed -n 's/==.*//p' constraints-results.txt | paste -sd '|'); frozen=$$(mktemp); \
	$(BIN)/python -m pip freeze --exclude-editable | grep -vE '^(pip|setuptools)==' | sed -E 's/^(torch==[0-9.]+)\+.*/\1/' > "$$frozen"; \
	{ grep '^#' constraints-results.txt; grep -iE "^($$names)==" "$$frozen"; } > constraints-results.txt.new; \
	{ grep -E '^(#|-c)' constraints.txt; grep -viE "^($$names)==" "$$frozen"; } > constraints.txt.new; \
	mv constraints-results.txt.new constraints-results.txt; mv constraints.txt.new constraints.txt; rm "$$frozen"

clean:  ## remove the environment, the pipeline's data and results (the DVC cache stays)
	rm -rf $(VENV) data/demo models results report state
