"""Everything worth knowing about this project on a CUDA machine, in about ten minutes: see docs/gpu.md.

Each section is a module with a function ``check(settings, part)`` that yields rows, dictionaries of plain values. A row
has ``ok`` where it checked something, ``error`` (a traceback) where it failed, ``skipped`` (a reason) where time or
memory did not suffice, so that there is no verdict, and ``absent`` (a reason) where there is nothing to measure: a
package of others that is not installed.
"""
