"""The set-up of .venv, with a stand-in for Python that writes down what pip is asked for."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tiny import ROOT

PYTHON = """#!/usr/bin/env bash
site=.venv/lib/python3.11/site-packages
case "$*" in
*platform.python_version*) echo 3.11.7 ;;
"-m venv .venv") mkdir -p .venv/bin $site && cp "$0" .venv/bin/python ;;
"-m pip --version") ;;
"-m pip "*)
    echo "$*" >>pip.log
    case "$*" in
    *uninstall*torch*) rm -rf $site/torch-*.dist-info ;;
    *torch==*+cpu) mkdir -p "$site/torch-2+cpu.dist-info" ;;
    esac ;;
esac
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    (tmp_path / 'tools').mkdir()
    for name in ('tools/setup_env.sh', 'setup.py', 'setup.cfg', 'model-index.yml'):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / 'requirements', tmp_path / 'requirements')
    write_command(tmp_path / 'python', PYTHON)
    return tmp_path


def write_command(path, text):
    path.write_text(text)
    path.chmod(0o755)


def set_up(checkout):
    """Run the script; returns what it said, and what pip was asked for."""
    log = checkout / 'pip.log'
    log.write_text('')
    env = dict(os.environ, PYTHON=str(checkout / 'python'), PATH=f'{checkout}:{os.environ["PATH"]}')
    command = ['bash', 'tools/setup_env.sh']
    process = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    return process.stdout, log.read_text().splitlines()


def test_torch_follows_a_gpu_that_comes_later(checkout):
    write_command(checkout / 'nvidia-smi', '#!/bin/sh\nexit 9\n')
    said, asked = set_up(checkout)
    assert 'is ready' in said and any(line.endswith('+cpu') for line in asked)
    assert any(line.endswith('-r requirements/lock.txt') for line in asked)
    assert set_up(checkout) == ('setup_env: the environment in .venv is up to date\n', [])

    write_command(checkout / 'nvidia-smi', '#!/bin/sh\nexit 0\n')
    said, [removed, installed] = set_up(checkout)
    assert ' uninstall ' in removed and removed.endswith('torch')
    assert '+cpu' not in installed and 'torch==' in installed and '--no-deps' not in installed
    assert 'up to date' in set_up(checkout)[0]

    write_command(checkout / 'nvidia-smi', '#!/bin/sh\nexit 9\n')  # as on the login node of a cluster
    assert 'up to date' in set_up(checkout)[0]


def test_what_else_changed_leaves_torch_alone(checkout):
    write_command(checkout / 'nvidia-smi', '#!/bin/sh\nexit 9\n')
    set_up(checkout)
    with open(checkout / 'setup.cfg', 'a') as file:
        file.write('# changed\n')
    _, asked = set_up(checkout)
    assert asked and not any('torch==' in line for line in asked)
