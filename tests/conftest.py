"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest

import mask2former  # noqa: F401  (before mmdet, which it makes importable)


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real data: ``$M2F_DATA_ROOT``, else ``../shared/data`` beside the repository; skips without it."""
    root = Path(os.environ.get('M2F_DATA_ROOT') or Path(__file__).resolve().parents[2] / 'shared' / 'data')
    if not (root / 'coco_panoptic_200').is_dir():
        pytest.skip(f"no real data: '{root}/coco_panoptic_200' is absent (set M2F_DATA_ROOT)")
    return root
