"""What a model did inside as one HTML page, with everything in it and nothing from outside."""

import io
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image
from torch import Tensor

from mask2former.formats.html_page import data_address, render

from .encoder_samples import PixelSamples
from .inside import Inside, InsideQuery
from .samples_picture import COLORS

_LEAST_WEIGHT = 0.005  # of a sample that the page shows


def inside_page(inside: Inside, title: str) -> str:
    """The page: one chooses a query and a layer and sees masks, attention, classes and samples.

    Args:
        inside: Of :func:`~mask2former.analysis.inside.look_inside`.
        title: Heading, such as the image's name.
    """
    height, width = inside.photo.shape[:2]
    return render(
        Path(__file__).parent / 'inside.html',
        title=title,
        photo=_jpeg(inside.photo),
        width=width,
        height=height,
        shape=inside.shape,
        colors=COLORS,
        queries=[_query(query) for query in inside.queries],
    )


def _query(query: InsideQuery) -> dict[str, Any]:
    view = query.view
    missing: list[None] = [None] * view.missing
    return dict(
        number=view.query,
        masks=[*missing, *[_colored(mask, _MASK) for mask in view.masks]],
        classes=[*missing, *view.classes],
        layers=[
            dict(
                level='+'.join(f'{h}×{w}' for h, w in layer.sizes),
                allowed=None if layer.allowed is None else _colored(layer.allowed.float(), _MASK),
                looked=[_colored(x / x.max(), _GLOW) for x in (layer.heads.mean(0), *layer.heads)],
                inside=round(layer.inside, 4),
                even=round(layer.even, 4),
            )
            for layer in view.layers
        ],
        pixel=query.pixel,
        samples=[[_dots(layer) for layer in level] for level in query.samples],
    )


def _dots(samples: PixelSamples) -> list[tuple[float, float, float, int]]:
    """x, y, weight and level of each sample, those that count least left out."""
    locations, weights = samples.locations.cpu().numpy(), samples.weights.cpu().numpy()
    return [
        (round(float(x), 4), round(float(y), 4), round(float(weights[m, level, r]), 3), level)
        for m, level, r in np.argwhere(weights >= _LEAST_WEIGHT).tolist()
        for x, y in [locations[m, level, r]]
    ]


def _ramp(colors: np.ndarray, alpha: np.ndarray) -> tuple[bytes, bytes]:
    """A palette of 256 colours, and how opaque each is."""
    return colors.astype(np.uint8).tobytes(), alpha.astype(np.uint8).tobytes()


_STEPS = np.arange(256)
_MASK = _ramp(np.tile([255, 64, 160], (256, 1)), np.clip(3 * (_STEPS - 85), 0, 170))  # opaque from a half on
_GLOW = _ramp(255 * matplotlib.colormaps['inferno'](_STEPS)[:, :3], np.full(256, 210))


def _colored(values: Tensor, ramp: tuple[bytes, bytes]) -> str:
    """Values (h, w) from 0 to 1 as an address of a PNG."""
    image = Image.fromarray((255 * values.clamp(0, 1)).round().byte().numpy(), mode='L').convert('L')
    image.putpalette(ramp[0])
    data = io.BytesIO()
    image.save(data, 'PNG', transparency=ramp[1], optimize=True)
    return data_address('image/png', data.getvalue())


def _jpeg(photo: np.ndarray) -> str:
    data = io.BytesIO()
    Image.fromarray(photo).save(data, 'JPEG', quality=88)
    return data_address('image/jpeg', data.getvalue())
