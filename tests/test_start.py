"""What a command imports before it works: little, so that ``--help`` and mistyped arguments are answered at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mask2former.apis.frame_tracker import TRACKING
from mask2former.apis.precision import DTYPES
from mask2former.checkpoints.convert import FORMATS
from mask2former.models.video import TASKS
from tests.forked import run_forked
from tests.tiny import ROOT

SLOW = ('torch', 'mmengine', 'mmcv', 'mmdet', 'scipy', 'matplotlib', 'transformers', 'gradio', 'pandas')
# Runs command lines one after another, and says of each how it ended, and what was imported until then.
RUN = """
import contextlib, io, json, runpy, sys
commands, slow = json.loads(sys.argv[1])
ends = []
for command in commands:
    sys.argv[:] = command
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            runpy.run_path(command[0], run_name='__main__')
    except SystemExit as end:
        ends.append([command, end.code, [name for name in slow if name in sys.modules]])
print(json.dumps(ends))
"""
# Predicts with a trained model, and says what was imported.
PREDICT = """
import json, sys
from mask2former.apis import SegInferencer
config, checkpoint, image, slow = json.loads(sys.argv[1])
[result] = SegInferencer(config, checkpoint, device='cpu')(image)
assert result.pred_panoptic_seg is not None
print(json.dumps([name for name in slow if name in sys.modules]))
"""


def test_arguments_are_parsed_before_torch_is_imported(tmp_path):
    tools = [path for folder in ('tools', 'demo') for path in sorted((ROOT / folder).rglob('*.py'))]
    tools = [path for path in tools if 'parse' in path.read_text() and 'space' not in path.parts]
    program = str(ROOT / 'projects' / 'mask2former' / '__main__.py')
    helped = [[str(path), '--help'] for path in tools]
    helped += [[program, *name, '--help'] for name in (['train'], ['predict'], ['info'], ['export'], ['demo'])]
    refused = [[str(ROOT / 'tools' / 'train.py'), '--ampp'], [program, 'predict'], [program, 'train', '--time', 'soon']]
    missing = [[str(ROOT / 'tools' / name), 'no.py', 'no.pth'] for name in ('test.py', 'misc/replay_failure.py')]
    missing += [[program, 'train', 'no.py'], [program, 'predict', 'no.jpg', 'no']]
    lines = json.dumps([helped + refused + missing, SLOW])
    process = subprocess.run([sys.executable, '-c', RUN, lines], cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    ends = json.loads(process.stdout)
    assert len(tools) > 25 and len(ends) == len(helped + refused + missing)
    assert not [(command, imported) for command, _, imported in ends if imported]
    codes = [code for _, code, _ in ends]
    assert codes[: len(helped)] == [0] * len(helped) and codes[len(helped) : -len(missing)] == [2] * len(refused)
    assert all(str(code).startswith('Error: There is no ') for code in codes[-len(missing) :])


@pytest.mark.parametrize(
    ('tool', 'choices'),
    [
        ('tools/model_converters/convert.py', [sorted(FORMATS)]),
        ('demo/video_demo.py', [TASKS, TRACKING]),
        ('tools/test.py', [DTYPES]),
    ],
)
def test_choices_that_a_parser_repeats_are_all_there_are(tool, choices):
    """It cannot ask the modules that define them, which import torch."""
    usage = ''.join(run_forked(ROOT / tool, '--help', COLUMNS='500').stdout.split())
    for names in choices:
        assert '{' + ','.join(names) + '}' in usage


def test_a_prediction_imports_nothing_that_it_does_not_use(tiny_run):
    """Neither mmdet's models, where none is used, nor what only trainings, pictures and exports need."""
    slow = ['mmdet.models', 'scipy.optimize', 'matplotlib', 'torch._dynamo', 'transformers', 'timm']
    given = [str(path) for path in (tiny_run.config, tiny_run.checkpoint, sorted(Path(tiny_run.images).iterdir())[0])]
    done = subprocess.run(
        [sys.executable, '-c', PREDICT, json.dumps([*given, slow])], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
