# make all    the embedded study, from base model to figures        make demo   the same in about a minute
# make claims  every claim judged: config/claims_study.yaml, about an hour and a half
# make test   every test                                            make lint   what keeps the house clean
# make slurm-test   the demo on a real SLURM on this machine (root, apt)      make slurm-test-full   and what can go wrong
# make clean-scratch  what stopped runs have left to go on from; REMOVE=all or REMOVE=IDENTITY takes it away
# make bench  everybody's numbers side by side (about five minutes)
# make publish  a study's figures, tables and numbers into docs/figures, README and docs (STUDY=name; default)
PYTHON ?= python3.11
CORES  ?= 2
BIN    := .venv/bin
STUDY  ?= default

.PHONY: all claims demo test lint lock schema bench publish clean-scratch slurm-test slurm-test-full

all: .venv/ready
	@test -f config/$(STUDY).yaml || { echo "error: config/$(STUDY).yaml does not exist" >&2; exit 2; }
	@$(BIN)/snakemake --cores $(CORES) --quiet reason host --configfile config/$(STUDY).yaml -- all

claims:
	@$(MAKE) --no-print-directory all STUDY=claims_study

demo: .venv/ready
	@$(BIN)/snakemake --cores $(CORES) --quiet reason host --configfile config/demo.yaml -- all
	@echo "all of it in one page: figs/demo/report.html"

test: .venv/ready
	$(BIN)/python -m pytest tests

slurm-test: .venv/ready
	$(BIN)/python tests/slurm/cluster.py $(BIN)/python -m pytest tests/slurm/test_all.py

slurm-test-full: .venv/ready
	$(BIN)/python tests/slurm/cluster.py $(BIN)/python -m pytest tests/slurm

lint: .venv/ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/rules && $(BIN)/snakemake --lint

.venv/ready: requirements.lock
	@echo "setting up .venv (about two minutes; log: .venv-setup.log)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -r requirements.lock > .venv-setup.log 2>&1 || (tail -n 5 .venv-setup.log; exit 1)
	@$(BIN)/pip install --no-deps -e . >> .venv-setup.log 2>&1 || (tail -n 5 .venv-setup.log; exit 1)
	@touch $@

lock: .venv/ready
	$(BIN)/pip install -q pip-tools
	$(BIN)/pip-compile -q --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header -o requirements.lock requirements.in
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.lock
	$(BIN)/python scripts/write_environment.py

clean-scratch: .venv/ready
	@$(BIN)/python scripts/clean_scratch.py $(if $(REMOVE),--remove $(REMOVE))

schema: .venv/ready
	$(BIN)/python scripts/write_schema.py

publish: .venv/ready
	@$(BIN)/python scripts/publish.py --study $(STUDY)

bench: .bench-venv/ready
	@.bench-venv/bin/python benchmarks/run.py

.bench-venv/ready: benchmarks/contenders.txt requirements.lock
	@echo "setting up .bench-venv, where the contenders live (log: .bench-venv-setup.log)"
	@$(PYTHON) -m venv .bench-venv
	@.bench-venv/bin/pip install -r benchmarks/contenders.txt > .bench-venv-setup.log 2>&1 || (tail -n 5 .bench-venv-setup.log; exit 1)
	@.bench-venv/bin/pip install --no-deps -e . >> .bench-venv-setup.log 2>&1 || (tail -n 5 .bench-venv-setup.log; exit 1)
	@touch $@
