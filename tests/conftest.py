"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest

import mask2former  # noqa: F401  (before mmdet, which it makes importable)


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real data, ``$MASK2FORMER_DATA``, by default ``data`` here; skips where there is none."""
    root = Path(os.environ.get('MASK2FORMER_DATA') or Path(__file__).resolve().parents[1] / 'data')
    if not (root / 'coco_panoptic_200').is_dir():
        pytest.skip("no real data: set MASK2FORMER_DATA to a folder with 'coco_panoptic_200'")
    return root
