"""Runs the Triton kernel on the CPU, in Triton's interpreter.

Triton reads TRITON_INTERPRET once, when it is imported, and other tests may have imported it: so the kernel runs in a
process of its own.
"""

import io
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import torch


def _prepare() -> None:
    os.environ['TRITON_INTERPRET'] = '1'
    torch.set_num_threads(1)


def _call(request: bytes) -> bytes:
    from mask2former.ops.ms_deform_attn import triton

    name, arguments = torch.load(io.BytesIO(request), weights_only=True)
    reply = io.BytesIO()
    torch.save(getattr(triton, name)(*arguments), reply)
    return reply.getvalue()


class Interpreter:
    """``Interpreter().call('forward', ...)`` is ``triton.forward(...)``, interpreted."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context('spawn')
        self.pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=_prepare)

    def call(self, name: str, *arguments):
        request = io.BytesIO()
        torch.save((name, arguments), request)
        # Not weights only: a reply may hold launches.
        return torch.load(io.BytesIO(self.pool.submit(_call, request.getvalue()).result()), weights_only=False)

    def close(self) -> None:
        self.pool.shutdown()
