"""What is imported only when it is used is found under its name, and is the real thing then."""

import json
import subprocess
import sys

import pytest

from mask2former.postponed import _REGISTERED


def run_fresh(code: str) -> object:
    """What code prints as JSON in a fresh interpreter, in which nothing was imported yet."""
    code = f'import json, sys, mask2former, torch\nfrom torch import nn\n{code}'
    process = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def test_every_part_is_found_and_real_once_it_is_used():
    pytest.importorskip('transformers')
    rows = [(module, *row.split('.'), name) for module, (row, names) in _REGISTERED.items() for name in names]
    found = run_fresh(
        'import importlib\nfrom mask2former.postponed import Postponed\nfound = []\n'
        f'for module, package, registry, name in {rows!r}:\n'
        "    registry = getattr(importlib.import_module(package + '.registry'), registry)\n"
        '    stand_in = registry.get(name)\n'
        '    postponed = type(stand_in) is Postponed\n'
        '    real = stand_in.real() if postponed else stand_in\n'
        '    same = getattr(sys.modules[module], name) is real is registry.get(name)\n'
        '    found.append([name, postponed, type(real) is not Postponed and same])\n'
        'print(json.dumps(found))'
    )
    # The second name of a module is real as soon as the first one was asked for.
    later = {'RandomSamplingNegPos', 'LVISFixedAPMetric'}
    assert found == [[name, name not in later, True] for *_, name in rows]


def test_optimizers_of_others_are_built():
    pytest.importorskip('transformers')
    assert run_fresh(
        'from mmengine.registry import OPTIMIZERS\n'
        "assert 'transformers' not in sys.modules\n"
        "built = OPTIMIZERS.build(dict(type='Adafactor', params=nn.Linear(2, 2).parameters()))\n"
        'import transformers\n'
        'print(json.dumps([type(built) is transformers.Adafactor, OPTIMIZERS.get("Adafactor").__name__]))'
    ) == [True, 'Adafactor']


def test_nothing_is_imported_to_see_that_a_model_is_no_wrapper_and_classes_can_be_derived():
    assert run_fresh(
        'from mmengine.model import MMFullyShardedDataParallel, is_model_wrapper\n'
        "first = [is_model_wrapper(nn.Linear(2, 2)), 'torch.distributed.fsdp' in sys.modules]\n"
        'class Derived(MMFullyShardedDataParallel):\n    pass\n'
        'from torch.distributed.fsdp import FullyShardedDataParallel\n'
        'print(json.dumps([*first, issubclass(Derived, FullyShardedDataParallel), is_model_wrapper(nn.Linear(2, 2))]))'
    ) == [False, False, True, False]
