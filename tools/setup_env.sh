#!/usr/bin/env bash
# Make .venv in the repository root: the pinned packages of requirements/lock.txt, and this project, editable.
# Running it again is cheap: nothing is done while the pinned packages are the same.
#
# Usage: tools/setup_env.sh [--tests]
#   --tests   also install what the tests need (requirements/lock-tests.txt, lock-timm.txt)
#   PYTHON    the interpreter to make .venv with (default: python3)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "setup_env: $1" >&2
    exit 1
}

tests=false
case "$#:${1:-}" in
0:) ;;
1:--tests) tests=true ;;
*) fail "unknown arguments '$*'; usage: tools/setup_env.sh [--tests]" ;;
esac

PYTHON=${PYTHON:-python3}
command -v "$PYTHON" >/dev/null || fail "'$PYTHON' was not found; install Python 3.11 or newer, or set PYTHON to one."
version=$("$PYTHON" -c 'import platform; print(platform.python_version())') ||
    fail "'$PYTHON' does not run; install Python 3.11 or newer, or set PYTHON to one."
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "'$PYTHON' is Python $version, the pinned packages need 3.11 or newer; set PYTHON to such an interpreter."

# What a finished environment was made of. The path is part of it: a virtual environment cannot be moved.
digest() {
    { echo "$version $PWD" && cat setup.py setup.cfg model-index.yml "$@"; } | cksum
}
stamp=.venv/mask2former-runtime.stamp
stamp_tests=.venv/mask2former-tests.stamp
stamp_torch=.venv/mask2former-torch.stamp # the version, and 'cpu' or 'default'
want=$(digest requirements/lock.txt)
want_tests=$(digest requirements/lock.txt requirements/lock-tests.txt requirements/lock-timm.txt)

is_current() {
    [[ -f $1 && $(<"$1") == "$2" ]]
}

torch=$(grep '^torch==' requirements/lock.txt)

has_gpu() {
    nvidia-smi -L >/dev/null 2>&1
}

# Where a GPU has come since the CPU build was installed, it is not. The default build serves a machine without one, too.
torch_is_current() {
    is_current "$stamp_torch" "$torch default" || { is_current "$stamp_torch" "$torch cpu" && ! has_gpu; }
}

if is_current "$stamp" "$want" && torch_is_current && { ! $tests || is_current "$stamp_tests" "$want_tests"; }; then
    echo 'setup_env: the environment in .venv is up to date'
    exit 0
fi

pip_install() {
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --no-compile "$@"
}

# Usage: install_locked FILE [further arguments of pip]
install_locked() {
    echo "setup_env: installing $1"
    pip_install --no-deps --only-binary=:all: -r "$@" ||
        fail "the packages of $1 could not be installed (pip's words are above); check the network and run this again."
}

# torch alone differs between machines. Without an NVIDIA GPU its CPU build is enough, and much smaller. With one, or
# where there is no CPU build (macOS), the default build is taken with the libraries that it asks for, which no lock
# file can name for all machines.
install_torch() {
    rm -f "$stamp_torch"
    echo "setup_env: installing $torch"
    if ! has_gpu; then
        if pip_install --no-deps --only-binary=:all: "$torch+cpu" 2>/dev/null ||
            pip_install --no-deps --only-binary=:all: --extra-index-url https://download.pytorch.org/whl/cpu \
                "$torch+cpu" 2>/dev/null; then
            echo "$torch cpu" >"$stamp_torch"
            return
        fi
        echo 'setup_env: pip finds no CPU build of torch; taking the default one (on Linux, gigabytes with its libraries)'
    fi
    if compgen -G '.venv/lib/python*/site-packages/torch-*+cpu.dist-info' >/dev/null; then # pip would take it for ours
        .venv/bin/python -m pip uninstall --quiet --yes torch
    fi
    pip_install --only-binary=:all: --constraint requirements/lock.txt "$torch" ||
        fail "$torch could not be installed (pip's words are above); check the network and run this again."
    echo "$torch default" >"$stamp_torch"
}

if ! is_current "$stamp" "$want"; then
    if [[ -e .venv ]] && ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        echo 'setup_env: .venv is incomplete; making it again'
        rm -rf .venv
    elif [[ -e .venv && $(.venv/bin/python -c 'import platform; print(platform.python_version())') != "$version" ]]; then
        echo "setup_env: .venv has another Python than $version; making it again"
        rm -rf .venv
    fi
    if [[ ! -e .venv ]]; then
        echo "setup_env: making .venv with Python $version"
        "$PYTHON" -m venv .venv ||
            fail "'$PYTHON -m venv' failed (its words are above); on Debian or Ubuntu, install python3-venv."
    fi
    rm -f "$stamp" "$stamp_tests"
    # Both packages own the folder cv2: the headless one of the lock takes the place of the other.
    if compgen -G '.venv/lib/python*/site-packages/opencv_python-*.dist-info' >/dev/null; then
        echo 'setup_env: removing opencv-python in favour of opencv-python-headless'
        .venv/bin/python -m pip uninstall --quiet --yes opencv-python opencv-python-headless
    fi
fi
torch_is_current || install_torch
if ! is_current "$stamp" "$want"; then
    install_locked requirements/lock.txt
    echo 'setup_env: installing mask2former, editable'
    pip_install --no-deps --no-build-isolation --editable . ||
        fail "mask2former itself could not be installed (pip's words are above); check that the checkout is complete."
    echo "$want" >"$stamp"
fi
if $tests && ! is_current "$stamp_tests" "$want_tests"; then
    install_locked requirements/lock-tests.txt
    # In a folder of its own: where torchvision is found, others would use it, and it fails beside a torch without CUDA.
    install_locked requirements/lock-timm.txt --upgrade --target .venv/timm
    echo "$want_tests" >"$stamp_tests"
fi
echo 'setup_env: .venv is ready'
