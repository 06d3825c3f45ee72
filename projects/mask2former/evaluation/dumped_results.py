"""Reads what ``DumpSegResults`` wrote, and makes data samples of it again."""

import pickle
from pathlib import Path

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mask2former.errors import DataError, MissingFileError
from mask2former.rle import decode_mask

# What pickle needs for arrays and bytes; a file that names anything else is not ours and could run code.
_ALLOWED = (
    {('numpy', 'ndarray'), ('numpy', 'dtype'), ('_codecs', 'encode')}
    | {
        (module, name)
        for module in ('numpy._core.multiarray', 'numpy.core.multiarray')
        for name in ('_reconstruct', 'scalar')
    }
    | {(module, '_frombuffer') for module in ('numpy._core.numeric', 'numpy.core.numeric')}
)


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f'{module}.{name}')
        return super().find_class(module, name)


def read_results(path: str | Path) -> list[dict]:
    """Read a file of ``tools/test.py --out``; see :class:`DumpSegResults` for the dicts. Nothing in it is executed.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is no such file.
    """
    if not Path(path).is_file():
        raise MissingFileError(f"The results '{path}' are not there: write them with tools/test.py --out.")
    try:
        with open(path, 'rb') as file:
            results = _ArrayUnpickler(file).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError) as error:
        raise DataError(f"'{path}' is no file of tools/test.py --out ({error}): write it anew.") from error
    if not isinstance(results, list) or not all(isinstance(r, dict) and 'img_id' in r for r in results):
        raise DataError(f"'{path}' holds no list of results with 'img_id': write it with tools/test.py --out.")
    return results


def as_sample(result: dict) -> DetDataSample:
    """Make the data sample that the model predicted; only the predictions and ``img_id, img_path, ori_shape``."""
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
        id_map = _map_of(result['panoptic'], 'id', shape, np.int32)
        sample.pred_panoptic_seg = PixelData(id_map=id_map, metainfo=dict(segments_info=infos))
    if 'semantic' in result:
        sample.pred_sem_seg = PixelData(sem_seg=_map_of(result['semantic'], 'label', shape, np.int64))
    return sample


def _map_of(segments: list[dict], key: str, shape: tuple[int, int], dtype: type) -> torch.Tensor:
    """Paint the values ``key`` of segments into a map (1, H, W); 0 where there is none."""
    values = np.zeros(shape, dtype=dtype)
    for segment in segments:
        values[decode_mask(segment['mask'])] = segment[key]
    return torch.from_numpy(values)[None]
