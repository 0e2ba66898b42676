# These targets need python3 (3.11 or newer), make and git. Everything goes into .venv; `make install` can be repeated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export PATH := $(abspath $(BIN)):$(PATH)
unexport PYTHONDONTWRITEBYTECODE # compiled imports of torch are several times faster
unexport VIRTUAL_ENV

# Photographs inside scikit-image, public domain or CC0, which the data set `sample` is cut from.
PHOTOGRAPHS = $(addprefix $(VENV)/lib/python3*/site-packages/skimage/data/,astronaut.png chelsea.png coffee.png)
DATA ?= sample

.PHONY: help install demo picture repro experiments test fuzz quick-test check format lint types tables speed lock clean

help: ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED) ## make .venv from the lock

$(INSTALLED): pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || { \
	  awk '/^uv==/{found=1} found{print} found && !/\\$$/{exit}' requirements.lock > $(VENV)/uv.txt && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt; }
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

demo: install ## in three minutes: a table of methods trained for a moment, and photographs in color
	bench run --method gray --data sample --preset smoke
	bench run --method l2 --data sample --preset smoke
	bench run --method cgan --data sample --preset smoke
	bench colorize $(PHOTOGRAPHS) --side-by-side --overwrite --out runs/demo
	@echo "runs/demo/*-side-by-side.png: gray, colored by the model in this repository (docs/house.md), the photograph"
	@echo "The table's methods have just begun to train. Minutes: bench run --method cgan --data sample --preset quick"
	@echo "Everything as one page for the browser: bench report --data sample --preset smoke"

picture: install ## draw README's picture with models of imagenette, preset quick: bench run --method l2 --data imagenette (…)
	bench strip --data imagenette --preset quick --photographs scikit-image

repro: install ## run the suite of params.yaml on DATA (sample) through DVC
	dvc repro leaderboard@$(DATA)

experiments: install ## show what `dvc exp run` measured and with what, without the hashes of files
	dvc exp show --param-deps --only-changed \
	  --drop '(benchmark|methods|datasets|params.yaml|(data|fingerprints|models|runs/results)/)'

test: install ## run every test and list the longest
	python -m pytest --durations=25

quick-test: install ## run all tests but the slow ones, for use many times a day
	python -m pytest -m "not slow"

fuzz: install ## run the fuzzers for an hour; FUZZ_SECONDS=… and FUZZ_SEED=… change that
	FUZZ_SECONDS=$${FUZZ_SECONDS:-3600} python -m pytest -s tests/fuzz

check: install format lint types test ## format, lint, types, tests

format: install ## format the code
	ruff format .

lint: install ## lint, and fail on unformatted code
	ruff check .
	ruff format --check .

types: install ## check types
	mypy

tables: install ## regenerate the tables from the committed results, and fail if they differ
	bench leaderboard --check
	bench claims --check
	bench findings --check
	bench card --check
	bench published --check

speed: install ## run the benchmarks, which print ratios against the usual way
	missed=; for file in tests/speed/bench_*.py; do echo "== $$file"; python $$file || missed="$$missed $$file"; done; \
	  test -z "$$missed" || { echo "missed a target or failed:$$missed"; exit 1; }

lock: install ## resolve the lock anew
	uv pip compile --quiet --all-extras --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	  --no-annotate --no-header --upgrade pyproject.toml --output-file requirements.lock

clean: ## remove the environment and caches; data, models and results stay
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache
