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
    """Start servers: ``telex_server(app)`` returns the address of one, which ends with the test.

    The end of the test is an error when a handler or a server has failed, and the test has not
    taken that out of ``telex_server.failures``. See ``telex.testing.Servers``.
    """
    from telex.testing import Servers

    with Servers() as servers:
        yield servers
