"""Names and colours of the classes and of the instances within a class."""

import colorsys

RGB = tuple[int, int, int]
GOLDEN_RATIO = 0.618034
MAX_NAME_LENGTH = 24


def generated_color(label: int) -> RGB:
    """A colour for a class that has none: steps of the golden ratio around the hue circle never come near again."""
    hue = (0.02 + label * GOLDEN_RATIO) % 1
    saturation = (0.85, 0.6, 0.95)[label % 3]
    value = (0.95, 0.8, 0.65)[label // 3 % 3]
    return _rgb(hue, saturation, value)


def instance_color(color: RGB, index: int) -> RGB:
    """The class colour, varied a bit for each instance so that neighbours of one class can be told apart.

    Args:
        color: RGB colour of the class.
        index: Number of the instance within its class; number 0 has the class colour itself.
    """
    if index == 0:
        return color
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in color))
    # Two sequences without a common period, each spread evenly over 0 .. 1.
    first, second = index * GOLDEN_RATIO % 1, index * 0.754878 % 1
    hue = (hue + 0.14 * (first - 0.5)) % 1
    # A grey class stays grey: only its brightness varies.
    saturation = saturation * (0.55 + 0.45 * second)
    value = 0.5 + 0.5 * first if value > 0.4 else 0.15 + 0.5 * first
    return _rgb(hue, saturation, value)


def _rgb(hue: float, saturation: float, value: float) -> RGB:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


class ClassTable:
    """Looks up what a data set says of a label; without a data set labels are numbers in generated colours.

    Args:
        dataset_meta: ``classes``, ``isthing`` and ``palette`` as in docs/design.md; each may be absent or shorter than
            the labels.
    """

    def __init__(self, dataset_meta: dict | None = None) -> None:
        meta = dataset_meta or {}
        self.classes = tuple(meta.get('classes') or ())
        self._isthing = tuple(meta.get('isthing') or ())
        palette = meta.get('palette') or ()
        # mmdet's data sets may say 'random' for a palette.
        self._palette = () if isinstance(palette, str) else tuple(palette)

    def name(self, label: int) -> str:
        """The class name in one line, cut where it is very long, or ``class <number>`` where there is none."""
        name = ' '.join(str(self.classes[label]).split()) if 0 <= label < len(self.classes) else ''
        if not name:
            return f'class {label}'
        return name if len(name) <= MAX_NAME_LENGTH else name[: MAX_NAME_LENGTH - 1] + '…'

    def color(self, label: int) -> RGB:
        """The palette's colour, or a generated one."""
        if 0 <= label < len(self._palette):
            red, green, blue = self._palette[label]
            return int(red), int(green), int(blue)
        return generated_color(label)

    def isthing(self, label: int) -> bool:
        """Whether the class has instances; yes where the data set says nothing."""
        return bool(self._isthing[label]) if 0 <= label < len(self._isthing) else True
