"""Tiles for a config: as it says, or as it is asked for."""

from mmengine.config import Config

from mask2former.errors import ConfigError

from .tta import find_test_dataset


def tile_settings(cfg: Config, tile: int | None = None, overlap: int | None = None) -> dict | None:
    """The arguments of ``SegTileModel`` that are to be used with a config, but for the model and its pipeline.

    ``tile_model`` of the config says them; ``tile`` and ``overlap`` go before it. An overlap that nothing says is a
    quarter of the tile.

    Returns:
        dict | None: None where nothing asks for tiles.

    Raises:
        ConfigError: If there is an overlap, but nothing says the tiles.
    """
    settings = dict(cfg.get('tile_model') or {})
    if tile is not None:
        settings['tile'] = tile
        if overlap is None:
            settings.pop('overlap', None)
    if overlap is not None:
        settings['overlap'] = overlap
    if 'tile' not in settings:
        if overlap is not None:
            raise ConfigError(
                f'An overlap of {overlap} pixels needs tiles to overlap: give --tile, such as --tile 1024.'
            )
        return None
    settings.setdefault('overlap', max(1, settings['tile'] // 4))
    return dict(dict(type='SegTileModel'), **settings)


def use_tiles(cfg: Config, tile: int | None = None, overlap: int | None = None) -> bool:
    """Change a config so that it tests in tiles, if it or the arguments say so; see :func:`tile_settings`.

    The loading transforms of the test pipeline get the image and the truth as they are; the others, from resizing on,
    are the tiles'. With :func:`use_tta` this comes second.

    Returns:
        bool: Whether there are tiles.

    Raises:
        ConfigError: If the config has no test pipeline or is one of videos, or as :func:`tile_settings`.
    """
    settings = tile_settings(cfg, tile, overlap)
    if settings is None:
        return False
    dataset = find_test_dataset(cfg, 'Tiles')
    loading = [transform for transform in dataset.pipeline if transform['type'].startswith('Load')]
    of_tiles = [transform for transform in dataset.pipeline if not transform['type'].startswith('Load')]
    pack = next((transform for transform in of_tiles if transform['type'] == 'PackSegInputs'), None)
    dataset.pipeline = [*loading, pack or dict(type='PackSegInputs')]
    cfg.model = dict(settings, pipeline=of_tiles, module=cfg.model)
    return True
