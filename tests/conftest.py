"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest

import mask2former  # noqa: F401  (before mmdet, which it makes importable)


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real data: ``$M2F_DATA_ROOT``, else ``data`` here or in a folder beside this one; skips without."""
    repository = Path(__file__).resolve().parents[1]
    given = os.environ.get('M2F_DATA_ROOT')
    places = [Path(given)] if given else [repository / 'data', *sorted(repository.parent.glob('*/data'))]
    for root in places:
        if (root / 'coco_panoptic_200').is_dir():
            return root
    pytest.skip("no real data: set M2F_DATA_ROOT to a folder with 'coco_panoptic_200'")
