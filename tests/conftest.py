"""Fixtures of all tests."""

import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from mask2former.data_tools.shapes import generate_shapes
from tests import quicker
from tests.tiny import TinyRun, make_tiny_run, train, write_config


def _stay_at_home(event: str, arguments: tuple) -> None:
    """Refuse a connection that leaves this computer."""
    if event != 'socket.connect' or not isinstance(address := arguments[1], tuple):
        return
    host = address[0]
    try:
        number = ipaddress.ip_address(host)
        local = number.is_loopback or number.is_unspecified
    except ValueError:
        local = host in ('localhost', socket.gethostname())
    if not local:
        raise ConnectionRefusedError(f'tests use no network, but one connects to {host}')


sys.addaudithook(_stay_at_home)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption('--slow', action='store_true', help='run the tests marked slow, too: minutes each')


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption('--slow'):
        for item in items:
            if item.get_closest_marker('slow'):
                item.add_marker(pytest.mark.skip(reason='takes minutes: run it with --slow'))


@pytest.fixture(scope='module', autouse=True)
def _quicker() -> None:
    quicker.freeze_imports()


class Run(NamedTuple):
    """Paths of a training of eight iterations that saved and validated after four and after eight."""

    config: Path
    half: Path
    full: Path


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real data, ``$MASK2FORMER_DATA``, by default ``data`` here; skips where there is none."""
    root = Path(os.environ.get('MASK2FORMER_DATA') or Path(__file__).resolve().parents[1] / 'data')
    if not (root / 'coco_panoptic_200').is_dir():
        pytest.skip("no real data: set MASK2FORMER_DATA to a folder with 'coco_panoptic_200'")
    return root


@pytest.fixture(scope='session')
def shapes(tmp_path_factory) -> Path:
    """Eight images 64 x 96 to train on, and five to test on: an odd number, so that two processes share unevenly."""
    folder = tmp_path_factory.mktemp('shapes')
    generate_shapes(folder, num_train=8, num_val=5, size=(64, 96))
    return folder


@pytest.fixture(scope='session')
def tiny_run(tmp_path_factory) -> TinyRun:
    """A model of one iteration with four images to test on, which nobody changes."""
    return make_tiny_run(tmp_path_factory.mktemp('tiny_run'))


@pytest.fixture(scope='session')
def run(shapes, tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp('run')
    config = write_config(folder, shapes)
    # Seeded, as what an untrained model predicts depends on its weights.
    train(config, train_cfg__max_iters=8, default_hooks__checkpoint__save_best='PQ', randomness__seed=0)
    return Run(config, folder / 'work' / 'iter_4.pth', folder / 'work' / 'iter_8.pth')
