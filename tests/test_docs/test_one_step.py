from pathlib import Path

from tests.forked import run_forked

ROOT = Path(__file__).resolve().parents[2]


def test_one_step_runs_and_shows_every_shape():
    script = ROOT / 'docs' / 'one_step.py'
    assert len(script.read_text().splitlines()) <= 30
    process = run_forked(script, cwd=ROOT)
    assert process.returncode == 0, process.stderr
    for line in (
        'B images of H x W, N segments, Q queries, K classes, C channels, D predictions',
        'inputs (B, 3, H, W): 1 3 128 160 | target masks (N, H, W): 2 128 160',
        'features (B, C, H/s, W/s): (1, 256, 32, 40) (1, 512, 16, 20) (1, 1024, 8, 10) (1, 2048, 4, 5)',
        'memory (B, C, H/s, W/s): (1, 256, 4, 5) (1, 256, 8, 10) (1, 256, 16, 20)',
        'class_logits (D, B, Q, K+1): (10, 1, 100, 4)',
        'mask_embed (D, B, Q, C): (10, 1, 100, 256)',
        'mask_features (B, C, h, w): (1, 256, 32, 40)',
        "losses {'loss_class': ",
        'panoptic map (1, H, W): 1 120 160 | instances ',
    ):
        assert line in process.stdout
