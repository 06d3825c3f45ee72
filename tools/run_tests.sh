#!/usr/bin/env bash
# Run the tests in .venv, which is made first if needed.
#
# Usage: tools/run_tests.sh [pytest arguments]     (default: all tests but the slow ones, in two processes; --slow: those, too)
#   PYTHON    the interpreter to make .venv with (default: python3)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tools/setup_env.sh --tests
if [[ $# -eq 0 ]]; then
    set -- tests -n 2 --dist loadfile
fi
# One thread each: processes that all take every core slow each other down.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# Tests start many processes. Where Python is told to write no bytecode, each compiles thousands of modules for as long as
# all the rest of its start takes: so it is written, but away from the sources.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$PWD/.venv/pycache
exec .venv/bin/python -m pytest "$@"
