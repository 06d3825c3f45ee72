"""SECURITY.md names tests that exist; neither importing the package nor its tests go to the network."""

import re
import socket
import subprocess
import sys

import pytest

from tests.tiny import ROOT

IMPORTS = """
import sys
tried = []
NETWORK = ('socket.connect', 'socket.getaddrinfo')
sys.addaudithook(lambda event, arguments: tried.append(event) if event in NETWORK else None)
import importlib, pkgutil, mask2former
count = 0
for part in pkgutil.walk_packages(mask2former.__path__, 'mask2former.'):
    if part.name.endswith(('__main__', 'torch_tensorrt')):
        continue
    try:
        importlib.import_module(part.name)
    except ImportError as error:  # an optional package
        assert 'mask2former' not in (error.name or ''), error
        continue
    count += 1
assert count > 200, count
assert not tried, tried
"""


def test_the_page_s_tests_exist():
    named = re.findall(r'`(tests/[\w/]+\.py)`', (ROOT / 'SECURITY.md').read_text(encoding='utf-8'))
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_no_part_tries_the_network_when_it_is_imported():
    done = subprocess.run([sys.executable, '-c', IMPORTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize('address', [('192.0.2.1', 80), ('2001:db8::1', 80, 0, 0)])
def test_tests_stay_on_this_computer(address):
    family = socket.AF_INET if len(address) == 2 else socket.AF_INET6
    with socket.socket(family) as client, pytest.raises(ConnectionRefusedError, match='tests use no network'):
        client.connect(address)
