"""What the tests of the official releases' converters share."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mask2former.registry import DATASETS, TRANSFORMS

ROOT = Path(__file__).parents[3]


def save(path: Path, array: np.ndarray) -> None:
    """Write an image in the format of its name; PNG keeps the array's type."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def blocks(rng: np.random.Generator, size: tuple[int, int], values: list[int], dtype: type = np.uint8) -> np.ndarray:
    """``(H, W)`` of 4 x 4 blocks, each of one of the values; each value occurs."""
    height, width = -(-size[0] // 4), -(-size[1] // 4)
    cells = rng.choice(values, height * width)
    cells[rng.permutation(height * width)[: len(values)]] = values
    return np.kron(cells.reshape(height, width), np.ones((4, 4))).astype(dtype)[: size[0], : size[1]]


def run(monkeypatch: pytest.MonkeyPatch, tool: str, *args: str | Path) -> None:
    """Run a tool as the command line does; an error ends it with ``SystemExit``."""
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    runpy.run_path(str(ROOT / 'tools' / 'dataset_converters' / f'{tool}.py'), run_name='__main__')


def times(folder: Path) -> dict[Path, int]:
    """When each file of a folder was written: a file whose time has not changed was not written again."""
    return {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def load(config: str, split: str, data_root: Path):
    """The data set of a base config, with ``data_root`` instead of its own and no random transforms."""
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{config}.py')[f'{split}_dataloader'].dataset
    loaders = [TRANSFORMS.build(step) for step in cfg.pipeline if step['type'].startswith('Load')]
    return DATASETS.build({**cfg, 'data_root': f'{data_root}/', 'pipeline': loaders})
