# What a contributor types; .ci/run runs the same targets in a fresh virtual environment.
.PHONY: install format check lint test docs wheel

SOURCES = h2rh_env experts policies real_robot integrations benchmarks examples train.py evaluate.py docs/site_hooks.py

install:
	python -m pip install -c constraints.txt -e ".[dev]"

format:
	ruff check --fix .
	ruff format .

check: lint test docs

lint:
	ruff check .
	ruff format --check .
	mypy $(SOURCES)
	lint-imports

test:
	pytest

docs:
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

wheel:
	python -m build
