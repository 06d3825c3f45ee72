"""Test-time augmentation for a config: as it says, or else as follows from its test pipeline."""

from mmengine.config import Config

from mask2former.errors import ConfigError

# Sizes of the views relative to the test size, of which the first is the one that matching starts from. For semantic
# results they are the reference implementation's.
SEMANTIC_SCALES = (1.0, 0.5, 0.75, 1.25, 1.5, 1.75)
FLIPS = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]


def use_tta(cfg: Config) -> None:
    """Change a config so that it tests with test-time augmentation.

    ``tta_model`` and ``tta_pipeline`` of the config say how. Without the first it is ``SegTTAModel``; without the
    second the views are the image of the test pipeline and its mirror image, for a model that gives semantic results
    alone at 0.5, 0.75, 1, 1.25, 1.5 and 1.75 times the test size.

    Raises:
        ConfigError: If the config has no test pipeline or is one of videos, or if views must be made of a pipeline that
            packs nothing.
    """
    dataset = find_test_dataset(cfg, 'Test-time augmentation')
    kinds = [postprocessor['type'] for postprocessor in cfg.model.postprocessors.values() if postprocessor is not None]
    scales = SEMANTIC_SCALES if all(kind in ('SemanticInference', 'PerPixelInference') for kind in kinds) else (1.0,)
    dataset.pipeline = cfg.get('tta_pipeline') or make_tta_pipeline(dataset.pipeline, scales)
    cfg.model = dict(cfg.get('tta_model') or dict(type='SegTTAModel'), module=cfg.model)


def find_test_dataset(cfg: Config, what: str) -> Config:
    """The part of a config, at any depth of its test data set, that has the pipeline of images.

    Args:
        cfg: The config.
        what: What messages call that which needs it.

    Raises:
        ConfigError: If there is none, or if it is one of videos.
    """
    dataset = (cfg.get('test_dataloader') or {}).get('dataset', {})
    while 'pipeline' not in dataset:
        if 'dataset' not in dataset:
            raise ConfigError(
                f"{what}: the config's test_dataloader has no dataset with a pipeline; add one, or test without."
            )
        dataset = dataset.dataset
    if any(transform['type'] == 'LoadFrames' for transform in dataset.pipeline):
        raise ConfigError(f'{what}: this is for images, but the config is one of videos: leave it out.')
    return dataset


def make_tta_pipeline(pipeline: list[dict], scales: tuple[float, ...]) -> list[dict]:
    """A pipeline with a view for each of the scales, and with the mirror image of each.

    Args:
        pipeline: A test pipeline; its ``Resize``, if it has one, gives the size of scale 1.
        scales: Sizes of the views.

    Returns:
        list[dict]: What loads, once; then the other transforms, once for each view.

    Raises:
        ConfigError: If nothing but loading is in the pipeline.
    """
    loading = [transform for transform in pipeline if transform['type'].startswith('Load')]
    rest = [transform for transform in pipeline if not transform['type'].startswith('Load')]
    if not rest:
        raise ConfigError(
            'Test-time augmentation: the test pipeline has no transform that packs the image, so no views '
            'can be made of it; write a tta_pipeline in the config.'
        )
    resize = next((i for i, transform in enumerate(rest) if transform['type'] == 'Resize'), None)
    if resize is None:
        sizes = [dict(type='Resize', scale_factor=scale, keep_ratio=True) for scale in scales]
        steps = [[step] for step in rest]
        steps[:0] = [sizes, FLIPS] if scales != (1.0,) else [FLIPS]
    else:
        steps = [[step] for step in rest]
        steps[resize : resize + 1] = [[_scaled(rest[resize], scale) for scale in scales], FLIPS]
    return [*loading, dict(type='TestTimeAug', transforms=[[dict(step) for step in options] for options in steps])]


def _scaled(resize: dict, scale: float) -> dict:
    """A ``Resize`` to ``scale`` times its size."""
    if scale == 1:
        return dict(resize)
    changed: dict[str, float | tuple[float, ...]] = {}
    for key in ('scale', 'scale_factor'):
        value = resize.get(key)
        if isinstance(value, (tuple, list)):
            changed[key] = tuple(_times(side, scale) for side in value)
        elif value is not None:
            changed[key] = _times(value, scale)
    return dict(resize, **changed)


def _times(value: float, scale: float) -> float:
    """``value * scale``; whole numbers are sizes in pixels and stay whole."""
    return round(value * scale) if isinstance(value, int) else value * scale
