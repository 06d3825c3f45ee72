"""A section that works, and others that do not; the part says which."""

import os
import signal
import time


def check(settings, part):
    yield dict(part=part, ok=True)
    if part == 'raises':
        raise ValueError('as it was told')
    if part == 'crashes':
        os.write(2, b'from the depths')
        os.kill(os.getpid(), signal.SIGSEGV)
    if part == 'hangs':
        time.sleep(300)
    if part == 'cases':
        yield settings.measure(dict(case=1), lambda x: dict(ok=x > 1), 1)
        yield settings.measure(dict(case=2), lambda: 1 / 0)
        yield settings.measure(dict(case=3), dict, needs=1000)
        yield dict(case=4, ok=True)
