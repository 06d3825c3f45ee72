"""The benchmark of deformable attention at a tiny size."""

import json

import pytest
import torch

from benchmarks import deformable_attention
from mask2former.errors import ConfigError
from mask2former.ops import available_backends


@pytest.fixture
def tool(monkeypatch):
    """Runs the tool in this process."""

    def call(*arguments):
        monkeypatch.setattr('sys.argv', ['deformable_attention.py', *map(str, arguments)])
        deformable_attention.main()

    return call


def test_all_backends_are_timed(tool, tmp_path, capsys):
    tool('--device', 'cpu', '--sizes', '64', '40x72', '--repeats', 2, '--warmup', 1, '--json', tmp_path / 'out.json')
    figures = json.loads((tmp_path / 'out.json').read_text())
    names = available_backends(torch.empty(1))
    assert [(row['size'], row['tokens'], row['backend']) for row in figures['results']] == [
        (size, tokens, name) for size, tokens in (('64x64', 4 + 16 + 64), ('40x72', 6 + 15 + 45)) for name in names
    ]
    assert all(row['forward_ms'] > 0 and row['forward_backward_ms'] > 0 for row in figures['results'])
    assert (figures['dtype'], figures['repeats'], figures['batch_size']) == ('float32', 2, 1)
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*names, '64x64', '40x72', 'forward_backward_ms'))


def test_backends_take_turns_and_get_what_was_asked_for(tool, monkeypatch):
    calls = []

    def ms_deform_attn(value, level_shapes, locations, weights, backend):
        assert value.dtype == torch.bfloat16 and locations.dtype == weights.dtype == torch.float32
        assert value.shape == (2, 21, 8, 32) and level_shapes == [(1, 1), (2, 2), (4, 4)]
        assert locations.shape == (2, 21, 8, 3, 4, 2) and weights.shape == (2, 21, 8, 3, 4)
        calls.append((backend, torch.is_grad_enabled()))
        return (value.sum(1, keepdim=True) * locations.sum() * weights.sum()).flatten(2).expand(-1, 21, -1)

    monkeypatch.setattr(deformable_attention, 'available_backends', lambda value: ['a', 'b', 'c'])
    monkeypatch.setattr(deformable_attention, 'ms_deform_attn', ms_deform_attn)
    tool(
        '--device',
        'cpu',
        '--sizes',
        32,
        '--repeats',
        2,
        '--warmup',
        1,
        '--dtype',
        'bfloat16',
        '--batch-size',
        2,
        '--backends',
        'c',
        'a',
    )
    assert calls == [('c', False), ('a', False)] * 3 + [('c', True), ('a', True)] * 3


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--backends', 'native', 'nosuch'], 'nosuch cannot run on cpu here; available: '),
        (['--sizes', '64x'], "'64x' is no size"),
        (['--sizes', '1x2x3'], 'is no size'),
        (['--sizes', '0'], 'is no size'),
        (['--repeats', '0'], "'0' is no positive whole number"),
    ],
)
def test_false_arguments_end_with_a_sentence(tool, arguments, message, capsys):
    with pytest.raises((SystemExit, ConfigError)) as error:
        tool('--device', 'cpu', *arguments)
    assert message in str(error.value) + capsys.readouterr().err
