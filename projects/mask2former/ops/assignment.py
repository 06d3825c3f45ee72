"""The assignment of rows to columns at the least cost."""

import numpy as np


def linear_sum_assignment(cost: np.ndarray, maximize: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """scipy's, which is imported with the first: it takes a second, and a prediction of images needs none.

    Args:
        cost: (N, M) finite.
        maximize: Whether the sum shall be the greatest instead.

    Returns:
        The rows, ascending, and their columns, both (min(N, M),).
    """
    from scipy.optimize import linear_sum_assignment as assign

    return assign(cost, maximize)
