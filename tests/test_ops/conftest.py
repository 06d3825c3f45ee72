"""The libraries that multiply, one after the other: which of them a processor gets depends on it."""

import pytest

from mask2former.ops import product


@pytest.fixture(params=['onednn', 'mkl'])
def backend(request, monkeypatch):
    """Every product goes through one library."""
    if request.param == 'mkl' and not product.HAS_MKL:
        pytest.skip('this PyTorch has no MKL')
    monkeypatch.setattr(product, 'MKL_IS_FAST', request.param == 'mkl')
    monkeypatch.setattr(product, 'MAX_SMALL', 0)
    return request.param
