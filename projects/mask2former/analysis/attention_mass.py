"""How much of the queries' attention lies in their objects, layer by layer, over a data set."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.structures import InstanceData
from torch import Tensor

from mask2former.apis.build import scope_of
from mask2former.errors import ConfigError
from mask2former.models import Mask2Former
from mask2former.models.head import HeadOutput
from mask2former.registry import DATASETS

from .attention import covered_shares, mass_inside, record_attention
from .block_attention import all_outputs
from .layer_attention import LayerAttention


class Looked(NamedTuple):
    """An image, and what the model did with it.

    Attributes:
        inputs: (1, 3, H, W), as the network got it.
        output: Of the head.
        layers: Cross-attention of every decoder layer.
        queries: (n,), the queries that belong to segments, in the order of the truth.
        labels: (n,), the classes of these segments.
        masks: (n, H, W) bool, these segments.
    """

    inputs: Tensor
    output: HeadOutput
    layers: list[LayerAttention]
    queries: Tensor
    labels: Tensor
    masks: Tensor


def validation_data(model: Mask2Former) -> BaseDataset:
    """The validation data of a model that :func:`~mask2former.apis.init_model` built."""
    with scope_of(model.cfg):
        return DATASETS.build(model.cfg.val_dataloader.dataset)


@torch.no_grad()
def look_at(model: Mask2Former, dataset: BaseDataset, indices: Iterable[int]) -> Iterator[Looked]:
    """Run a model on images of a data set with panoptic truth.

    The query of a segment is the one that the model's matcher assigns to it in the last decoder output.

    Raises:
        ConfigError: If the data set has no panoptic truth.
    """
    with record_attention(model.head) as layers:
        for index in indices:
            data = model.data_preprocessor(pseudo_collate([dataset[index]]), False)
            inputs, (sample,) = data['inputs'], data['data_samples']
            target = truth_at_input(sample, (inputs.shape[2], inputs.shape[3]))
            output = model.extract(inputs).full_precision()
            last = HeadOutput(output.class_logits[-1:], output.mask_embed[-1:], output.mask_features)
            ((queries, segments),) = model.criterion.matcher(last, [target.to(inputs.device)])
            chosen, order = segments[0].cpu().sort()
            queries = queries[0, order.to(queries.device)]
            output = all_outputs(model.head, layers, output)
            yield Looked(inputs, output, list(layers), queries, target.labels[chosen], target.masks[chosen])


def truth_at_input(sample: DetDataSample, size: tuple[int, int]) -> InstanceData:
    """The segments of ``gt_panoptic_seg`` with masks of the size (H, W) of the network's input; crowd is left out.

    Raises:
        ConfigError: If the sample has none.
    """
    if 'gt_panoptic_seg' not in sample:
        raise ConfigError(
            'Attention is held against panoptic truth: give a config whose validation data is CocoPanopticFormat.'
        )
    truth = sample.gt_panoptic_seg
    infos = [info for info in truth.segments_info if not info['iscrowd']]
    h, w = sample.img_shape[:2]
    id_map = torch.as_tensor(truth.id_map).cpu()[None].double()  # (1, 1, H, W) of the original
    id_map = F.interpolate(id_map, size=(h, w), mode='nearest-exact')[0, 0]
    id_map = F.pad(id_map, (0, size[1] - w, 0, size[0] - h))  # void, below and to the right
    ids = torch.tensor([info['id'] for info in infos], dtype=torch.double)
    masks = id_map == ids[:, None, None]  # (N, H, W)
    seen = masks.flatten(1).any(1)
    labels = torch.tensor([info['label'] for info in infos], dtype=torch.long)
    return InstanceData(labels=labels[seen], masks=masks[seen])


def measure_mass(looked: Iterable[Looked], isthing: tuple[bool, ...]) -> list[dict[str, Any]]:
    """The mean share of attention in the objects.

    Returns:
        list[dict[str, Any]]: Of each layer ``layer`` (from 1), ``stride`` of its level in pixels of the input (None
        where levels are concatenated), and by ``all``, ``things`` and ``stuff`` an object with ``inside``, the share,
        ``even``, the share that evenly spread attention would have, and ``segments``, their number.
    """
    shares: list[list[tuple[float, float, bool]]] = []  # of each layer and segment: inside, even, whether a thing
    strides: list[int | None] = []
    for image in looked:
        shares = shares or [[] for _ in image.layers]
        masks = image.masks.to(image.inputs.device)
        strides = [
            image.inputs.shape[2] // layer.sizes[0][0] if len(layer.sizes) == 1 else None for layer in image.layers
        ]
        for found, layer in zip(shares, image.layers):
            inside = mass_inside(layer, 0, image.queries, masks).tolist()
            even = covered_shares(masks, layer.sizes).mean(-1).tolist()
            found += zip(inside, even, [isthing[label] for label in image.labels.tolist()])
    kinds = dict(all=(True, False), things=(True,), stuff=(False,))
    return [
        dict(layer=number, stride=stride, **{kind: _mean(found, which) for kind, which in kinds.items()})
        for number, (stride, found) in enumerate(zip(strides, shares), 1)
    ]


def _mean(found: list[tuple[float, float, bool]], which: tuple[bool, ...]) -> dict[str, float | int | None]:
    chosen = np.array([(inside, even) for inside, even, thing in found if thing in which])
    if not len(chosen):
        return dict(inside=None, even=None, segments=0)
    inside, even = chosen.mean(0).round(4).tolist()
    return dict(inside=inside, even=even, segments=len(chosen))
