"""A config for a folder as transformers saves it, whose files say all of the model, but not what a thing is."""

from pathlib import Path
from typing import Any

from mmengine.config import Config

from mask2former.checkpoints.class_transfer import plain_name
from mask2former.checkpoints.convert import Checkpoint, read_checkpoint
from mask2former.checkpoints.named_models import model_name
from mask2former.checkpoints.read import read_json_object
from mask2former.checkpoints.zoo import package_root
from mask2former.errors import ConfigError
from mask2former.formats.coco_values import is_number
from mask2former.formats.fields import Fields, is_count, wrong_field
from mask2former.formats.known_metainfo import known_metainfo

# Data sets whose classes, in this order, tell what is a thing; where a name is that of two, the first one counts.
_KNOWN = ('coco_panoptic', 'cityscapes_panoptic', 'ade20k_panoptic', 'mapillary_panoptic', 'coco_instance')
_SIZE = (800, 1333)  # what the published models were trained for
_MAX_SIDE = 2**15


def _is_side(value: Any) -> bool:
    return is_count(value) and 0 < value <= _MAX_SIDE


def _is_size(value: Any) -> bool:
    """Whether it is a side, both sides, or bounds of the shorter and the longer one."""
    if not isinstance(value, dict):
        return _is_side(value)
    sides = {'height', 'width'} if 'height' in value else {'shortest_edge', 'longest_edge'} & set(value)
    return all(_is_side(value.get(side)) for side in sides)


def _are_colours(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(is_number, value))


_PREPARATION: Fields = {
    'size?': _is_size,
    'max_size?': _is_side,
    'image_mean?': _are_colours,
    'image_std?': lambda value: _are_colours(value) and all(number > 0 for number in value),
}


def is_hf_folder(folder: Path) -> bool:
    """Whether ``save_pretrained`` of transformers wrote this folder."""
    weights = ('model.safetensors', 'pytorch_model.bin')
    files = [folder / name for name in (*weights, *(f'{name}.index.json' for name in weights))]
    return (folder / 'config.json').is_file() and any(path.is_file() for path in files)


def config_of_hf_folder(folder: Path) -> Config:
    """Make a config for inference of the weights, ``config.json`` and, if it is there, ``preprocessor_config.json``.

    What is a thing follows from the classes where they are those of a known data set. Else everything counts as a
    thing, and results are instances and a semantic map.

    Raises:
        CheckpointError: If the weights cannot be read.
        ConfigError: If they are of a model that there is no config for, or are to be given images that there cannot be.
    """
    checkpoint = read_checkpoint(folder)
    name = model_name(checkpoint)
    if name is None:
        raise ConfigError(
            f"'{folder}' has {checkpoint.report.architecture}, for which no config is known: give one before it."
        )
    configs = package_root() / 'configs' / '_base_'
    cfg = Config.fromfile(configs / 'models' / f'{name}.py')
    cfg.merge_from_dict(Config.fromfile(configs / 'default_runtime.py').to_dict())
    metainfo, known = _metainfo(checkpoint)
    model = cfg.model
    model.backbone.init_cfg = None
    model.head.num_queries = checkpoint.report.architecture.num_queries
    if not known:
        model.postprocessors.panoptic = None
    steps, statistics = _preparation(folder)
    model.data_preprocessor.update(statistics)
    load, pack = dict(type='LoadImage'), dict(type='PackSegInputs')
    dataset = dict(type='CocoPanopticFormat', metainfo=metainfo, pipeline=[load, *steps, pack])
    cfg.test_dataloader = dict(dataset=dataset)
    return cfg


def _metainfo(checkpoint: Checkpoint) -> tuple[dict[str, Any], bool]:
    """Classes of a checkpoint, and whether they are those of a data set of which is known what is a thing."""
    count = checkpoint.report.architecture.num_classes
    classes = checkpoint.meta.get('dataset_meta', {}).get('classes') or tuple(f'class {i}' for i in range(count))
    names = [plain_name(name) for name in classes]
    for data in _KNOWN:
        known = known_metainfo(data)
        if [plain_name(name) for name in known['classes']] == names:
            return dict(known), True
    return dict(classes=classes, isthing=(True,) * count, category_ids=tuple(range(count))), False


def _preparation(folder: Path) -> tuple[list[dict], dict[str, Any]]:
    """How images are resized and normalised."""
    path = folder / 'preprocessor_config.json'
    said = read_json_object(path) if path.is_file() else {}
    if (field := wrong_field(said, _PREPARATION)) is not None:
        raise ConfigError(f"'{path}' has a '{field}' that images cannot be prepared by: download or save it again.")
    said = {key: value for key, value in said.items() if value is not None}
    size = said.get('size', {})
    if isinstance(size, int):
        size = dict(shortest_edge=size, longest_edge=said.get('max_size', _SIZE[1]))
    if 'height' in size:
        resize = dict(type='Resize', scale=(size['width'], size['height']), keep_ratio=False)
    else:
        shortest, longest = size.get('shortest_edge', _SIZE[0]), size.get('longest_edge', _SIZE[1])
        resize = dict(type='Resize', scale=(longest, shortest), keep_ratio=True)
    statistics = {
        ours: [255 * value for value in said[theirs]]
        for ours, theirs in (('mean', 'image_mean'), ('std', 'image_std'))
        if theirs in said and said.get('do_normalize', True)
    }
    return [resize] if said.get('do_resize', True) else [], statistics
