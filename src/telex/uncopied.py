"""What cannot be copied, nor sent to another process: it uses sockets of the process it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from typing import SupportsIndex


class Uncopied:
    """Refuses ``copy`` and ``pickle``, which is how ``multiprocessing`` hands objects on.

    A copy would use the same socket: the bytes of both would mix.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Raise TypeError, which says what would be right."""
        raise TypeError(
            f"{self!r} cannot be copied or pickled, because its socket belongs to this process; "
            "right would be to connect, or to serve, anew in the other process, and to use the "
            "object itself in this one"
        )
