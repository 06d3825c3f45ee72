"""From the data sets of a config to what can be checked."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from mask2former.datasets.coco import CocoFormat
from mask2former.datasets.semantic_png import SemanticPngFormat
from mask2former.datasets.youtube_vis import YouTubeVISFormat
from mask2former.errors import DataError
from mask2former.limits.settings import limit_settings
from mask2former.registry import DATASETS

from .read_coco import read_coco
from .read_semantic import read_semantic
from .read_video import read_video
from .source import Settings, Source

# Nothing of the annotation file is needed beside it, so that a data set can say at least where its files are.
STAND_IN = dict(classes=('unknown',), isthing=(False,), category_ids=(0,))


def read_split(dataset: BaseDataset, settings: Settings, refusal: DataError | None = None) -> Source:
    """Read what a data set that was built with ``lazy_init=True`` would read.

    Args:
        dataset: The data set.
        settings: What else the config says of it.
        refusal: Why the data set could be built with a stand-in for its metainfo only.

    Raises:
        DataError: It is a data set of another kind, or its annotation file is no JSON object.
        MissingFileError: The annotation file or a folder is absent.
    """
    if isinstance(dataset, CocoFormat):
        return read_coco(dataset, settings, refusal)
    if isinstance(dataset, SemanticPngFormat):
        return read_semantic(dataset, settings)
    if isinstance(dataset, YouTubeVISFormat):
        return read_video(dataset, settings)
    raise DataError(
        f'The {settings.split} set is a {type(dataset).__name__}: only CocoPanopticFormat, CocoInstanceFormat, '
        'SemanticPngFormat, YouTubeVISFormat and those made of them can be checked.'
    )


def read_splits(cfg: Config, split: str) -> list[Source]:
    """Read a split of a config: one source for each data set that is wrapped or joined in its dataloader.

    Raises:
        DataError: The config has no such dataloader; else as :func:`read_split`.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise DataError(f'{cfg.filename} has no {split}_dataloader: choose other --splits.')
    queries = cfg.get('model', {}).get('head', {}).get('num_queries')
    sources = []
    for number, (key, part) in enumerate(_parts(loader['dataset'], f'{split}_dataloader.dataset'), start=1):
        crop = next(_values(part.get('pipeline'), 'crop_size'), None)
        colors = next(_values(part.get('pipeline'), 'color_type'), 'color')
        bands = next(_values(part.get('pipeline'), 'bands'), None)
        settings = Settings(
            split,
            number,
            key,
            num_queries=queries,
            crop_size=tuple(crop) if crop else None,
            turns=bands is None and not colors.endswith(('ignore_orientation', 'unchanged')),
            bands=bands,
            limits=limit_settings(cfg, split, part.get('pipeline') or ()),
        )
        sources.append(_read_part(part, settings))
    return sources


def _read_part(cfg: Mapping, settings: Settings) -> Source:
    lazy = dict(cfg, lazy_init=True, pipeline=[])
    try:
        dataset = DATASETS.build(lazy)
    except DataError as error:
        kind = DATASETS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
        if kind is None or not issubclass(kind, CocoFormat):
            raise
        return read_split(DATASETS.build(dict(lazy, metainfo=STAND_IN)), settings, error)
    return read_split(dataset, settings)


def _parts(cfg: Mapping, key: str) -> list[tuple[str, Mapping]]:
    """The data sets within wrappers (``dataset=`` or ``datasets=``, nested), each with its key in the config."""
    inner = [(f'{key}.datasets.{index}', part) for index, part in enumerate(cfg.get('datasets') or ())]
    if 'dataset' in cfg:
        inner.append((f'{key}.dataset', cfg['dataset']))
    return [found for inner_key, part in inner for found in _parts(part, inner_key)] or [(key, cfg)]


def _values(config: Any, key: str) -> Iterator[Any]:
    """All values of a key in nested dicts and lists."""
    if isinstance(config, Mapping):
        if key in config:
            yield config[key]
        config = list(config.values())
    for part in config if isinstance(config, (list, tuple)) else ():
        yield from _values(part, key)
