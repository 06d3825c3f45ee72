"""Look inside a model that segments an image: its surest queries, layer by layer, and where the pixel decoder looks."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import nn

from mask2former.apis import SegInferencer
from mask2former.errors import ConfigError
from mask2former.formats.bands import in_file_order
from mask2former.models import EncoderOnlyHead, MaskedAttentionHead
from mask2former.models.video import is_of_images
from mask2former.visualization.bands import as_rgb

from .attention import record_attention
from .block_attention import all_outputs
from .encoder_samples import PixelSamples, record_encoder
from .query_view import QueryView, surest_queries, view_query


class InsideQuery(NamedTuple):
    """A query, and the samples of one pixel of its object.

    Attributes:
        view: What the query did.
        pixel: (x, y), 0 to 1 over the network's input: the innermost pixel of the object, or the one that was asked
            for.
        samples: Of each level of the pixel decoder, from coarse to fine, and each of its layers, what the pixel there
            samples; empty without deformable attention.
    """

    view: QueryView
    pixel: tuple[float, float]
    samples: list[list[PixelSamples]]


class Inside(NamedTuple):
    """What a model did with an image.

    Attributes:
        photo: (H, W, 3) uint8 RGB, the image as large as the network gets it, grey where it is padded.
        shape: (h, w) of the image in it, from the upper left corner.
        queries: The queries that were looked at.
    """

    photo: np.ndarray
    shape: tuple[int, int]
    queries: list[InsideQuery]


def can_look_inside(model: nn.Module) -> bool:
    """Whether it is a model of images whose queries' attention can be followed."""
    return is_of_images(model) and isinstance(model.head, MaskedAttentionHead | EncoderOnlyHead)


@torch.no_grad()
def look_inside(
    inferencer: SegInferencer,
    image: str | os.PathLike | np.ndarray,
    queries: Sequence[int] | None = None,
    most: int = 6,
    pixel: tuple[int, int] | None = None,
) -> Inside:
    """Run a model on an image and keep what its queries did.

    Args:
        inferencer: The model with its preparation of images; without test-time augmentation.
        image: As the inferencer takes it.
        queries: Which ones; by default the surest ones that have a segment, see
            :func:`~mask2former.analysis.query_view.surest_queries`.
        most: So many of these.
        pixel: (x, y) in the image whose samples are kept; by default the innermost one of each query's object.

    Raises:
        ConfigError: If the model is of another kind, if there is no such query or pixel, or if nothing is found.
    """
    model = inferencer.model
    if not can_look_inside(model):
        raise ConfigError(
            'One looks inside of models of images with a MaskedAttentionHead or an EncoderOnlyHead, but this one is a '
            f'{type(model).__name__} with a {type(getattr(model, "head", None)).__name__}.'
        )
    original = inferencer.read_image(image)
    data = model.data_preprocessor(pseudo_collate([inferencer.prepare(image)]), False)
    inputs, [sample] = data['inputs'], data['data_samples']
    size = (inputs.shape[2], inputs.shape[3])
    with record_attention(model.head) as layers, record_encoder(model) as encoder:
        output = all_outputs(model.head, layers, model.extract(inputs)).full_precision()
    count = output.class_logits.shape[2]
    if queries is None:
        queries = surest_queries(output, 0, most)
        if not queries:
            raise ConfigError('The model finds nothing in the image: name a query.')
    elif wrong := [query for query in queries if not 0 <= query < count]:
        raise ConfigError(f'There is no query {wrong[0]}: the model has 0 to {count - 1}.')
    shape = tuple(sample.img_shape[:2])
    photo = _photo(as_rgb(in_file_order(original), inferencer.visualizer.bands), shape, size)
    place = None if pixel is None else _place(pixel, original.shape[:2], shape, size)
    found = []
    for query in queries:
        view = view_query(output, layers, 0, query, model.dataset_meta['classes'], size)
        x, y = place or _innermost(view.object.numpy())
        levels = range(len(encoder[0].level_shapes)) if encoder else ()
        found.append(InsideQuery(view, (x, y), [[layer.samples(0, i, x, y) for layer in encoder] for i in levels]))
    return Inside(photo, shape, found)


def _photo(rgb: np.ndarray, shape: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    photo = np.full((*size, 3), 128, np.uint8)
    photo[: shape[0], : shape[1]] = cv2.resize(rgb, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return photo


def _place(
    pixel: tuple[int, int], original: Sequence[int], shape: Sequence[int], size: Sequence[int]
) -> tuple[float, float]:
    """A pixel (x, y) of the original image in the input, 0 to 1."""
    x, y = pixel
    if not (0 <= x < original[1] and 0 <= y < original[0]):
        raise ConfigError(f'The image has no pixel ({x}, {y}): it is {original[1]} x {original[0]} (W x H).')
    return (x + 0.5) / original[1] * shape[1] / size[1], (y + 0.5) / original[0] * shape[0] / size[0]


def _innermost(mask: np.ndarray) -> tuple[float, float]:
    """(x, y), 0 to 1, of the pixel of a mask (H, W) that is farthest from its border; of an empty one the centre."""
    if not mask.any():
        return 0.5, 0.5
    distance = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return (float(x) + 0.5) / mask.shape[1], (float(y) + 0.5) / mask.shape[0]
