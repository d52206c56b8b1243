# Two commands are the whole set-up: `make demo` and `make test`. Each makes what it needs and may be repeated at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt
SOURCES := $(shell find agents orchestration tuning cli -name '*.py' -o -name py.typed)

.PHONY: demo test nightly lint bench bench-tuning screens clean help

demo: $(VENV)/.package  ## Install, fetch the base checkpoints, and answer questions about four invented companies
	$(BIN)/coterie models fetch
	$(BIN)/python examples/finance_desk.py

test: $(VENV)/.package $(VENV)/.test  ## Run the whole test suite against the installed package
	$(BIN)/python -m pytest

nightly: $(VENV)/.package $(VENV)/.test  ## Run the long tests: 50,000 drawn graphs, 20,000 simulated worlds, every system call
	HYPOTHESIS_EXAMPLES=50000 SIMULATION_SEEDS=20000 MACHINE_EXAMPLES=300 $(BIN)/python -m pytest --override-ini timeout=0 -m "nightly or not nightly" tests/orchestration

lint: $(VENV)/.package $(VENV)/.test $(VENV)/.lint  ## Check style, and types on the installed package
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd $(VENV) && bin/python -m mypy --config-file ../pyproject.toml -p coterie.agents -p coterie.orchestration -p coterie.tuning -p coterie.cli
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/.package  ## Measure orchestration and durability beside their peers, what reviewers wait for and, with TATQA=folder, retrieval beside its own
	$(BIN)/python benchmarks/orchestration.py
	$(BIN)/python benchmarks/durability.py
	$(BIN)/python benchmarks/review.py
	$(if $(TATQA),$(BIN)/python benchmarks/retrieval.py $(TATQA),@echo "retrieval was left out: give TATQA=folder with test_passages.jsonl and test_queries.jsonl")

bench-tuning: $(VENV)/.package $(VENV)/.test  ## Measure what tuning gives each kind of role, with DATA=folder of the data sets
	test -n "$(DATA)" || (echo "give DATA=folder with banking77, phrasebank, headlines, tatqa, mathdial"; exit 2)
	for task in banking77 phrasebank headlines; do $(BIN)/python benchmarks/tuning_classifier.py $(DATA) --task $$task --recipe best --seeds 0,1,2 || exit 1; done
	$(BIN)/python benchmarks/tuning_retriever.py $(DATA)/tatqa --seeds 3
	$(BIN)/python benchmarks/tuning_dialogue.py $(DATA)/mathdial
	$(BIN)/python benchmarks/learning.py $(DATA)/headlines/train.jsonl

screens: $(VENV)/.package  ## Draw the pictures of docs/review.md anew
	$(BIN)/python docs/review_screens.py

$(VENV)/.dependencies: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing dependencies (a few minutes the first time)"
	$(PIP) setuptools
	$(PIP) .
	touch $@

$(VENV)/.package: $(VENV)/.dependencies $(SOURCES)
	rm -rf build
	$(PIP) --no-deps --no-build-isolation --force-reinstall .
	touch $@

$(VENV)/.test: $(VENV)/.dependencies
	$(PIP) '.[test]'
	touch $@

$(VENV)/.lint: $(VENV)/.dependencies
	$(PIP) '.[lint]'
	touch $@

clean:  ## Remove the environment and what was built
	rm -rf $(VENV) .venv-* build *.egg-info

help:  ## Say what each command does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'
