#!/bin/sh
# Installs FrameCue into a virtual environment at the versions of constraints.txt. `make setup` and the Dockerfile call it.
#   deploy/install.sh VENV EXTRAS [PIP OPTIONS]      EXTRAS: as in pyproject.toml, with commas; may be empty
#   PYTHON: what makes the environment where there is none (python3)
set -eu
cd "$(dirname "$0")/.."
venv=$1
extras=$2
shift 2
test -x "$venv/bin/python" || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" ".${extras:+[$extras]}" -c constraints.txt
