"""What a config caps: how many segments can be found, how small they may be, how often a class is seen.

``settings`` reads a config; ``sentences`` say, with ``bounds`` and ``crops``, what follows from counts, sizes and boxes
alone, within a second; ``oracle`` and ``ceilings`` send the truth through postprocessors and metrics.
"""
