"""What can be wrong in a data set."""

from dataclasses import dataclass
from typing import Any

# What a training cannot work with, or what makes its results wrong. All other kinds are warnings.
ERRORS = {
    'missing image',
    'missing map',
    'corrupt image',
    'corrupt map',
    'lossy map',
    'no class ids',
    'wrong size',
    'wrong mask size',
    'unknown value',
    'id not in JSON',
    'id not in PNG',
    'unknown category',
    'image id twice',
    'segment id twice',
    'segment id 0',
    'no such image',
    'no segmentation',
    'empty mask',
    'two annotations',
    'malformed entry',
    'malformed category',
    'category id twice',
    'isthing missing',
    'classes unusable',
    'classes differ',
    'in train and val',
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: of which kind, in which image, and in words what to mend."""

    kind: str
    image: Any  # id, None where no image is to blame
    text: str

    @property
    def is_error(self) -> bool:
        return self.kind in ERRORS


def printable(value: Any) -> str:
    """The text of a value that comes from files, without what a terminal or a page would not show as a character."""
    return ''.join(sign if sign.isprintable() else f'\\x{ord(sign):02x}' for sign in str(value))
