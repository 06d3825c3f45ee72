"""Scenes, and a model that knows the truth of whatever part of them it sees."""

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from scipy import ndimage
from torch import nn

from mask2former.formats.rle import encode_mask

CLASSES, ISTHING = ('a', 'b', 'sky', 'grass'), (True, True, False, False)
META = dict(classes=CLASSES, isthing=ISTHING)
EDGES = np.ones((3, 3))  # pixels that touch at a corner are connected


def draw_scene(size, seed=0, count=40, radius=60):
    """An id map (H, W) of connected things over two bands of stuff and some void, and the label of each id."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[: size[0], : size[1]]
    discs = np.zeros(size, np.int32)
    for number in range(1, count + 1):
        cy, cx = rng.integers(size[0]), rng.integers(size[1])
        discs[(y - cy) ** 2 + (x - cx) ** 2 < rng.integers(2, radius) ** 2] = number
    id_map, labels = np.zeros(size, np.int32), [-1]
    for number in np.unique(discs[discs > 0]):  # what covers a disc may have cut it into pieces
        pieces, n = ndimage.label(discs == number, EDGES)
        for piece in range(1, n + 1):
            id_map[pieces == piece] = len(labels)
            labels.append(int(rng.integers(2)))
    for label, band in ((2, x // 50 % 3 == 0), (3, x // 50 % 3 == 1)):
        id_map[(id_map == 0) & band] = len(labels)
        labels.append(label)
    return id_map, np.array(labels)


def truth_of(id_map, labels, score=0.9):
    """What a perfect model gives of a map, whose segments it numbers anew."""
    sample = DetDataSample(metainfo=dict(ori_shape=id_map.shape, img_shape=id_map.shape))
    ids = [number for number in np.unique(id_map).tolist() if number]
    order = np.random.default_rng(len(ids)).permutation(ids).tolist()
    numbered = np.zeros(id_map.shape, np.int32)
    infos = []
    for number, old in enumerate(order, 1):
        numbered[id_map == old] = number
        infos.append(dict(id=number, label=int(labels[old]), isthing=ISTHING[labels[old]], score=score))
    things = [old for old in order if ISTHING[labels[old]]]
    sample.pred_panoptic_seg = PixelData(id_map=torch.from_numpy(numbered)[None], metainfo=dict(segments_info=infos))
    sample.pred_instances = InstanceData(
        labels=torch.tensor([int(labels[old]) for old in things], dtype=torch.long),
        scores=torch.full((len(things),), score),
        masks=[encode_mask(id_map == old) for old in things],
    )
    sample.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(np.where(id_map > 0, labels[id_map], 2))[None])
    return sample


class Oracle(nn.Module):
    """A model whose images are maps: a pixel's id is its first channel plus 256 times the second."""

    def __init__(self, labels):
        super().__init__()
        self.labels = labels
        self.data_preprocessor = nn.Identity()

    def test_step(self, data):
        samples = []
        for planes, sample in zip(data['inputs'], data['data_samples']):
            id_map = planes[0].int().numpy() + 256 * planes[1].int().numpy()
            assert id_map.shape == tuple(sample.ori_shape)
            sample.update(truth_of(id_map, self.labels))
            samples.append(sample)
        return samples


def image_batch(id_map, labels):
    """One whole image that shows a map, with the truth."""
    planes = torch.from_numpy(np.stack([id_map % 256, id_map // 256, id_map * 0]).astype(np.uint8))
    sample = DetDataSample(metainfo=dict(img_id=1, ori_shape=id_map.shape, img_shape=id_map.shape))
    infos = [
        dict(id=int(i), label=int(labels[i]), isthing=ISTHING[labels[i]], iscrowd=False)
        for i in np.unique(id_map[id_map > 0])
    ]
    sample.gt_panoptic_seg = PixelData(id_map=torch.from_numpy(id_map)[None], metainfo=dict(segments_info=infos))
    return dict(inputs=[planes], data_samples=[sample])
