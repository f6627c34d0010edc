"""What is claimed of memory: a tensor that follows another of its size finds its pages mapped already."""

import resource
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from howdeep.training.memory import keep_memory
{call}
for turn in range(30):
    if turn == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(15_000_000)  # 60 MB, above what glibc keeps by itself
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(call: str) -> int:
    """Pages that the system mapped for ten tensors of 60 MB, after twenty others: a few of these lie side by side."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(call=call)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has mallopt")
def test_memory_that_a_tensor_leaves_is_there_for_the_next():
    pages = 15_000_000 * 4 // resource.getpagesize()
    assert faults("keep_memory()") < pages / 10
    assert faults("") > pages / 10  # so that the claim above says something
