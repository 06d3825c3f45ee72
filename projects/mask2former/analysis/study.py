"""A study: variants of a config, each trained with several seeds. It is a JSON file; ``configs/studies`` has some."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mask2former.apis.config_check import check_config
from mask2former.apis.run_config import change_config
from mask2former.errors import ConfigError, MissingFileError

# A run's config as the study makes it; the training changes its own copy, config.py, where it is resumed.
SETTINGS = 'settings.py'


class Variant(NamedTuple):
    """A config with changes.

    Attributes:
        name: What tables call it.
        options: The changes, as of ``--cfg-options``.
        seeds: How many trainings it has, with the seeds 0, 1, ...
    """

    name: str
    options: dict[str, Any]
    seeds: int


class Run(NamedTuple):
    """A training of a study: a variant and a seed."""

    variant: Variant
    seed: int

    @property
    def folder(self) -> str:
        """Its folder in the study's."""
        return f'{self.variant.name.replace(" ", "-")}/seed_{self.seed}'


class Study(NamedTuple):
    """What a study's file says.

    Attributes:
        name: The file's name without its ending.
        config: The config of all variants.
        options: Changes that all variants have.
        interval: Iterations from one validation and checkpoint to the next.
        variants: The first is the one that the others are held against.
    """

    name: str
    config: Path
    options: dict[str, Any]
    interval: int
    variants: list[Variant]

    def runs(self, names: list[str] | None = None) -> list[Run]:
        """All trainings, or those of some variants: first each variant's first seed, so that a part is of use.

        Raises:
            ConfigError: If there is no variant of such a name.
        """
        known = [variant.name for variant in self.variants]
        for name in names or ():
            if name not in known:
                raise ConfigError(f"The study has no variant '{name}': it has {', '.join(known)}.")
        chosen = [variant for variant in self.variants if not names or variant.name in names]
        rounds = range(max(variant.seeds for variant in chosen))
        return [Run(variant, seed) for seed in rounds for variant in chosen if seed < variant.seeds]

    def make_config(self, run: Run, work_dir: Path) -> Config:
        """The config of a training.

        Raises:
            ConfigError: If it, or a change, has faults.
        """
        options = {
            'train_cfg.val_interval': self.interval,
            'default_hooks.checkpoint.interval': self.interval,
            'default_hooks.checkpoint.max_keep_ckpts': 1,
            **self.options,
            **run.variant.options,
        }
        cfg = Config.fromfile(self.config)
        change_config(cfg, options)
        check_config(cfg, options, complete=True)
        cfg.work_dir = str(work_dir)
        cfg.randomness = dict(seed=run.seed)
        cfg.custom_hooks = [*cfg.get('custom_hooks', ()), dict(type='CurveHook')]
        return cfg

    def check_runs(self, work_dir: Path) -> None:
        """See that what was trained before was trained with this study's settings: else a table would mix them.

        Raises:
            ConfigError: If a run that has begun has others.
        """
        for run in self.runs():
            folder = work_dir / run.folder
            settings = folder / SETTINGS
            if settings.is_file() and any((folder / name).is_file() for name in ('last_checkpoint', 'curve.json')):
                old, new = Config.fromfile(settings).to_dict(), self.make_config(run, folder).to_dict()
                changed = [key for key in {**old, **new} if key != 'work_dir' and old.get(key) != new.get(key)]
                if changed:
                    raise ConfigError(
                        f'{folder} was trained with other settings than the study now has ({", ".join(changed)}): '
                        'remove it to train it again, or choose another --work-dir.'
                    )


def read_study(path: str | Path) -> Study:
    """Read a study.

    The file is an object with ``config``, a path seen from the file's folder, ``options``, ``interval`` and
    ``variants``, an object of names and their ``options`` and ``seeds``.

    Raises:
        MissingFileError: If there is no such file, or no config where it says.
        ConfigError: If it says anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"There is no study '{path}': configs/studies has some, and how to write one.")
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ConfigError(f"'{path}' is not valid JSON ({error}): correct it.") from None
    _check_keys(path, 'It', content, {'config': str, 'options': dict, 'interval': int, 'variants': dict})
    variants = []
    for name, value in content['variants'].items():
        _check_keys(path, f"Variant '{name}'", value, {'options': dict, 'seeds': int})
        variants.append(Variant(name, value['options'], value['seeds']))
    counts = [content['interval'], *(variant.seeds for variant in variants)]
    if not variants or min(counts) < 1:
        raise ConfigError(f"'{path}' needs at least one variant, and interval and seeds from 1 on.")
    config = path.parent / content['config']
    if not config.is_file():
        raise MissingFileError(f"'{path}' names a config that is not there: {config}.")
    return Study(path.stem, config, content['options'], content['interval'], variants)


def _check_keys(path: Path, what: str, value: Any, types: dict[str, type]) -> None:
    """See that a value is an object with these keys and no others, of these types."""
    if not isinstance(value, dict) or set(value) != set(types):
        raise ConfigError(f"{what} in '{path}' must be an object with {', '.join(types)}, and nothing else.")
    for key, kind in types.items():
        if type(value[key]) is not kind:
            raise ConfigError(f"{what} in '{path}' has a {key} that is no {kind.__name__}: correct it.")
