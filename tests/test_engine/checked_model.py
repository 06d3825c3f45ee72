"""A model whose training can be compared to the last digit, and whose predictions are worth measuring."""

import json
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import torch
from mmdet.structures import DetDataSample
from mmengine.dist import get_rank
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mask2former.models.mask2former import Mask2Former
from mask2former.registry import MODELS

COLLECTIVES = (
    'all_gather',
    'all_gather_into_tensor',
    'all_gather_object',
    'all_reduce',
    'all_to_all',
    'barrier',
    'broadcast',
    'broadcast_object_list',
    'gather',
    'gather_object',
    'reduce',
    'reduce_scatter',
    'scatter',
)


@MODELS.register_module()
class CheckedModel(Mask2Former):
    """Trains in float64 and notes, for each step, its segments and the collectives of its loss in
    ``log_dir/rank<N>.jsonl``. Predicts the ground truth with faults that depend on the image."""

    def __init__(self, *args, log_dir: str, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.double()
        self.log_dir = Path(log_dir)

    def loss(self, inputs: Tensor, data_samples: list[DetDataSample]) -> dict[str, Tensor]:
        with ExitStack() as stack:
            spies = {
                name: stack.enter_context(
                    mock.patch.object(torch.distributed, name, wraps=getattr(torch.distributed, name))
                )
                for name in COLLECTIVES
            }
            losses = super().loss(inputs, data_samples)
        entry = dict(
            images=[sample.img_id for sample in data_samples],
            segments=[len(sample.gt_segments.labels) for sample in data_samples],
            collectives=[name for name, spy in spies.items() for _ in range(spy.call_count)],
        )
        with open(self.log_dir / f'rank{get_rank()}.jsonl', 'a') as file:
            file.write(json.dumps(entry) + '\n')
        return losses

    def predict(self, inputs: Tensor, data_samples: list[DetDataSample]) -> list[DetDataSample]:
        for sample in data_samples:
            truth = sample.gt_panoptic_seg
            id_map = torch.as_tensor(truth.id_map).clone()  # (1, H, W)
            id_map[..., : 4 * (sample.img_id % 7)] = 0
            labels = torch.zeros_like(id_map, dtype=torch.long)
            for segment in truth.segments_info:
                labels[id_map == segment['id']] = segment['label']
            present = [
                dict(id=s['id'], label=s['label'], isthing=s['isthing'], score=1.0)
                for s in truth.segments_info
                if (id_map == s['id']).any()
            ]
            things = [segment for segment in present if segment['isthing']]
            sample.pred_panoptic_seg = PixelData(id_map=id_map, metainfo=dict(segments_info=present))
            sample.pred_sem_seg = PixelData(sem_seg=labels)
            sample.pred_instances = InstanceData(
                labels=torch.tensor([s['label'] for s in things], dtype=torch.long),
                scores=torch.tensor([1 / (s['id'] + sample.img_id) for s in things]),
                bboxes=torch.zeros(len(things), 4),
                masks=torch.stack([id_map[0] == s['id'] for s in things]),
            )
        return data_samples
