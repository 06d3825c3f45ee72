"""A file of all predictions, with run-length encoded masks: writing it, reading it, making data samples of it again."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import DumpResults
from mmengine.structures import InstanceData, PixelData

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.rle import as_rle, decode_mask
from mask2former.registry import METRICS
from mask2former.unpickle import load_pickle

from .results_check import check_result
from .sample_fields import require_tracks


@METRICS.register_module()
class DumpSegResults(DumpResults):
    """Write a list with a dict for each image to a pickle file; plain values, numpy arrays and COCO's RLE dicts only.

    Each dict has ``img_id, img_path, ori_shape`` and of these what was predicted: ``instances``, a dict of
    ``labels (n,), scores (n,), bboxes (n, 4)`` as xyxy and ``masks``, n RLE dicts; ``panoptic``, a list of
    ``dict(id, label, isthing, score, mask)``; ``semantic``, a list of ``dict(label, mask)``. That of a video has
    ``video_id`` and ``tracks``, a list of ``dict(score, label, segmentations)`` with an RLE dict or None a frame;
    ``panoptic_video`` and ``semantic_video`` are lists of ``dict(id, label, segmentations)`` and ``dict(label,
    segmentations)``, and ``num_frames`` is T.
    mmdet's ``DumpDetResults`` keeps whole label maps: for a data set of the size of COCO's, more than the memory holds.

    Args:
        out_file_path: The file, ``.pkl`` or ``.pickle``.
        collect_device: 'cpu' or 'gpu', how results are collected from several processes.
        collect_dir: Folder for collecting on the CPU.
    """

    default_prefix = ''  # with None mmengine would warn of it

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the results of a batch; see :class:`mmengine.evaluator.BaseMetric`."""
        for sample in data_samples:
            result: dict[str, Any] = {key: sample.get(key) for key in ('img_id', 'img_path', 'ori_shape')}
            if 'pred_instances' in sample:
                found = sample['pred_instances']
                arrays = {key: found[key].cpu().numpy() for key in ('labels', 'scores', 'bboxes')}
                result['instances'] = dict(arrays, masks=as_rle(found['masks']))
            if 'pred_panoptic_seg' in sample:
                segments = sample['pred_panoptic_seg']['segments_info']
                masks = _masks_of(sample['pred_panoptic_seg']['id_map'], [segment['id'] for segment in segments])
                result['panoptic'] = [dict(segment, mask=mask) for segment, mask in zip(segments, masks)]
            if 'video_id' in sample:
                result.update(_video_result(sample))
            elif 'pred_sem_seg' in sample:
                label_map = sample['pred_sem_seg']['sem_seg']
                labels = label_map.unique().tolist()
                result['semantic'] = [
                    dict(label=label, mask=mask) for label, mask in zip(labels, _masks_of(label_map, labels))
                ]
            self.results.append(result)


def _video_result(sample: dict) -> dict[str, Any]:
    """What was predicted of a video."""
    result: dict[str, Any] = dict(video_id=sample['video_id'])
    if 'pred_tracks' in sample:
        result['tracks'] = [
            dict(score=float(t['score']), label=int(t['label']), segmentations=list(t['segmentations']))
            for t in require_tracks(sample)
        ]
    if 'pred_panoptic_video' in sample:
        maps, segments = (sample['pred_panoptic_video'][key] for key in ('id_maps', 'segments_info'))
        masks = _masks_of_video(maps, [segment['id'] for segment in segments])
        result['num_frames'] = len(maps)
        result['panoptic_video'] = [dict(s, segmentations=frames) for s, frames in zip(segments, masks)]
    if 'pred_sem_seg' in sample:
        maps = sample['pred_sem_seg']['sem_seg']  # (T, H, W)
        labels = maps.unique().tolist()
        result['num_frames'] = len(maps)
        masks = _masks_of_video(maps, labels)
        result['semantic_video'] = [dict(label=label, segmentations=frames) for label, frames in zip(labels, masks)]
    return result


def _masks_of_video(maps: Iterable[torch.Tensor], wanted: list[int]) -> list[tuple[dict | None, ...]]:
    """Of each of the wanted values its mask in each of the T maps (H, W), None where it has no pixel."""
    frames = []
    for values in maps:
        shown = set(values.unique().tolist())
        frames.append([_masks_of(values[None], [value])[0] if value in shown else None for value in wanted])
    return list(zip(*frames))


def _masks_of(values: torch.Tensor, wanted: list[int]) -> list[dict]:
    """The masks in a map (1, H, W) of some of its values, encoded one after another: all at once may be large."""
    return [mask for value in wanted for mask in as_rle(values == value)]


def read_results(path: str | Path) -> list[dict]:
    """Read a file of ``tools/test.py --out``; see :class:`DumpSegResults` for the dicts. Nothing in it is executed.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is no such file.
    """
    if not Path(path).is_file():
        raise MissingFileError(f"The results '{path}' are not there: write them with tools/test.py --out.")
    try:
        results = load_pickle(path)
    except Exception as error:  # a damaged file can raise anything
        raise DataError(
            f"'{path}' is no file of tools/test.py --out ({' '.join(str(error).split())}): write it again."
        ) from error
    needed = {'img_id', 'ori_shape'}
    if not isinstance(results, list) or not all(isinstance(r, dict) and needed <= r.keys() for r in results):
        raise DataError(
            f"'{path}' holds no list of results with 'img_id' and 'ori_shape': write it with tools/test.py --out."
        )
    for number, result in enumerate(results):
        try:
            check_result(result)
        except (ValueError, TypeError) as error:
            raise DataError(
                f"Result {number} of '{path}' is malformed ({error}): write it with tools/test.py --out."
            ) from error
    return results


def as_sample(result: dict) -> DetDataSample:
    """The data sample that the model predicted: only the predictions and ``img_id, img_path, ori_shape``, or
    ``video_id, ori_shape``."""
    if 'video_id' in result:
        return _video_sample(result)
    sample = DetDataSample(metainfo={key: result.get(key) for key in ('img_id', 'img_path', 'ori_shape')})
    shape = tuple(result['ori_shape'])  # (H, W)
    if 'instances' in result:
        found = result['instances']
        sample.pred_instances = InstanceData(
            **{key: torch.from_numpy(np.asarray(found[key])) for key in ('labels', 'scores', 'bboxes')},
            masks=found['masks'],
        )
    if 'panoptic' in result:
        infos = [{key: value for key, value in segment.items() if key != 'mask'} for segment in result['panoptic']]
        id_map = torch.from_numpy(paint_segments(result['panoptic'], 'id', shape, np.int32))[None]
        sample.pred_panoptic_seg = PixelData(id_map=id_map, metainfo=dict(segments_info=infos))
    if 'semantic' in result:
        sem_seg = torch.from_numpy(paint_segments(result['semantic'], 'label', shape, np.int64))[None]
        sample.pred_sem_seg = PixelData(sem_seg=sem_seg)
    return sample


def _video_sample(result: dict) -> DetDataSample:
    sample = DetDataSample(metainfo=dict(video_id=result['video_id'], ori_shape=result['ori_shape']))
    if 'tracks' in result:
        sample.pred_tracks = result['tracks']
    if 'panoptic_video' in result:
        infos = [{key: value for key, value in s.items() if key != 'segmentations'} for s in result['panoptic_video']]
        maps = _paint_frames(result, 'panoptic_video', 'id', np.int32)
        sample.pred_panoptic_video = dict(id_maps=maps, segments_info=infos)
    if 'semantic_video' in result:
        maps = _paint_frames(result, 'semantic_video', 'label', np.int16)
        sample.pred_sem_seg = PixelData(sem_seg=torch.stack(maps))
    return sample


def _paint_frames(result: dict, field: str, key: str, dtype: type) -> list[torch.Tensor]:
    """The map (H, W) of each frame of a video."""
    frames = []
    for place in range(result['num_frames']):
        shown = [
            dict({key: s[key]}, mask=s['segmentations'][place]) for s in result[field] if s['segmentations'][place]
        ]
        frames.append(torch.from_numpy(paint_segments(shown, key, result['ori_shape'], dtype)))
    return frames


def paint_segments(segments: Sequence[dict], key: str, shape: tuple[int, int], dtype: type) -> np.ndarray:
    """The map (H, W) of the segments' values ``key``; 0 where there is none."""
    values: np.ndarray = np.zeros(shape, dtype=dtype)
    for segment in segments:
        values[decode_mask(segment['mask'])] = segment[key]
    return values
