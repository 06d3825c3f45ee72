"""Whether what a config says of images of N bands agrees: its pipelines, its augmentation and its normalisation."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

READERS = ('LoadImage', 'LoadFrames')
# Transforms of colours; most work in HSV or in grey, and all of them on values of 0 .. 255.
COLOURS = (
    'AutoContrast Brightness Color ColorTransform Contrast Equalize Invert PhotoMetricDistortion Posterize '
    'RandomGrayscale Sharpness Solarize SolarizeAdd SSDColorAugmentation YOLOXHSVRandomAug'
).split()
PREPROCESSORS = ('SegDataPreprocessor', 'ClipDataPreprocessor')


def band_faults(cfg: Config, complete: bool) -> Iterator[str]:
    """What does not agree, one sentence each; nothing where no pipeline reads images of N bands.

    Args:
        cfg: The config of a run.
        complete: Whether the model is to be built, too: then its normalisation must fit.
    """
    pipelines = {path: list(_steps(steps)) for path, steps in _pipelines(cfg)}
    bands_of = {path: _bands(steps) for path, steps in pipelines.items()}
    first = next((path for path, bands in bands_of.items() if bands is not None), None)
    if first is None:
        return
    wanted = bands_of[first]
    for path, steps in pipelines.items():
        bands = bands_of[path]
        if any(_name(step) in READERS for step in steps) and bands != wanted:
            yield f'{path}: it reads images of {bands or 3} bands, but {first} has bands={wanted}: set the same.'
        if bands is not None:
            yield from _faults_of_steps(path, steps, bands)
    model = cfg.get('model', {})
    preprocessor = model.get('data_preprocessor') or {}
    if complete and _name(preprocessor) in (*PREPROCESSORS, None):
        for key in ('mean', 'std'):
            count = len(preprocessor.get(key) or (0, 0, 0))
            if count != wanted:
                yield (
                    f'model.data_preprocessor.{key}: it has {count} entries, but {first} reads images of {wanted} '
                    'bands: give one for each band, as check_dataset.py measures them, and in_channels to the backbone.'
                )


def _faults_of_steps(path: str, steps: list[Mapping], bands: int) -> Iterator[str]:
    for step in steps:
        name = _name(step)
        if name in COLOURS and bands != 3:
            yield f'{path}: {name} changes colours, which images of {bands} bands do not have: leave it out.'
        value = step.get('pad_val', (104, 116, 124) if name == 'LargeScaleJitter' else 0)
        value = value.get('img', 0) if isinstance(value, Mapping) else value
        if name in ('LargeScaleJitter', 'Pad') and isinstance(value, (tuple, list)) and len(value) != bands:
            default = '' if 'pad_val' in step else ' by default'
            yield (
                f'{path}: pad_val of {name} has {len(value)} values{default}, but the images have {bands} bands: '
                'give one for each band, such as the mean, or a single number.'
            )


def _pipelines(cfg: Mapping) -> Iterator[tuple[str, Any]]:
    """The pipelines of the data sets, which may be wrapped, and that of test-time augmentation."""

    def inside(value: Any, path: str) -> Iterator[tuple[str, Any]]:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if key == 'pipeline':
                    yield f'{path}.{key}', inner
                else:
                    yield from inside(inner, f'{path}.{key}')
        elif isinstance(value, (list, tuple)):
            for index, inner in enumerate(value):
                yield from inside(inner, f'{path}.{index}')

    for split in ('train', 'val', 'test'):
        yield from inside((cfg.get(f'{split}_dataloader') or {}).get('dataset'), f'{split}_dataloader.dataset')
    if cfg.get('tta_pipeline'):
        yield 'tta_pipeline', cfg['tta_pipeline']


def _steps(value: Any) -> Iterator[Mapping]:
    """The transforms of a pipeline with those inside them, in order."""
    if isinstance(value, Mapping):
        if 'type' in value:
            yield value
        value = list(value.values())
    for inner in value if isinstance(value, (list, tuple)) else ():
        yield from _steps(inner)


def _bands(steps: list[Mapping]) -> int | None:
    return next((step['bands'] for step in steps if _name(step) in READERS and step.get('bands') is not None), None)


def _name(part: Mapping) -> str | None:
    """The type of a part without its scope."""
    kind = part.get('type')
    return kind if kind is None else getattr(kind, '__name__', str(kind)).rpartition('.')[2]
