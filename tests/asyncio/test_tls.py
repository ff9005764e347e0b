"""TLS under the asyncio front-end: who is trusted, who is known, and who is kept waiting."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from pathlib import Path
from typing import Any

import pytest

from telex import Address, Application
from telex.tls import client_context, server_context
from tests.certificates import Authority

from .stage import PATIENCE, Stage, in_loop, serving


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority that vouches for whom the test wants."""
    return Authority(tmp_path)


def encrypted(
    authority: Authority, app: Application | None = None, *, mutual: bool = False, **options: Any
) -> Any:
    """Serve with TLS as 127.0.0.1, for the time of the context."""
    certificate, key = authority.issue("127.0.0.1")
    context = server_context(certificate, key, authority.file if mutual else None)
    return serving(app, "tls://127.0.0.1:0", tls=context, **options)


def connecting(stage: Stage, authority: Authority, **options: Any) -> Any:
    """Connect with trust in the authority."""
    return stage.connect(tls=client_context(authority.file), **options)


@in_loop
async def test_certificates_are_loaded_again_on_sighup(authority: Authority) -> None:
    """After SIGHUP new connections see the new certificate."""

    async def certificate(address: Address) -> str:
        return await asyncio.to_thread(ssl.get_server_certificate, (address.host, address.port))

    async with encrypted(authority) as stage:
        serving = asyncio.create_task(stage.server.serve_forever())
        before = await certificate(stage.address)
        authority.issue("127.0.0.1")
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(PATIENCE):
            while await certificate(stage.address) == before:
                pass
        stage.server.shutdown()
        await serving
