"""The port of a server."""

import socket

import pytest

from howdeep.errors import UserError
from howdeep.processes.ports import HOST, listening


def test_answers_are_sent_at_once():
    with listening(0, "howdeep serve") as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP  # on which condition asyncio sets TCP_NODELAY


def test_a_port_that_is_taken_is_told():
    with listening(0, "howdeep serve") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} of {HOST} to be free.*--port {port + 1}"):
            listening(port, "howdeep serve")
