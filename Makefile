# `make help` lists what there is. Nothing here asks a question.

PYTHON ?= python3
PY := .venv/bin/python

# What production sets; nothing answers at these addresses, and nothing here asks them.
PRODUCTION := SECRET_KEY=not-a-secret-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGH \
	SITE_URL=https://help.example.org ALLOWED_HOSTS=help.example.org \
	DATABASE_URL=postgres://helpdesk@127.0.0.1:1/helpdesk REDIS_URL=redis://127.0.0.1:1/0

.DEFAULT_GOAL := help
.PHONY: help setup run test lint fuzz bench chaos words pictures

help: ## List the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

setup: ## Make .venv and install what is needed (run, test, lint and bench do it first)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed: sudo apt-get install python3 python3-venv," \
	       "or name another one, as in: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is missing: sudo apt-get install python3-venv" >&2; exit 1; }
	@wanted="$$($(PYTHON) -V) $$(cat requirements.txt requirements-dev.txt | cksum)"; \
	if [ "$$(cat .venv/installed 2>/dev/null)" != "$$wanted" ]; then \
	  echo "Installing into .venv; this takes a minute the first time."; \
	  [ "$$($(PY) -V 2>/dev/null)" = "$$($(PYTHON) -V)" ] && $(PY) -m pip -V >/dev/null 2>&1 \
	    || $(PYTHON) -m venv --clear .venv || exit 1; \
	  $(PY) -m pip install -qq --disable-pip-version-check -r requirements-dev.txt || exit 1; \
	  echo "$$wanted" > .venv/installed; \
	fi

run: setup ## Run the helpdesk until Ctrl-C (PORT=8001 and HELPDESK_DATA=folder move it)
	@exec $(PY) manage.py up

test: lint ## Run every check and every test
	@$(PY) -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

lint: setup ## Run every check that needs no database
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy .
	@.venv/bin/lint-imports
	@$(PRODUCTION) $(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	@$(PRODUCTION) $(PY) manage.py check --deploy --fail-level WARNING

fuzz: setup ## Read 20,000 broken mails, others with MAIL_FUZZ_SEED=5 (`make test` reads 5,000)
	@MAIL_FUZZ=20000 $(PY) -m pytest -q tests/tickets/test_mail_fuzz.py

words: setup ## Compile what the server says to visitors in their languages (needs gettext)
	@cd chat && ../.venv/bin/python -m django compilemessages

pictures: setup ## Take the pictures of docs/img anew
	@$(PY) -m pytest -q tests/browser/pictures.py

bench: setup ## Measure against the floors and write var/bench.json
	@$(PY) -m bench

chaos: setup ## Kill everything in turn while 500 visitors talk, and write var/chaos.json
	@$(PY) -m bench.chaos
