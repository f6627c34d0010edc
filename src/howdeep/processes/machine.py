"""What kind of machine this is."""

import hashlib
import platform
from functools import cache
from pathlib import Path


@cache
def processor() -> str:
    """Its model; and a digest of what it can do, since machines of one model may offer different instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    known = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)  # of the first core
    told = {name.strip(): of.strip() for name, of in known.items()}
    flags = told.get("flags", told.get("Features", ""))
    model = told.get("model name", platform.machine())
    return f"{model} ({hashlib.sha256(flags.encode()).hexdigest()[:6]})"
