"""A port of this machine, for the servers that howdeep starts."""

import socket

from howdeep.errors import UserError

HOST = "127.0.0.1"  # nobody else's: whoever reaches a server may do all that it can


def listening(port: int, command: str) -> socket.socket:
    """A socket that listens on a port.

    Args:
        command: what was typed, without the port; for the message.

    Raises:
        UserError: the port is taken, or none.
    """
    # asyncio sends answers at once only on sockets that name their protocol; else they wait 40 ms for each other
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UserError(
            f"expected port {port} of {HOST} to be free, got: {error.strerror}; try `{command} --port {port + 1}`"
        ) from None
    except OverflowError:
        listener.close()
        raise UserError(f"expected a port from 1 to 65535, got {port}: try `{command}`") from None
    return listener
