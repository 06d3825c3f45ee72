"""Products through either library against float64, and which of the two is taken."""

import os
import subprocess
import sys

import pytest
import torch

from mask2former.ops import product as module
from mask2former.ops.product import add_batched_product, batched_product, product

from .test_linear import takes_onednn

LAYOUTS = {
    'rows': lambda n, k: torch.randn(n, k),
    'columns': lambda n, k: torch.randn(k, n).T,
    'gaps': lambda n, k: torch.randn(n, 2 * k)[:, ::2],
}


def close(mine, exact):
    assert mine.shape == exact.shape and mine.dtype == torch.float32
    assert (mine - exact).abs().max() <= 2e-6 * exact.abs().max()


@pytest.mark.parametrize('relu', [False, True])
@pytest.mark.parametrize('with_add', [False, True])
@pytest.mark.parametrize('with_bias', [False, True])
@pytest.mark.parametrize('second', LAYOUTS)
@pytest.mark.parametrize('first', LAYOUTS)
def test_product(backend, first, second, with_bias, with_add, relu):
    torch.manual_seed(0)
    a, b = LAYOUTS[first](7, 9), LAYOUTS[second](6, 9)
    bias, add = torch.randn(12)[::2] if with_bias else None, torch.randn(7, 6) if with_add else None
    before = None if add is None else add.clone()
    out = product(a, b, bias, add=add, relu=relu)
    exact = a.double() @ b.double().T + (0 if bias is None else bias) + (0 if add is None else add)
    close(out, exact.relu() if relu else exact)
    assert add is None or torch.equal(add, before)


@pytest.mark.parametrize('transposed', [False, True])
def test_batched_products(backend, transposed):
    torch.manual_seed(0)
    a, b, out = torch.randn(4, 7, 9), torch.randn(4, 6, 9), torch.randn(4, 7, 6)
    if transposed:
        a, b = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (a, b))
    exact = a.double() @ b.double().transpose(1, 2)
    close(batched_product(a, b), exact)
    exact += out
    add_batched_product(out, a, b)
    close(out, exact)
    assert takes_onednn(batched_product, a, b) == takes_onednn(add_batched_product, out, a, b) == (backend == 'onednn')


@pytest.mark.parametrize('fast', [False, True])
def test_the_library_follows_from_size_and_processor(fast, monkeypatch):
    """Small products are MKL's everywhere; large ones where it is fast."""
    if not (module.HAS_MKL and module.HAS_ONEDNN):
        pytest.skip('this PyTorch has one of the two alone')
    monkeypatch.setattr(module, 'MKL_IS_FAST', fast)
    small, large = torch.randn(128, 128), torch.randn(129, 128)
    assert len(small) ** 3 == module.MAX_SMALL
    assert not takes_onednn(product, small, small)
    assert takes_onednn(product, large, small) == (not fast)
    assert takes_onednn(batched_product, torch.stack([large] * 2), torch.stack([small] * 2)) == (not fast)


@pytest.mark.parametrize(('capability', 'fast'), [('avx2', 'True'), ('default', 'False')])
def test_where_mkl_is_fast(capability, fast):
    """Without AVX2, too, nobody measured it."""
    if not module.HAS_MKL or torch.backends.cpu.get_cpu_capability() == 'DEFAULT':
        pytest.skip('this PyTorch has no MKL, or the processor no AVX2')
    program = 'from mask2former.ops.product import MKL_IS_FAST; print(MKL_IS_FAST)'
    environment = os.environ | dict(ATEN_CPU_CAPABILITY=capability)
    found = subprocess.run([sys.executable, '-c', program], env=environment, capture_output=True, text=True)
    assert found.stdout.strip() == fast, found.stderr
