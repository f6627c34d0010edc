"""Lines for a person."""

import os
import re
import subprocess
import sys

import pytest

SAYS = """
import sys
from howdeep.processes import progress
for number in range(2000):
    progress.say(f"<{sys.argv[1]} {number}>")
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_lines_that_processes_say_at_the_same_time_stay_whole(unbuffered):
    """As those of the nodes that one command starts, in a container where Python writes without a buffer."""
    env = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    reading, writing = os.pipe()
    processes = [
        subprocess.Popen([sys.executable, "-c", SAYS, str(of)], stderr=writing, env=env) for of in range(3)
    ]
    os.close(writing)
    with open(reading) as file:
        lines = file.read().splitlines()
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(lines) == 6000
    assert all(re.fullmatch(r"<\d \d+>", line) for line in lines)
