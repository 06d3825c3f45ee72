"""What postprocessors need of the masks of an image."""

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor


class Masks(Protocol):
    """Mask logits of an image's queries at its original size (H, W), formed a strip at a time when asked for."""

    @property
    def ori_shape(self) -> tuple[int, int]:
        """Original size (H, W) of the image, and of the masks."""

    def rows(self, queries: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """The masks of ``queries`` (n,) in strips of rows, from the top.

        Yields:
            tuple: Which rows, and their logits (rows, n, W), which may be written to.
        """

    def columns(self, queries: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """The masks of ``queries`` (n,) in strips of columns, from the left, without those that have no pixel there.

        Yields:
            tuple: Which columns; ``query_index`` (n',) int64 on the CPU, the positions in ``queries`` of those that may
            be positive there; and their logits (columns, n', H), which may be written to. A strip comes once, or
            several times with other queries, or not at all.
        """
