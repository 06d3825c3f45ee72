"""Looks for misspelt and impossible settings in the whole config of a run, before anything is built.

mmengine builds the parts of a run one after the other, some of them hours later, and each passes over or stumbles at a
key that it does not know in a way of its own. Here every key is held against the signature of what its ``type`` names.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mask2former.errors import ConfigError, near_names

from .band_check import band_faults
from .bounds import bound_faults
from .config_parts import PartsCheck
from .signatures import arguments_of

# Top-level keys that the runners, mmengine's tools and this package's read, beside the arguments of the runner.
OTHER_SETTINGS = (
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'gpu_ids',
    'load_equal_classes',
    'model_wrapper_cfg',
    'overwrite',
    'runner_type',
    'sync_bn',
    'tile_model',
    'tta_model',
    'tta_pipeline',
)
SETTINGS = (arguments_of(Runner).names - {'cfg'}) | set(OTHER_SETTINGS)
# What config files call their variables. They are no settings, though some are named like one.
USUAL_VARIABLES = ('test_pipeline', 'train_pipeline', 'val_pipeline')


def check_config(cfg: Config, changed: Collection[str] = (), complete: bool = True) -> None:
    """Look at all of a run's config.

    Args:
        cfg: The config, as :func:`mask2former.apis.run_config.build_runner` takes it.
        changed: Keys, with dots, that the command line sets.
        complete: Whether all parts are to be built, so that a missing setting is a fault, too.

    Raises:
        ConfigError: If there are faults, each in a sentence of its own that names the key.
    """
    faults = find_faults(cfg, changed, complete)
    if len(faults) == 1:
        raise ConfigError(faults[0])
    if faults:
        raise ConfigError(f'the config has {len(faults)} faults:' + ''.join(f'\n  {fault}' for fault in faults))


def find_faults(cfg: Config, changed: Collection[str] = (), complete: bool = True) -> list[str]:
    """The faults of a config, one sentence each; see :func:`check_config`."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mask2former')):
        check = PartsCheck(complete)
        check.run(cfg)
    if complete and not cfg.get('model'):
        where = f"'{cfg.filename}'" if cfg.filename else 'the config'
        return [f'{where} has no model: inherit from a config of configs/, or from one of configs/_base_/models.']
    unknown = _unknown_settings(cfg, {key.split('.')[0] for key in changed})
    faults = [*unknown, *check.faults]
    settings = _leaves(dict(cfg.items()), '')
    named = {fault.split(':')[0] for fault in faults}
    out_of_bounds = [fault for fault in bound_faults(settings) if fault.split()[0] not in named]
    return [*faults, *out_of_bounds, *band_faults(cfg, complete)]


def _unknown_settings(cfg: Config, changed: Collection[str]) -> Iterator[str]:
    """Top-level keys that nothing reads.

    A key of the file itself may be a variable of it, or be read by the user's own code: of those only what resembles a
    setting and is not used in the file is a fault.
    """
    for key in cfg:
        if key in SETTINGS:
            continue
        assigned = not str(cfg.filename).endswith('.py') or re.search(rf'^{re.escape(key)}\s*=', cfg.text, re.M)
        used = re.search(rf'(?<!\w){re.escape(key)}(?!\w)(?!\s*=[^=])', cfg.text)
        if key in changed and not assigned:
            yield f'{key}: there is no such setting; {near_names(key, SETTINGS)}'
        elif key in changed and used:
            places = [path for path, value in _leaves(dict(cfg.items()), '') if path.endswith(f'.{key}')]
            instead = f', such as {" or ".join(places[:3])}' if places else ''
            yield f'{key}: it is a variable of the config file, of use only within: set what it went into{instead}.'
        elif not used and key not in USUAL_VARIABLES:
            near = near_names(key, SETTINGS, cutoff=0.8)
            if near.startswith('did you mean'):
                yield f'{key}: there is no such setting; {near}'


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The settings of a config that are no mapping and no list, with their paths."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path, value
    else:
        for key, inner in items:
            yield from _leaves(inner, f'{path}.{key}' if path else str(key))
