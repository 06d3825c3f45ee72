import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_one_step_runs_and_shows_every_shape():
    script = ROOT / 'docs' / 'one_step.py'
    assert len(script.read_text().splitlines()) <= 30
    process = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    for line in (
        'inputs 1 3 128 160 | target masks 2 128 160',
        'features (1, 256, 32, 40) (1, 512, 16, 20) (1, 1024, 8, 10) (1, 2048, 4, 5)',
        'memory (1, 256, 4, 5) (1, 256, 8, 10) (1, 256, 16, 20)',
        'class_logits (10, 1, 100, 4)',
        'mask_embed (10, 1, 100, 256)',
        'mask_features (1, 256, 32, 40)',
        "losses {'loss_class': ",
        'panoptic map 1 120 160 | instances ',
    ):
        assert line in process.stdout
