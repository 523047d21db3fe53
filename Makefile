# make demo                run the quickstart scenario, leave a report
# make test                the tests that the light install can run
# make test EXTRAS=all     all tests and static checks, with everything they need
# make test PYTHON=…       with another Python, e.g. python3.12, in an environment of its own
# make check               static checks: ruff, mypy
# make audit               known vulnerabilities of what the light install brings; asks PyPI's database, so needs a network
# make faults              the README's table of faults, tried anew
# make picture             the pictures of the README: the demo's player, still and moving, and its report
# make clean               remove the environment and what was built
#
# Each makes its own environment in .venv (.venv-python3.12 …) when it has to (uv where it is, else venv and pip).

EXTRAS ?=
# a Python that is named on the command line has an environment of its own
VENV := $(if $(filter command line,$(origin PYTHON)),.venv-$(notdir $(PYTHON)),.venv)
export VENV
BIN := $(VENV)/bin
ALL := test,scipy,sklearn,torch,ray,numba,plot,frames,parquet,tensorboard,mlflow,wandb,metrics,browser,notebook,check

.PHONY: demo test check audit faults picture clean help

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -11

demo:
	@.ci/environment
	@$(BIN)/asyncsim demo

ifeq ($(EXTRAS),all)
test:
	@.ci/environment $(ALL)
	@.ci/browser && .ci/prometheus
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest -q
else
test:
	@.ci/environment test$(if $(EXTRAS),$(comma)$(EXTRAS))
	@$(BIN)/python -m pytest -q
endif

check:
	@.ci/environment $(ALL)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

audit:
	@.ci/environment audit
	@$(BIN)/pip-audit --strict --skip-editable

faults:
	@.ci/environment $(ALL)
	@.ci/browser && .ci/prometheus
	@$(BIN)/python tests/faults.py

picture:
	@.ci/environment picture && .ci/browser
	@test -f runs/quickstart/report.html || $(BIN)/asyncsim demo -o runs/quickstart
	@$(BIN)/asyncsim report runs/quickstart
	@$(BIN)/python docs/picture.py runs/quickstart

clean:
	rm -rf .venv .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

comma := ,
