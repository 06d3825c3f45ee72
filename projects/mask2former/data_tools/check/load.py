"""From the data sets of a config to what can be checked."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from mask2former.datasets.coco import CocoFormat
from mask2former.datasets.semantic_png import SemanticPngFormat
from mask2former.errors import DataError
from mask2former.registry import DATASETS

from .source import Source
from .source_coco import read_coco
from .source_semantic import read_semantic

# Nothing of the annotation file is needed beside it, so that a data set can say at least where its files are.
STAND_IN = dict(classes=('unknown',), isthing=(False,), category_ids=(0,))


def read_split(split: str, dataset: BaseDataset, refusal: DataError | None = None) -> Source:
    """Read what a data set that was built with ``lazy_init=True`` would read.

    Raises:
        DataError: It is a data set of another kind, or its annotation file is no JSON object.
        MissingFileError: The annotation file or a folder is absent.
    """
    if isinstance(dataset, CocoFormat):
        return read_coco(split, dataset, refusal)
    if isinstance(dataset, SemanticPngFormat):
        return read_semantic(split, dataset)
    raise DataError(
        f'The {split} set is a {type(dataset).__name__}: only CocoPanopticFormat, CocoInstanceFormat, '
        'SemanticPngFormat and those made of them can be checked.'
    )


def read_splits(cfg: Config, split: str) -> list[Source]:
    """Read a split of a config: one source for each data set that is wrapped or joined in its dataloader.

    Raises:
        DataError: The config has no such dataloader; else as :func:`read_split`.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise DataError(f'{cfg.filename} has no {split}_dataloader: choose other --splits.')
    sources = []
    for place, part in _parts(loader['dataset'], f'{split}_dataloader.dataset'):
        source = _read_part(split, part)
        source.place = place
        source.name = split if not sources else f'{split}_{len(sources) + 1}'
        source.num_queries = next(_values(cfg.get('model'), 'num_queries'), None)
        crop = next(_values(part.get('pipeline'), 'crop_size'), None)
        source.crop_size = tuple(crop) if crop else None
        colours = next(_values(part.get('pipeline'), 'color_type'), 'color')
        source.turns = not colours.endswith(('ignore_orientation', 'unchanged'))
        sources.append(source)
    return sources


def _read_part(split: str, cfg: Mapping) -> Source:
    lazy = dict(cfg, lazy_init=True, pipeline=[])
    try:
        dataset = DATASETS.build(lazy)
    except DataError as error:
        kind = DATASETS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
        if kind is None or not issubclass(kind, CocoFormat):
            raise
        return read_split(split, DATASETS.build(dict(lazy, metainfo=STAND_IN)), error)
    return read_split(split, dataset)


def _parts(cfg: Mapping, place: str) -> list[tuple[str, Mapping]]:
    """The data sets within wrappers (``dataset=`` or ``datasets=``, nested), with their places in the config."""
    inner = [(f'{place}.datasets.{number}', each) for number, each in enumerate(cfg.get('datasets') or ())]
    if 'dataset' in cfg:
        inner.append((f'{place}.dataset', cfg['dataset']))
    return [part for each_place, each in inner for part in _parts(each, each_place)] or [(place, cfg)]


def _values(config: Any, key: str) -> Iterator[Any]:
    """All values of a key in nested dicts and lists."""
    if isinstance(config, Mapping):
        if key in config:
            yield config[key]
        config = list(config.values())
    for part in config if isinstance(config, (list, tuple)) else ():
        yield from _values(part, key)
