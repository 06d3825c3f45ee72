"""Keeping freed memory: only where glibc is, and not against the user's own settings."""

import os
import subprocess
import sys

import pytest

from mask2former.engine.allocator import keep_freed_memory

# Resident memory after a large block was freed, in MB.
MEASURE = """
import sys, torch
from mask2former.engine.allocator import keep_freed_memory
if sys.argv[1] == 'keep':
    assert keep_freed_memory()
x = torch.ones(100 * 2**18)
del x
with open('/proc/self/status') as f:
    print(next(int(line.split()[1]) // 1024 for line in f if line.startswith('VmRSS:')))
"""


@pytest.mark.skipif(not os.path.exists('/proc/self/status'), reason='reads the memory from /proc, as on Linux')
def test_freed_memory_is_kept():
    environment = {key: value for key, value in os.environ.items() if not key.startswith('MALLOC_')}
    kept, given_back = (
        int(
            subprocess.run(
                [sys.executable, '-c', MEASURE, word], env=environment, check=True, capture_output=True, text=True
            ).stdout
        )
        for word in ('keep', 'not')
    )
    assert 80 < kept - given_back < 120


@pytest.mark.parametrize('name', ['MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_MAX_'])
def test_own_settings_win(name, monkeypatch):
    monkeypatch.setenv(name, '1')
    assert not keep_freed_memory()


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, 'platform', 'darwin')
    assert not keep_freed_memory()
