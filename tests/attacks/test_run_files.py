"""Broken files of a training's folder: ``mask2former info`` and the report pass over a line, or name the file."""

import pytest

from mask2former.auto.info_command import describe, run_info

from .kit import FINE, last_line

ROW = b'{"loss": 1.0, "step": 1, "time": 0.1}\n'
LINES = {
    'half a line': b'{"loss": 1.0, "st',
    'a number': b'7',
    'a list': b'[1, 2]',
    'null': b'null',
    'no loss': b'{"step": 2}',
    'a text for a step': b'{"loss": 1.0, "step": "2"}',
    'half a step': b'{"loss": 1.0, "step": 2.5}',
    'an infinite step': b'{"loss": 1.0, "step": Infinity}',
    'a step of 400 digits': b'{"loss": 1.0, "step": ' + b'9' * 400 + b'}',
    'an infinite time': b'{"loss": 1.0, "step": 2, "time": Infinity}',
    'no time at all': b'{"loss": 1.0, "step": 2, "time": NaN}',
    'a text for a time': b'{"loss": 1.0, "step": 2, "time": "long"}',
    'a number of 5000 digits': b'{"loss": ' + b'9' * 5000 + b', "step": 2}',
    'deep': b'[' * 100_000,
    'bytes': b'\xff\xfe\x00',
    'an object of objects': b'{"loss": {}, "step": 2}',
}
CURVES = {
    'nothing': b'',
    'half': b'[{"iter": 1',
    'an object': b'{}',
    'null': b'null',
    'numbers': b'[1, 2]',
    'no iteration': b'[{"PQ": 1.0}]',
    'a text for an iteration': b'[{"iter": "1"}]',
    'an infinite iteration': b'[{"iter": Infinity}]',
    'an iteration of 400 digits': b'[{"iter": ' + b'9' * 400 + b'}]',
    'a text for a metric': b'[{"iter": 1, "PQ": "good"}]',
    'deep': b'[' * 100_000,
    'bytes': b'\xff\xfe\x00',
}


def info_of(folder, log: bytes, curve: bytes | None = None) -> str:
    (folder / '1' / 'vis_data').mkdir(parents=True)
    (folder / '1' / 'vis_data' / 'scalars.json').write_bytes(log)
    if curve is not None:
        (folder / 'curve.json').write_bytes(curve)
    return last_line(lambda: describe(run_info(folder)))


@pytest.mark.parametrize('line', LINES.values(), ids=LINES)
def test_a_line_of_the_log(tmp_path, line):
    assert info_of(tmp_path, ROW + line + b'\n') == FINE
    assert run_info(tmp_path)['iteration'] == 1


@pytest.mark.parametrize('curve', CURVES.values(), ids=CURVES)
def test_a_curve(tmp_path, curve):
    said = info_of(tmp_path, ROW, curve)
    assert said == f"Error: '{tmp_path}/curve.json' is no curve of a training: remove it, or copy it again."


def test_what_a_training_may_log(tmp_path):
    log = b'{"loss": Infinity, "step": 3, "time": 1e300, "max_iters": 9}\n'
    assert info_of(tmp_path, ROW + log, b'[{"iter": 3, "PQ": NaN}]') == FINE
    info = run_info(tmp_path)
    assert (info['iteration'], info['max_iters'], len(info['curve'])) == (3, 9, 1)


def test_validations_in_the_log(tmp_path):
    """``tools/train.py`` writes no curve."""
    said = info_of(tmp_path, ROW + b'{"PQ": 80.12, "mIoU": 91.0, "time": 0.5, "step": 1}\n')
    assert said == FINE
    lines = describe(run_info(tmp_path)).splitlines()
    assert 'validation  after 1: PQ 80.1, mIoU 91.0' in lines
    assert not any(line.startswith('report') for line in lines)
