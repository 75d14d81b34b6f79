PYTHON ?= python3
VENV ?= .venv

.PHONY: dev
dev:
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q -e '.[demo,dev]'
