"""Files of a result, as the page hands them over: their name, type and content. None of them lies on the server."""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mask2former.errors import UserError
from mask2former.formats.html_page import data_address, in_base64
from mask2former.formats.panoptic_png import id_colors
from mask2former.predictions import Prediction, Segment
from mask2former.predictions.exchange import label_studio_interface

from .studio import Found, Studio


@dataclass(frozen=True)
class Result:
    """What a file is made of: the model, what it found, and which of it is switched on."""

    studio: Studio
    found: Found
    prediction: Prediction

    @property
    def stem(self) -> str:
        """Of the file's name."""
        return Path(self.found.name).stem


@dataclass(frozen=True)
class Download:
    """A file."""

    name: str
    type: str
    content: bytes

    def to_json(self) -> dict[str, str]:
        """As the browser takes it."""
        return dict(name=self.name, type=self.type, content=in_base64(self.content))


def picture(result: Result) -> Download:
    """The photo with what is switched on, and its names."""
    return Download(f'{result.stem}_{result.prediction.task}.png', 'image/png', _png(result.prediction.draw()))


def id_map(result: Result) -> Download:
    """COCO's panoptic PNG: a pixel's segment is R + 256 G + 65536 B."""
    return Download(f'{result.stem}_ids.png', 'image/png', _png(id_colors(result.prediction.id_map())))


def coco(result: Result) -> Download:
    """COCO's JSON of a data set of this image, which pycocotools and labelling tools read."""
    meta = result.studio.predictor.inferencer.dataset_meta
    names = result.studio.predictor.classes
    ids = meta.get('category_ids') or range(len(names))
    height, width = result.found.size
    rows = zip(result.prediction.segments, result.prediction.to_coco(1))
    content = dict(
        images=[dict(id=1, file_name=result.found.name, height=height, width=width)],
        annotations=[
            dict(row, id=segment.id, bbox=list(segment.box), area=segment.area, iscrowd=0) for segment, row in rows
        ],
        categories=[dict(id=int(category), name=name) for category, name in zip(ids, names)],
    )
    return Download(f'{result.stem}_coco.json', 'application/json', _json(content))


def label_studio(result: Result) -> Download:
    """A zip file of Label Studio's task, with the photo in it, and of the labelling interface that it is for."""
    image = data_address('image/jpeg', result.found.jpeg)
    names = result.studio.predictor.classes
    colors = {name: result.studio.table.color(label) for label, name in enumerate(names)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('tasks.json', _json(result.prediction.to_label_studio(image=image)))
        archive.writestr('labelling_interface.xml', label_studio_interface(colors))
    return Download(f'{result.stem}_label_studio.zip', 'application/zip', packed.getvalue())


def cvat(result: Result) -> Download:
    """CVAT's XML for images 1.1."""
    return Download(f'{result.stem}_cvat.xml', 'application/xml', result.prediction.to_cvat().encode())


def labelme(result: Result) -> Download:
    """LabelMe's JSON."""
    return Download(f'{result.stem}.json', 'application/json', _json(result.prediction.to_labelme()))


FORMATS: dict[str, Callable[[Result], Download]] = {
    'Picture (PNG)': picture,
    'COCO (JSON)': coco,
    'Label Studio': label_studio,
    'CVAT (XML)': cvat,
    'LabelMe (JSON)': labelme,
    'Map of ids (PNG)': id_map,
}


def make(
    format: str, studio: Studio, found: Found, task: str, segments: list[Segment], off: Sequence[int], alpha: float
) -> Download:
    """Make a file.

    Args:
        format: One of :data:`FORMATS`.
        studio: The model.
        found: What it found.
        task: Which results.
        segments: Those that are shown.
        off: Ids of those among them that are switched off.
        alpha: Share of the colours in the picture.

    Raises:
        UserError: If there is no such format, or it cannot hold this.
    """
    if format not in FORMATS:
        raise UserError('There is no such format: reload the page.')
    kept = [segment for segment in segments if segment.id not in set(off)]
    return FORMATS[format](Result(studio, found, studio.prediction(found, task, segments, kept, alpha)))


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(',', ':')).encode()


def _png(image: np.ndarray) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(image).save(packed, 'PNG')
    return packed.getvalue()
