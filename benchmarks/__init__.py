"""What howdeep costs, measured: `make bench`, or a part alone, such as `python -m benchmarks.loops --only mlp`.

Plain scripts rather than pytest-benchmark or asv: what is compared here are whole trainings side by side, taken in
turns so that a machine that slows down slows them all, and what is wanted is one table of ratios. Those tools time
one function after the other, in wall time. Nothing here is a test; nothing passes or fails.
"""

import os

for library in (
    "OMP",
    "MKL",
    "OPENBLAS",
):  # one thread, as `howdeep` has it, decided before torch is imported
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
