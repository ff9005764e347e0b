"""Which observers are notified of which events: found out once, so that nothing else costs.

An event of which nobody is notified is None, and one with a single observer is that observer's own
method. What goes wrong in an observer is logged, and no matter of the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from telex.application.observer import Observer
from telex.arguments import check_type
from telex.log import safe_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.application.application import Application
    from telex.application.peer import Peer
    from telex.conversation.conversation import Conversation
    from telex.wire.message import Message

    Event = Callable[..., None]
    """What is called at an event, with the peer and the facts."""

_OBSERVER_FAILED: Final = "the observer failed"

logger: Final = safe_logger("telex.server")


class Notifier:
    """The observers of a server, event by event: what is to be called, or None for nobody."""

    __slots__ = (
        "connected",
        "data_received",
        "data_sent",
        "disconnected",
        "follows_handlers",
        "handler_ended",
        "handler_started",
        "message_failed",
        "message_received",
        "message_sent",
        "stalled",
    )

    def __init__(self, observers: Iterable[Observer]) -> None:
        everybody = list(observers)
        self.connected: Final = _notified("connected", everybody)
        self.data_received: Final = _notified("data_received", everybody)
        self.message_received: Final = _notified("message_received", everybody)
        self.handler_started: Final = _notified("handler_started", everybody)
        self.handler_ended: Final = _notified("handler_ended", everybody)
        self.message_failed: Final = _notified("message_failed", everybody)
        self.message_sent: Final = _notified("message_sent", everybody)
        self.data_sent: Final = _notified("data_sent", everybody)
        self.stalled: Final = _notified("stalled", everybody)
        self.disconnected: Final = _notified("disconnected", everybody)
        self.follows_handlers: Final = bool(self.handler_started or self.handler_ended)
        """Whether anybody is notified when handlers begin or end."""


def notify(event: Event | None, peer: Peer, *facts: object) -> None:
    """Tell an event to whoever observes it; what goes wrong there is logged."""
    if event is not None:
        try:
            event(peer, *facts)
        except KeyboardInterrupt:
            raise
        except BaseException:
            logger.exception(_OBSERVER_FAILED, peer=peer)


def tell_of_arrival(
    notifier: Notifier, peer: Peer, conversation: Conversation, size: int, messages: list[Message]
) -> None:
    """Tell of ``size`` bytes that have come, and of the messages that they completed."""
    event = notifier.data_received
    if event is not None:
        processor = conversation.processor
        notify(event, peer, size, processor.state, processor.bytes_needed)
    if notifier.message_received is not None:
        for message in messages:
            notify(notifier.message_received, peer, message)


def call_hook(
    what: str, hook: Callable[..., object], *facts: object, peer: Peer | None = None
) -> None:
    """Call a ``what`` hook of an application; what goes wrong in the hook is logged."""
    try:
        hook(*facts)
    except KeyboardInterrupt:
        raise
    except BaseException:
        name = getattr(hook, "__qualname__", hook)
        logger.exception("the %s hook %s failed", what, name, peer=peer)


def observers_of(
    application: Application, observer: Observer | Iterable[Observer] | None
) -> list[Observer]:
    """Return who is told of a server's events: the application's observers and the given, once.

    Raises TypeError for what is neither an observer nor several.
    """
    given = [observer] if isinstance(observer, Observer) else observer or ()
    check_type(given, Iterable, "observer", "a telex.Observer or several")
    everybody: list[Observer] = []
    for one in (*application.observers, *given):
        if not any(one is known for known in everybody):
            everybody.append(one)
    return everybody


def notifier_of(observer: Observer | Iterable[Observer] | None) -> Notifier | None:
    """Return who is notified of what; None where nobody is notified of anything.

    Raises TypeError for what is no observer.
    """
    if observer is None:
        return None
    observers = [observer] if isinstance(observer, Observer) else list(observer)
    for one in observers:
        if not isinstance(one, Observer):
            raise TypeError(f"{one!r} is no telex.Observer")
    notifier = Notifier(observers)
    return notifier if any(getattr(notifier, event) for event in Notifier.__slots__) else None


def _notified(event: str, observers: list[Observer]) -> Event | None:
    """Return what tells all who have overridden an event."""
    listeners: list[Event] = []
    for observer in observers:
        method = getattr(observer, event)
        if getattr(method, "__func__", method) is not getattr(Observer, event):
            listeners.append(method)
    if len(listeners) <= 1:
        return listeners[0] if listeners else None

    def tell_all(peer: Peer, *facts: object) -> None:
        for listener in listeners:
            notify(listener, peer, *facts)  # one that fails keeps no other from being told

    return tell_all
