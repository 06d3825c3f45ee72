"""Facts of the models ``facebook/mask2former-<backbone>-<data set>-<task>`` on the Hugging Face hub.

Sources: MODEL_ZOO.md and the configs of facebookresearch/Mask2Former, from whose checkpoints they were converted.
"""

import re
from typing import NamedTuple

# Part of the hub's name: part of the name of a config. The weights tell with what a Swin-B was trained first, names do
# not always.
BACKBONES = {
    'swin-tiny': 'swin-t-p4-w7-224',
    'swin-small': 'swin-s-p4-w7-224',
    'swin-base-IN21k': 'swin-b-p4-w12-384-in21k',
    'swin-base': 'swin-b-p4-w12-384',
    'swin-large': 'swin-l-p4-w12-384-in21k',
}
# Data set: how configs call it, and the number of classes of each task.
DATASETS = {
    'coco': ('coco', dict(panoptic=133, instance=80)),
    'cityscapes': ('cityscapes', dict(panoptic=19, instance=8, semantic=19)),
    'ade': ('ade20k', dict(panoptic=150, instance=100, semantic=150)),
    'mapillary-vistas': ('mapillary', dict(panoptic=65, semantic=65)),
}


class HubModel(NamedTuple):
    """What is known of a model on the hub.

    Attributes:
        backbone (str): As the names of configs have it.
        dataset (str): As the names of configs have it.
        task (str): panoptic, instance or semantic.
        num_classes (int): K.
        num_queries (int): Q.
    """

    backbone: str
    dataset: str
    task: str
    num_classes: int
    num_queries: int


def hub_model(name: str) -> HubModel | None:
    """The facts of a model on the hub by its name; None if it is none of these."""
    match = re.fullmatch(
        rf'facebook/mask2former-({"|".join(BACKBONES)})-({"|".join(DATASETS)})-(panoptic|instance|semantic)', name
    )
    if not match or match[3] not in DATASETS[match[2]][1]:
        return None
    dataset, classes = DATASETS[match[2]]
    queries = 200 if match[1] == 'swin-large' and match[3] != 'semantic' else 100
    return HubModel(BACKBONES[match[1]], dataset, match[3], classes[match[3]], queries)
