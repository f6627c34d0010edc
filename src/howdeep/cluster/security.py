"""A file by which scheduler, nodes and coordinators know each other: a key and its certificate, which signs itself.

As `distributed.Security.temporary` does it: whoever has the file may join, nobody else can.
"""

import os
from pathlib import Path
from typing import Any

from howdeep.errors import UserError


def make(path: Path) -> Path:
    """Writes a new file, which only its owner can read.

    Raises:
        FileExistsError: there is one.
    """
    from distributed import Security

    made = Security.temporary()
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made.tls_worker_key + made.tls_worker_cert)  # type: ignore[operator]
    return path


def read(path: Path | None) -> Any:
    """What Dask takes for a security file; None for none.

    Raises:
        UserError: there is no such file.
    """
    if path is None:
        return None
    from distributed import Security

    if not path.is_file():
        raise UserError(
            f"expected a security file at {path}, found none: copy the one that `howdeep cluster up` wrote"
        )
    own = str(path)
    roles = {
        f"tls_{role}_{part}": own for role in ("client", "worker", "scheduler") for part in ("cert", "key")
    }
    return Security(tls_ca_file=own, require_encryption=True, **roles)
