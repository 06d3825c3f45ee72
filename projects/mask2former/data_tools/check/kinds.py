"""What can be wrong in a data set: the table of all kinds, and a problem of one of them."""

from dataclasses import dataclass
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A kind of problem.

    Attributes:
        meaning: What is wrong.
        error: Whether a training cannot work with it or has wrong results; the others are warnings.
        drops_image: Whether the clean copy leaves the image out: its annotation cannot be trusted, or the training
            would see what it is tested on.
        by_hand: Whether only a person can decide what is right.
    """

    meaning: str
    error: bool = False
    drops_image: bool = False
    by_hand: bool = False


# docs/data_check.md has this table, too.
KINDS = {
    # Files
    'missing image': Kind('an image file is absent', error=True, drops_image=True),
    'corrupt image': Kind('an image file cannot be decoded', error=True, drops_image=True),
    'missing map': Kind('the PNG of an annotation is absent', error=True, drops_image=True),
    'corrupt map': Kind('the PNG of an annotation cannot be decoded', error=True, drops_image=True),
    'lossy map': Kind('the map is a JPEG file, which does not keep ids', error=True, drops_image=True),
    'no class ids': Kind('a class-id PNG has several channels', error=True, drops_image=True),
    'wrong size': Kind('image, map and JSON file differ in the size', error=True, drops_image=True),
    'wrong bands': Kind('an image has another number of bands than the config says', error=True, drops_image=True),
    'mixed types': Kind('images are of several types, such as 8 and 16 bits', error=True, by_hand=True),
    'turned by EXIF': Kind('the image is turned when it is loaded; its annotation must be, too'),
    'map without image': Kind('a class-id PNG belongs to no image'),
    'outside the root': Kind("the annotation file names a file outside of the data set's folder", error=True),
    'file listed twice': Kind('several entries have the same image file'),
    # Entries of the JSON file
    'malformed entry': Kind('an entry lacks a key, or a value has a wrong type', error=True),
    'image id twice': Kind('several images have one id', error=True),
    'no such image': Kind('an annotation belongs to no image', error=True),
    'no annotation': Kind('an image has no annotation'),
    'two annotations': Kind('an image has several panoptic annotations', error=True),
    # Categories
    'malformed category': Kind('a category has no id or no name', error=True, by_hand=True),
    'category id twice': Kind('several categories have one id', error=True),
    'category name twice': Kind('several categories have one name', by_hand=True),
    'isthing missing': Kind('a panoptic category does not say whether it is a thing', error=True, by_hand=True),
    'classes unusable': Kind('the classes of file and config do not fit together', error=True, by_hand=True),
    'classes differ': Kind('two splits have other classes, or another order of them', error=True, by_hand=True),
    'category ids differ': Kind('two splits give the same classes other ids', by_hand=True),
    # Segments as the JSON file has them
    'unknown category': Kind('the category of a segment is not in the file', error=True),
    'segment id 0': Kind('a segment has no id, or that of void', error=True),
    'segment id twice': Kind('several segments of an image have one id', error=True),
    'no segmentation': Kind('an instance has neither polygons nor RLE', error=True),
    'bad polygon': Kind('a polygon has less than three points, or half a point'),
    'area 0': Kind('the file says that a segment has no pixel; no training learns it'),
    'malformed box': Kind('a box is not four finite numbers'),
    'empty box': Kind('a box has no width or no height'),
    'box outside': Kind('a box leaves the image'),
    # Segments against their pixels
    'wrong mask size': Kind('an RLE has another size than its image', error=True),
    'empty mask': Kind('the polygons or RLE of an instance cover no pixel', error=True),
    'stacked instances': Kind(
        'more instances lie over one another than a training takes', error=True, drops_image=True
    ),
    'wrong area': Kind('an area is not that of the mask'),
    'wrong box': Kind('a box is not that of the mask'),
    'id not in PNG': Kind('a segment of the JSON file has no pixel in the PNG', error=True),
    'id not in JSON': Kind('the PNG has a segment that the JSON file lacks', error=True),
    'unknown value': Kind('a pixel value is neither a class nor `ignore_index`', error=True),
    'all void': Kind('no pixel of an image belongs to a class'),
    # The split as a whole
    'nothing to learn': Kind('no image has a segment that a training learns', error=True, by_hand=True),
    'class without segment': Kind('no image shows a class'),
    'class without pixel': Kind('no image shows a class (semantic data)'),
    'more segments than queries': Kind('an image has more segments than the model can find'),
    'in another split': Kind('an image file is in another split, too', error=True, drops_image=True),
    'similar in another split': Kind('an image looks like one of another split'),
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: One of ``KINDS``.
        image: The id of the image, None where no single one is concerned.
        text: What is wrong and how to fix it.

    Raises:
        ValueError: If there is no such kind.
    """

    kind: str
    image: Any
    text: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f'KINDS has no kind {self.kind!r} of problem.')

    @property
    def is_error(self) -> bool:
        return KINDS[self.kind].error


class Problems(list[Problem]):
    """A list of problems that can make them."""

    def add(self, kind: str, image: Any, text: str) -> None:
        """Append a problem."""
        self.append(Problem(kind, image, text))


def printable(value: Any) -> str:
    """The text of a value that comes from files, without what a terminal or a page would not show as a character."""
    return ''.join(sign if sign.isprintable() else f'\\x{ord(sign):02x}' for sign in str(value))
