# Needs Python 3.11+, git, make and pip. Everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Text that people gave, on its way into files, tables, pages and configs.
FUZZED_NAMES := tests/system/test_names.py tests/system/test_escaping.py tests/data/test_displacement_names.py \
	tests/study/test_config_names.py
FUZZED_FILES := tests/evaluation/test_fuzz_register.py tests/data/readers/test_fuzz_fields.py tests/data/readers/test_fuzz.py \
	tests/training/test_checkpoint.py


.PHONY: quick test test-all check bench gpu browser fuzz mutants ants wheel-test mlflow-test slurm-test slurm-drills drills reproduce docs schema audit licences clean
.DELETE_ON_ERROR:

quick: .venv/.main ## train, tune and evaluate the embedded study; prints the table
	regbench quick

# One thread a process: small arrays gain nothing from a second, and the other processes lose a core.
test test-all: export OMP_NUM_THREADS = 1

test: .venv/.dev ## the default tests (12 minutes on 2 cores)
	pytest -n auto --maxprocesses 8 --dist worksteal

test-all: .venv/.dev ## the long ones too
	pytest -n auto --maxprocesses 8 --dist worksteal -m "not server"

check: .venv/.dev ## style, types, order of imports, formats, schema in step
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	vulture
	snakefmt --check Snakefile workflow
	regbench schema --check

bench: .venv/.dev ## all ratio tables: what regbench costs beside named peers (ONLY="losses training"; an hour and a half on an idle machine)
	python benchmarks/ratios.py $(if $(ONLY),--only $(ONLY)) $(if $(OUT),--out $(OUT))

# Without .venv the python of the machine, as it is: nothing is installed. OUT: where gpu.json and gpu.md go.
gpu: OUT ?= results/gpu
gpu: ## what a CUDA GPU must show: tests, times beside peers, the same bits twice; without one, small on the CPU (8 minutes)
	$(PYTHON) benchmarks/gpu_page.py --out $(OUT)

browser: .venv/.dev ## the report and MLflow's UI in a headless Chromium (Debian: apt-get install chromium; 4 minutes)
	pytest -m "slow or not slow" tests/tracking/test_mlflow_ui_browser.py tests/report/page/test_page_browser.py tests/test_workflow.py::test_the_page_in_a_browser

# Each test has its seconds, so that a slow machine tries all of them. It ends at the first fault.
fuzz: .venv/.dev ## every reader, `register`, names and configs against damaged or odd inputs (10 minutes)
	FUZZ_EXAMPLES=2000 FUZZ_SECONDS=60 pytest -qx tests/study/test_fuzz.py
	FUZZ_EXAMPLES=2000 FUZZ_SECONDS=7 pytest -qx $(FUZZED_NAMES) $(FUZZED_FILES)

mutants: .venv/.dev ## break the metrics and statistics on purpose; every break must turn a test red (10 minutes)
	python tests/mutants.py --jobs 2

ants: .venv-ants/.ready ## the environment of the baseline ants_syn, whose pins clash with ours

wheel-test: .venv/.dev ## build the package, install it into a clean environment, run a study in an empty folder (3 minutes)
	pytest -m slow tests/test_wheel.py

mlflow-test: .venv/.dev ## tracking against a real MLflow server on a real PostgreSQL (apt-get install postgresql; 4 minutes)
	pytest -m server tests/tracking/test_server.py

slurm-test: .venv/.slurm ## a study (CONFIG=..., else a small one) through a real Slurm here (as root; installs Debian's packages; 5 minutes)
	python tests/slurm/drills.py study $(if $(CONFIG),--config $(CONFIG))

slurm-drills: .venv/.slurm ## what a cluster does to a study, on purpose, on the same Slurm (an hour)
	python tests/slurm/drills.py all

# ONLY="head_killed full_disk" names drills; `python tests/drills/run.py --list` lists them.
drills: .venv/.dev ## all of docs/security.md and docs/cluster.md: hurt a study on purpose, and compare (by hand; QUICK=1: 3 minutes)
	python tests/drills/run.py $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(FOLDER),--folder $(FOLDER))

reproduce: .venv/.main ## derive every number of results/reference/ from its rows; train `quick` again (by hand: half an hour)
	@set -e; studies="$$(ls -d results/reference/*/ 2>/dev/null || true)"; \
	if [ -z "$$studies" ]; then echo "no study is published in results/reference/ yet"; else regbench verify $$studies; fi; \
	if [ -d results/reference/quick ]; then regbench verify results/reference/quick --rerun; fi

# Every warning is an error: a link, an anchor or a docstring that does not resolve.
docs: .venv/.docs ## build the documentation site into build/site (no network needed to read it)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -c docs . build/site

audit: .venv-audit/.ready ## the pinned packages against PyPI's advisories (needs pypi.org)
	.venv-audit/bin/pip-audit --disable-pip --no-deps --requirement constraints.txt

# Of what regbench needs to run, extras apart.
licences: .venv-audit/.ready .venv/.main ## write docs/licences.md
	(printf '# Licences\n\n' && .venv-audit/bin/pip-licenses --python $(BIN)/python --from mixed --format markdown --packages \
	  $$(.venv-audit/bin/pipdeptree --python $(BIN)/python --packages regbench --freeze --warn silence \
	    | sed -n 's/^ *\([A-Za-z0-9][A-Za-z0-9._-]*\)==.*/\1/p' | sort --unique)) > docs/licences.md

schema: .venv/.main ## write workflow/config.schema.json from the typed config
	regbench schema

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "regbench needs Python 3.11 or newer, but this is " + sys.version)'
	$(PYTHON) -m venv .venv

# The markers are touched last: an interrupted installation is taken up again.
.venv/.main: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing regbench and the packages that it needs into .venv: some minutes."
	$(BIN)/python -m pip install --constraint constraints.txt --editable .
	touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing regbench, the packages that it needs and those of its tests into .venv: some minutes."
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $@ .venv/.main

.venv/.docs: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@ .venv/.main

# fusepy: the slow mount of the drills.
.venv/.slurm: pyproject.toml constraints.txt | .venv/.dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[slurm]' fusepy==3.0.1
	touch $@

.venv-ants/.ready: constraints-ants.txt
	$(PYTHON) -m venv .venv-ants
	.venv-ants/bin/python -m pip install --quiet --requirement constraints-ants.txt
	touch $@

.venv-audit/.ready: constraints-audit.txt
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --requirement constraints-audit.txt
	touch $@

clean: ## remove the environment and caches; results stay
	rm -rf .venv .venv-ants .venv-audit .mypy_cache .ruff_cache .pytest_cache .hypothesis
