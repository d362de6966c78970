# make setup | demo | test | check | clean: needs only make and Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Small systems: more threads than cores slow torch, OpenMM and BLAS down.
export OMP_NUM_THREADS ?= 2
export MKL_NUM_THREADS ?= 2
export OPENBLAS_NUM_THREADS ?= 2
export MPLBACKEND := Agg

DEMO := demo
PULLS := examples/deca_alanine

.PHONY: setup demo picture test check format docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "smdgen needs Python 3.11 or newer; name one with: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,dev]'
	@touch $@

# The main job on the shipped pulls: from steered-MD files to new pulls that open in VMD and PyMOL.
demo: $(STAMP)
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(BIN)/smdgen prepare $(PULLS)/pulls/*.dcd --top $(PULLS)/deca_alanine.psf --run $(DEMO)
	$(BIN)/smdgen train-vae --run $(DEMO)
	$(BIN)/smdgen train-lstm --run $(DEMO)
	$(BIN)/smdgen rollout $(PULLS)/deca_alanine.pdb --steps 10 --samples 8 --seed 1 --run $(DEMO)
	$(BIN)/smdgen analyze --run $(DEMO)

# The pictures of the README, from the demo's own rollout.
picture: demo
	@mkdir -p docs/images
	cp $(DEMO)/analysis/film.png docs/images/rollout.png
	cp $(DEMO)/analysis/cv.png docs/images/cv.png

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python docs/make_cli_page.py

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
