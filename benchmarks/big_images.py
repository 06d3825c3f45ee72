"""PQ and mask AP of big images with and without tiles, with seconds and the peak of memory.

    python -m benchmarks.big_images DATA --truth --cells 4 --cell 640 --tile 512 --overlap 128
    python -m benchmarks.big_images DATA --model CONFIG CHECKPOINT --cells 3 --cell 512 --tile 512 --overlap 128
    python -m benchmarks.big_images DATA --model CONFIG CHECKPOINT --cells 3 --cell 512

DATA is a folder with COCO's panoptic files, of which annotations/panoptic_{split}.json is read. Its images, enlarged
to cells, are put together to mosaics of --cells x --cells. With --truth each tile's result is the truth: what is
lost, is lost by merging. --merge names another way to merge: 'none', or 'ios' (greedy, of masks that overlap in half of
the smaller one, as SAHI does by default, but by masks); of both only AP is measured, for they make no map.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from pycocotools import mask as mask_utils

from mask2former.apis import SegInferencer
from mask2former.apis.cli import run_tool
from mask2former.errors import ConfigError, DataError
from mask2former.evaluation import InstanceAP, PanopticQuality
from mask2former.formats.files import read_json
from mask2former.formats.panoptic_png import read_id_map
from mask2former.formats.rle import encode_crops, encode_mask
from mask2former.models.tile_model import instance_result, panoptic_result
from mask2former.tiles import Instance, TileGrid, TileMerger
from mask2former.tiles.parts import Part, parts_of

from .common import peak_mb, write_json

MAX_DETS = (5000,)
IOS = 0.5


def read_mosaics(data: Path, split: str, cells: int, cell: int, count: int) -> tuple[dict, list[dict]]:
    """Metainfo, and mosaics ``dict(image (H, W, 3), id_map (H, W), infos)`` of images that are enlarged to cells."""
    content = read_json(data / 'annotations' / f'panoptic_{split}.json')
    labels = {category['id']: label for label, category in enumerate(content['categories'])}
    isthing = tuple(bool(category['isthing']) for category in content['categories'])
    meta = dict(classes=tuple(category['name'] for category in content['categories']), isthing=isthing)
    annotations = {annotation['image_id']: annotation for annotation in content['annotations']}
    images = sorted(content['images'], key=lambda image: (image['height'] * image['width'], image['id']))
    mosaics = []
    for start in range(0, min(len(images) - cells**2 + 1, count * cells**2), cells**2):
        side = cells * cell
        mosaic: dict[str, Any] = dict(
            image=np.zeros((side, side, 3), np.uint8), id_map=np.zeros((side, side), np.int32), infos=[]
        )
        for place, image in enumerate(images[start : start + cells**2]):
            pixels = read_image(data / split / image['file_name'])
            annotation = annotations[image['id']]
            ids = read_id_map(data / 'annotations' / f'panoptic_{split}' / annotation['file_name'])
            scale = cell / max(pixels.shape[:2])
            size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
            y, x = (cell * i for i in divmod(place, cells))
            here = slice(y, y + size[1]), slice(x, x + size[0])
            mosaic['image'][here] = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
            ids = cv2.resize(ids.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)
            for segment in annotation['segments_info']:
                mask = ids == segment['id']
                label = labels[segment['category_id']]
                if mask.any():
                    number = len(mosaic['infos']) + 1
                    mosaic['id_map'][here][mask] = number
                    crowd = bool(segment['iscrowd'])
                    mosaic['infos'].append(dict(id=number, label=label, isthing=isthing[label], iscrowd=crowd))
        mosaics.append(join_stuff(mosaic))
    return meta, mosaics


def read_image(path: Path) -> np.ndarray:
    """An image (H, W, 3) uint8, B, G, R."""
    image = cv2.imread(str(path))
    if image is None:
        raise DataError(f"The image '{path}' cannot be read; replace it.")
    return image


def join_stuff(mosaic: dict) -> dict:
    """Let stuff of a class, out of several images, be one segment, as a panoptic map of one image has it."""
    first: dict[int, int] = {}
    numbers, infos = np.arange(len(mosaic['infos']) + 1), []
    for info in mosaic['infos']:
        if info['isthing'] or info['label'] not in first:
            infos.append(info)
        if not info['isthing']:
            numbers[info['id']] = first.setdefault(info['label'], info['id'])
    return dict(mosaic, id_map=numbers[mosaic['id_map']].astype(np.int32), infos=infos)


def truth_of(mosaic: dict, rows: slice, columns: slice) -> DetDataSample:
    """The truth of a part of a mosaic as a result."""
    ids = mosaic['id_map'][rows, columns]
    seen = set(np.unique(ids).tolist())
    infos = [dict(info, score=0.9) for info in mosaic['infos'] if info['id'] in seen and not info['iscrowd']]
    things = [info for info in infos if info['isthing']]
    kept = np.isin(ids, [info['id'] for info in infos])
    sample = DetDataSample()
    ids_tensor = torch.from_numpy(np.where(kept, ids, 0))[None]
    sample.pred_panoptic_seg = PixelData(id_map=ids_tensor, metainfo=dict(segments_info=infos))
    sample.pred_instances = InstanceData(
        labels=torch.tensor([info['label'] for info in things], dtype=torch.int64),
        scores=torch.full((len(things),), 0.9),
        masks=[encode_mask(ids == info['id']) for info in things],
    )
    return sample


def merge_true_tiles(mosaic: dict, tile: int, overlap: int, merge: str) -> DetDataSample:
    """The result of a mosaic whose tiles give the truth."""
    grid = TileGrid(mosaic['id_map'].shape, tile, overlap)
    merger, parts = TileMerger(grid), []
    for one in grid.tiles:
        found = truth_of(mosaic, one.rows, one.columns)
        if merge == 'shares':
            merger.add(one, found)
        else:
            parts += parts_of(found, 'pred_instances', one)
    sample = DetDataSample()
    if merge == 'shares':
        sample.pred_panoptic_seg = panoptic_result(merger.panoptic())
        sample.pred_instances = instance_result(merger.instances())
    else:
        sample.pred_instances = instance_result(list(other_merge(parts, grid.size, merge)))
    return sample


def other_merge(parts: list[Part], size: tuple[int, int], merge: str) -> Iterator[Instance]:
    """The parts as they are, or merged greedily by the share of the smaller one that two have in common."""
    order = sorted(parts, key=lambda part: -part.score)
    rles = [encode_crops([(part.place(rows_of(part), columns_of(part)), part.top, part.left)], *size) for part in order]
    areas = np.array([part.area for part in order])
    labels = np.array([part.label for part in order])
    free = np.ones(len(order), dtype=bool)
    for i, part in enumerate(order):
        if not free[i]:
            continue
        group = [i]
        if merge == 'ios':
            # With the other one as a crowd, IoU is the share of the first: twice, and the larger one counts.
            share = np.array(mask_utils.iou(rles, [rles[i]], [1]))[:, 0]
            ios = share * areas / np.minimum(areas, areas[i])
            group += [j for j in np.flatnonzero(free & (labels == part.label) & (ios > IOS)).tolist() if j != i]
        free[group] = False
        yield Instance(part.label, part.score, mask_utils.merge([rles[j] for j in group]))


def rows_of(part: Part) -> slice:
    """The rows of a part's box."""
    return slice(part.top, part.bottom)


def columns_of(part: Part) -> slice:
    """The columns of a part's box."""
    return slice(part.left, part.right)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', type=Path)
    parser.add_argument('--split', default='val')
    parser.add_argument('--cells', type=int, default=3, help='images along each side of a mosaic')
    parser.add_argument('--cell', type=int, default=512, help='pixels that the longer side of an image becomes')
    parser.add_argument('--mosaics', type=int, default=2, help='at most so many')
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--truth', action='store_true')
    what.add_argument('--model', nargs=2, metavar=('CONFIG', 'CHECKPOINT'))
    parser.add_argument('--tile', type=int, help='default: whole')
    parser.add_argument('--overlap', type=int)
    parser.add_argument('--merge', choices=['shares', 'none', 'ios'], default='shares')
    parser.add_argument('--json', help='write the result to this file')
    args = parser.parse_args()
    if args.model and args.merge != 'shares':
        raise ConfigError('--merge is for --truth: a model is merged by shares.')
    if args.truth and args.tile is None:
        raise ConfigError('The truth as a whole is the truth: give --tile.')
    overlap = args.overlap or max(1, (args.tile or 4) // 4)
    meta, mosaics = read_mosaics(args.data, args.split, args.cells, args.cell, args.mosaics)
    metrics: list[Any] = [InstanceAP(max_dets=MAX_DETS, metric='segm')]
    if args.merge == 'shares':
        metrics.append(PanopticQuality())
    inferencer = None
    if args.model:
        inferencer = SegInferencer(args.model[0], args.model[1], device='cpu', tile=args.tile, overlap=args.overlap)
    seconds = 0.0
    for number, mosaic in enumerate(mosaics):
        start = time.perf_counter()
        if inferencer is None:
            sample = merge_true_tiles(mosaic, args.tile, overlap, args.merge)
        else:
            [sample] = inferencer(mosaic['image'])
        seconds += time.perf_counter() - start
        sample.set_metainfo(dict(img_id=number, ori_shape=mosaic['id_map'].shape))
        sample.gt_panoptic_seg = PixelData(
            id_map=torch.from_numpy(mosaic['id_map'])[None], metainfo=dict(segments_info=mosaic['infos'])
        )
        for metric in metrics:
            metric.dataset_meta = meta
            metric.process(None, [sample.to_dict()])
    result = dict(mosaics=len(mosaics), seconds=seconds / len(mosaics), peak_mib=peak_mb(torch.device('cpu')))
    for metric in metrics:
        measured = metric.evaluate(len(mosaics))
        result |= {key: measured[key] for key in ('PQ', 'PQ_th', 'PQ_st', 'segm_mAP', 'segm_mAP_50') if key in measured}
    print(' '.join(f'{key} {value:.1f}' for key, value in result.items()))
    if args.json:
        write_json(args.json, result)


if __name__ == '__main__':
    run_tool(main)
