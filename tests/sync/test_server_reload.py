"""Certificates that a server loads again while it serves, at a signal to the main thread."""

from __future__ import annotations

import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

from telex import Message
from telex.sync import serve
from telex.tls import client_context, server_context
from tests.certificates import Authority
from tests.encrypted import EncryptedSocket
from tests.sync.stage import PATIENCE, echoing

SMALL = Message("small").to_bytes()


def test_certificates_are_loaded_again_at_a_hangup(tmp_path: Path) -> None:
    """SIGHUP: those who connect from then on see the new certificate; those there stay."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost", common_name="first")
    context = server_context(pair.certificate, pair.key)
    seen: list[Any] = []

    def connect() -> EncryptedSocket:
        sock = socket.create_connection((server.address.host, server.address.port), PATIENCE)
        return EncryptedSocket(sock, client_context(authority.file))

    def serial(sock: EncryptedSocket) -> object:
        sock.sendall(SMALL)
        assert sock.recv(len(SMALL)) == SMALL
        return sock.getpeercert()["serialNumber"]

    with serve(echoing(), "tls://127.0.0.1:0", tls=context) as server:

        def act() -> None:
            try:
                with connect() as before:
                    seen.append(serial(before))
                    authority.issue("localhost", common_name="second")
                    main = threading.main_thread().ident
                    assert main is not None
                    signal.pthread_kill(main, signal.SIGHUP)
                    deadline = time.monotonic() + PATIENCE
                    while time.monotonic() < deadline:
                        with connect() as after:
                            seen.append(serial(after))
                        if seen[-1] != seen[0]:
                            break
                    seen.append(serial(before))
            finally:
                server.shutdown()

        thread = threading.Thread(target=act)
        thread.start()
        server.serve_forever()
        thread.join(PATIENCE)
    assert seen[0] == seen[-1]
    assert seen[-2] != seen[0]
