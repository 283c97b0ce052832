# make test: ruff, mypy, pytest.  make coverage: pytest with coverage, and its floors.  make test-slurm: jobs of a real SLURM.
# make test-browser: the annotator's pages in Debian's chromium.  make docs: the site, strictly; tests/test_docs.py checks links at every test.
# make wheel-test: the wheel, installed into a fresh environment and used.  make lowest-test: the tests with the lowest versions.
# make quickstart: evaluate, fine-tune and use a network that ships, on real photos.  All but wheel-test, lowest-test and clean set up .venv.
PYTHON ?= python3
RUN = runs/quickstart
BIN = .venv/bin
# compat: the clone's packages stand before a folder `configs` of the project that imports interseg
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --config-settings editable_mode=compat --editable
PHOTOS = $(shell $(BIN)/python -c 'from importlib.resources import files; print(files("skimage") / "data")' 2>/dev/null)

.PHONY: test coverage test-slurm test-browser docs wheel-test lowest-test lint quickstart clean
.DELETE_ON_ERROR:

.venv/ready: setup.cfg pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 12) else f"Python 3.11 or 3.12 is needed, $(PYTHON) is {sys.version.split()[0]}; make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(INSTALL) '.[test]'
	touch $@

# two processes of one thread each
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

coverage: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=
	$(BIN)/coverage report --include='interseg/*' --fail-under=97
	$(BIN)/coverage report --omit='interseg/*' --fail-under=93

test-slurm: .venv/ready
	command -v slurmctld munged || { apt-get update && apt-get install --yes slurm-wlm munge; }
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -m slurm tests/slurm

test-browser: .venv/ready
	command -v chromium || { apt-get update && apt-get install --yes chromium; }
	$(BIN)/python -m pytest -rs tests/annotate/test_browser.py tests/annotate/teaching/test_page.py

docs: .venv/ready-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open site/index.html"

wheel-test:
	PYTHON=$(PYTHON) .ci/wheel

# the tests with the lowest versions that setup.cfg allows, in an environment of their own
lowest-test:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --resolution lowest-direct --editable '.[test]'
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n 2 --dist loadfile

.venv/ready-docs: .venv/ready
	$(INSTALL) '.[docs]'
	touch $@

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

quickstart: .venv/ready
	$(BIN)/python evaluate.py --checkpoint interseg-lite --config data/samples.yaml run=$(RUN)/shipped overwrite=true
	$(BIN)/python train.py --config itis/once.yaml --config itis/ritm.yaml --config finetune.yaml --config data/samples.yaml callbacks.features.folder=null run=$(RUN)/tuning overwrite=true
	$(BIN)/python evaluate.py --checkpoint $(RUN)/tuning run=$(RUN)/tuning/evaluated overwrite=true
	$(BIN)/python compare.py shipped=$(RUN)/shipped tuned=$(RUN)/tuning/evaluated --out $(RUN)/compare.html
	$(BIN)/python predict.py --checkpoint $(RUN)/tuning --images $(PHOTOS) --clicks docs/quickstart.csv --out $(RUN)/masks overwrite=true
	@echo "Open $(RUN)/tuning/evaluated/report.html, $(RUN)/compare.html and $(RUN)/masks"

clean:
	rm -rf .venv .venv-lowest runs site build dist .cache .coverage .mypy_cache .ruff_cache *.egg-info
