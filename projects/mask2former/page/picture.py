"""The result as HTML: the photo with outlines over it, a legend, and a table of the segments."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mask2former.formats.html_page import in_base64, render
from mask2former.formats.palette import hex_color
from mask2former.formats.rle import decode_mask
from mask2former.predictions import Segment

from .studio import SHOWN_SIDE, Found, Studio

HERE = Path(__file__).parent


class Row(NamedTuple):
    """A segment as the page shows it: its id, name, score in a text, share of the image, colour, whether it is a thing,
    and its outline as an SVG path."""

    id: int
    name: str
    score: str
    share: str
    color: str
    isthing: bool
    path: str


def show(studio: Studio, found: Found, task: str, segments: list[Segment]) -> str:
    """The HTML of a result."""
    colors = studio.colors(segments)
    height, width = found.size
    rows = [
        Row(
            segment.id,
            segment.label,
            '' if segment.score is None else f'{segment.score:.2f}',
            percent(segment.area / (height * width)),
            hex_color(colors[segment.id]),
            segment.isthing,
            outline(decode_mask(segment.rle)),
        )
        for segment in segments
    ]
    counts = Counter(segment.label for segment in segments)
    of_class = {segment.label: hex_color(studio.table.color(studio.label(segment))) for segment in segments}
    return render(
        HERE / 'picture.html',
        jpeg=in_base64(found.jpeg),
        found=found,
        width=width,
        height=height,
        rows=rows,
        # Larger ones lie below, so that every one can be pointed at.
        layers=[row for _, row in sorted(zip(segments, rows), key=lambda pair: -pair[0].area)],
        legend=[(name, of_class[name], count) for name, count in counts.most_common()],
        task=task,
    )


def percent(share: float) -> str:
    """A share as a text: '12 %', '0.4 %'."""
    return f'{100 * share:.0f} %' if share >= 0.0995 else f'{100 * share:.1f} %' if share >= 0.001 else '< 0.1 %'


def outline(mask: np.ndarray) -> str:
    """The outlines of a mask (H, W) bool, with its holes, as an SVG path in its pixels; to be filled evenodd.

    It is as fine as the picture that is shown: of larger masks a few pixels may be on the wrong side.
    """
    height, width = mask.shape
    shrink = max(1.0, max(height, width) / SHOWN_SIDE)
    pixels: np.ndarray = mask.astype(np.uint8)
    if shrink > 1:
        size = max(1, round(width / shrink)), max(1, round(height / shrink))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST_EXACT)
    # Doubled, the outline runs through what was the outer edge of the pixels, not through their middles.
    contours, _ = cv2.findContours(np.kron(pixels, np.ones((2, 2), np.uint8)), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    scale = width / pixels.shape[1], height / pixels.shape[0]
    parts = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, 1.0, True)[:, 0] if len(contour) > 8 else contour[:, 0]
        places = ((points + 0.5) / 2 * scale).round(1)
        parts.append('M' + 'L'.join(f'{x:g} {y:g}' for x, y in places.tolist()) + 'Z')
    return ''.join(parts)
