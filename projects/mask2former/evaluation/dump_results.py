"""Writes all predictions to a file, with run-length encoded masks."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import DumpResults

from mask2former.registry import METRICS
from mask2former.rle import as_rle, encode_masks


@METRICS.register_module()
class DumpSegResults(DumpResults):
    """Write a list with a dict for each image to a pickle file; plain values, numpy arrays and COCO's RLE dicts only.

    Each dict has ``img_id, img_path, ori_shape`` and of these what was predicted: ``instances``, a dict of
    ``labels (n,), scores (n,), bboxes (n, 4)`` as xyxy and ``masks``, n RLE dicts; ``panoptic``, a list of
    ``dict(id, label, isthing, score, mask)``; ``semantic``, a list of ``dict(label, mask)``. mmdet's ``DumpDetResults``
    keeps whole label maps: for a data set of the size of COCO's, more than the memory holds.

    Args:
        out_file_path: The file, ``.pkl`` or ``.pickle``.
        collect_device: 'cpu' or 'gpu', how results are collected from several processes.
        collect_dir: Folder for collecting on the CPU.
    """

    default_prefix = ''  # with None mmengine would warn of it

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the results of a batch; see :class:`mmengine.evaluator.BaseMetric`."""
        for sample in data_samples:
            result = {key: sample.get(key) for key in ('img_id', 'img_path', 'ori_shape')}
            if 'pred_instances' in sample:
                found = sample['pred_instances']
                result['instances'] = {key: found[key].cpu().numpy() for key in ('labels', 'scores', 'bboxes')}
                result['instances']['masks'] = as_rle(found['masks'])
            if 'pred_panoptic_seg' in sample:
                segments = sample['pred_panoptic_seg']['segments_info']
                masks = _masks_of(sample['pred_panoptic_seg']['id_map'], [segment['id'] for segment in segments])
                result['panoptic'] = [dict(segment, mask=mask) for segment, mask in zip(segments, masks)]
            if 'pred_sem_seg' in sample:
                label_map = sample['pred_sem_seg']['sem_seg']
                labels = label_map.unique().tolist()
                result['semantic'] = [
                    dict(label=label, mask=mask) for label, mask in zip(labels, _masks_of(label_map, labels))
                ]
            self.results.append(result)


def _masks_of(values: torch.Tensor, wanted: list[int]) -> list[dict]:
    """The masks in a map (1, H, W) of some of its values, encoded one after another: all at once may be large."""
    return [mask for value in wanted for mask in encode_masks(values == value)]
