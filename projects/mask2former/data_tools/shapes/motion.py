"""The scenes of the `moving_shapes` data set: shapes that move before a ground that a camera pans over.

What a tracker meets is drawn on purpose: things enter, leave, cross, cover and uncover each other, change their size
and turn. Time runs from 0, the first frame, to 1, the last one; lengths are in pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .scene import IDS, THINGS, box_around, coverage, draw_grounds, draw_look, outline, paint

_PAN = 0.2  # how far the camera moves at most, in shorter sides


@dataclass(frozen=True)
class Mover:
    """A thing that goes straight from one point to another.

    Attributes:
        name: Its class.
        radius: Of about a circle, at time 0.5.
        start: (2,) xy where its centre is at time 0, before the camera moves.
        end: (2,) xy at time 1.
        look: Colour and light, as :func:`draw_look` draws them.
        turn: Its angle at time 0, in radians.
        spin: How far it turns until time 1.
        growth: Its size at time 1, as a multiple of that at time 0.
        crowd: (n, 2) xy, where the n shapes of a crowd are around its centre; None of a single one.
    """

    name: str
    radius: float
    start: np.ndarray
    end: np.ndarray
    look: tuple[np.ndarray, np.ndarray]
    turn: float = 0.0
    spin: float = 0.0
    growth: float = 1.0
    crowd: np.ndarray | None = None

    @property
    def category_id(self) -> int:
        return IDS[self.name]

    def contours(self, time: float) -> tuple[list[list[np.ndarray]], np.ndarray]:
        """The contours of each of its shapes, (k, 2) xy, and its centre (2,) xy."""
        centre = self.start + time * (self.end - self.start)
        radius = self.radius * self.growth ** (time - 0.5)
        shape = outline(self.name, radius, self.turn + time * self.spin)
        places = [centre] if self.crowd is None else centre + self.crowd
        return [[points + place for points in shape] for place in places], centre


@dataclass
class Frame:
    """A drawn picture and where its things are.

    Attributes:
        image: ``(H, W, 3)`` uint8, BGR.
        thing_map: ``(H, W)`` int32, 0 is ground, ``i`` is the mover ``i - 1``.
    """

    image: np.ndarray
    thing_map: np.ndarray


def draw_video(rng: np.random.Generator, size: tuple[int, int], num_frames: int) -> tuple[list[Mover], Iterator[Frame]]:
    """Draw 2 to 4 situations, each of one or two things, and a ground under a camera that pans.

    Args:
        rng: Decides everything about the video.
        size: (height, width) of a frame.
        num_frames: T.

    Returns:
        The things, from the lowest to the topmost, and the T frames, drawn as they are asked for.
    """
    unit, (height, width) = min(size), size
    margin = round(_PAN * unit)
    ground, _, _ = draw_grounds(rng, (height + margin, width + margin))
    pan_start, pan_end = rng.uniform(0, margin, (2, 2))
    chosen = rng.permutation(len(SITUATIONS))[: rng.integers(2, 5)]
    movers = [mover for index in chosen for mover in SITUATIONS[index](rng, np.array([width, height]), unit)]

    def frames() -> Iterator[Frame]:
        for number in range(num_frames):
            time = number / (num_frames - 1) if num_frames > 1 else 0.5
            x, y = np.rint(pan_start + time * (pan_end - pan_start)).astype(int)
            image, thing_map = ground[y : y + height, x : x + width].copy(), np.zeros(size, np.int32)
            shift = np.array([x, y]) - margin / 2
            for place, mover in enumerate(movers, start=1):
                _add(image, thing_map, place, mover, time, shift)
            noisy = image + rng.normal(0, 0.008, image.shape)
            yield Frame(np.clip(noisy * 255 + 0.5, 0, 255).astype(np.uint8), thing_map)

    return movers, frames()


def _add(image: np.ndarray, thing_map: np.ndarray, place: int, mover: Mover, time: float, shift: np.ndarray) -> None:
    """Draw a thing on top of a picture and its map; ``shift`` (2,) xy is how far the camera has moved."""
    unit = min(thing_map.shape)
    shapes, centre = mover.contours(time)
    for contours in shapes:
        contours = [points - shift for points in contours]
        middle = contours[0].mean(axis=0)
        reach = np.abs(contours[0] - middle).max() + 0.06 * unit  # with room for the shadow
        box = box_around(middle, reach, thing_map.shape)
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        inside, rim = coverage(contours, box, rim=0.009 * unit)
        paint(image, contours, box, (inside, rim), centre - shift, reach, *mover.look)
        thing_map[box[1] : box[3], box[0] : box[2]][inside >= 0.5] = place


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _mover(rng: np.random.Generator, sides: np.ndarray, unit: int, **changes) -> Mover:
    """A thing that strolls within the picture, but for what is said of it."""
    start = rng.uniform(0.2, 0.8, 2) * sides
    drawn = Mover(
        name=str(rng.choice(THINGS)),
        radius=rng.uniform(9, 17) / 128 * unit,
        start=start,
        end=start + _direction(rng) * rng.uniform(0, 0.2) * unit,
        look=draw_look(rng),
        turn=rng.uniform(0, 2 * np.pi),
        spin=rng.uniform(-0.5, 0.5),
    )
    return replace(drawn, **changes)


def _enter(rng: np.random.Generator, sides: np.ndarray, unit: int) -> list[Mover]:
    mover, way = _mover(rng, sides, unit), _direction(rng)
    inside = np.clip(mover.end, 0.1 * sides, 0.9 * sides)
    border = np.min((np.where(way > 0, sides, 0) - inside) / way)  # as far as the border
    return [replace(mover, start=inside + way * (border + 2.2 * mover.radius) * rng.uniform(1, 2), end=inside)]


def _leave(rng: np.random.Generator, sides: np.ndarray, unit: int) -> list[Mover]:
    return [replace(mover, start=mover.end, end=mover.start) for mover in _enter(rng, sides, unit)]


def _cross(rng: np.random.Generator, sides: np.ndarray, unit: int) -> list[Mover]:
    """Two that look alike cross each other's way half-way."""
    middle = rng.uniform(0.4, 0.6, 2) * sides
    way = _direction(rng) * rng.uniform(0.3, 0.45) * unit
    first = _mover(rng, sides, unit, radius=rng.uniform(9, 14) / 128 * unit, start=middle - way, end=middle + way)
    aside = np.array([-way[1], way[0]]) / np.hypot(*way) * rng.uniform(0.2, 0.8) * first.radius
    return [first, replace(first, start=middle + way + aside, end=middle - way + aside)]


def _uncover(rng: np.random.Generator, sides: np.ndarray, unit: int) -> list[Mover]:
    """One that stands still is hidden until another goes away from before it."""
    still = _mover(rng, sides, unit, radius=rng.uniform(7.5, 10) / 128 * unit, spin=0.0)
    still = replace(still, end=still.start)
    away = still.start + _direction(rng) * rng.uniform(0.6, 0.9) * unit
    name = str(rng.choice(['circle', 'square']))
    return [still, _mover(rng, sides, unit, name=name, radius=1.75 * still.radius, start=still.start, end=away)]


def _grow(rng: np.random.Generator, sides: np.ndarray, unit: int) -> list[Mover]:
    return [_mover(rng, sides, unit, growth=float(rng.choice([0.3, 3.0])))]


def _turn(rng: np.random.Generator, sides: np.ndarray, unit: int) -> list[Mover]:
    name = str(rng.choice(['square', 'triangle', 'star']))
    return [_mover(rng, sides, unit, name=name, spin=rng.choice([-1, 1]) * rng.uniform(3, 6))]


def _flock(rng: np.random.Generator, sides: np.ndarray, unit: int) -> list[Mover]:
    """A crowd of small ones."""
    spread = rng.normal(0, 0.1 * unit, (6, 2))
    return [_mover(rng, sides, unit, radius=0.035 * unit, crowd=spread)]


SITUATIONS: tuple[Callable[[np.random.Generator, np.ndarray, int], list[Mover]], ...] = (
    _enter,
    _leave,
    _cross,
    _uncover,
    _grow,
    _turn,
    _flock,
)
