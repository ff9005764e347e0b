"""What Telex offers to pytest: the fixture ``telex_server``.

It stands outside of the package ``telex``, which is not loaded before a test asks for the fixture:
pytest imports this at every start, of every project where Telex is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.testing import Servers


@pytest.fixture
def telex_server() -> Iterator[Servers]:
    """Start servers: ``telex_server(app)`` starts a server for the test and returns its address.

    If a handler or a server has failed, the test ends with an error, unless the test removes the
    failure from ``telex_server.failures``. See ``telex.testing.Servers``.
    """
    from telex.testing import Servers

    with Servers() as servers:
        yield servers
