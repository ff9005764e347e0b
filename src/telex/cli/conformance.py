"""``telex conformance``: tests a server or a client, in any language, with the conversations."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import threading
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from telex import Address
from telex.cli.destination import Authority, read_destination
from telex.cli.destination import Certificate as OwnCertificate
from telex.cli.destination import Key as OwnKey
from telex.cli.failure import FAILED
from telex.cli.options import DEFAULT_ADDRESS, parse_option, refuse_if
from telex.cli.serve_options import Certificate, ClientAuthority, Insecure, Key, Safety
from telex.cli.sizes import counted
from telex.cli.terminal import standard_error, standard_output
from telex.conformance.loading import conversations, setups
from telex.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.conformance.run import Conversation, Played
    from telex.conformance.serve import Judged

WHERE: Final = "conformance/README.md, in the repository of Telex"

Setup = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="The conversations of this setup: see telex conformance list."
    ),
]
Timeout = Annotated[
    float, typer.Option(metavar="SECONDS", help="How long each message may take to come.")
]


def run(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", hidden=True)] = DEFAULT_ADDRESS,
    setup: Setup = "plain",
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="NAME", help="This conversation alone; may be given several times."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print each result as a line of JSON.")
    ] = False,
    timeout: Timeout = 5.0,
    ca: Authority = None,
    cert: OwnCertificate = None,
    key: OwnKey = None,
) -> int:
    """Test a server, in any language: play the conversations with it, and judge it.

    ADDRESS is tcp:// or tls://HOST:PORT, or unix://PATH. The server must offer
    the fixed application: subjects such as echo and count, which
    conformance/README.md describes in the repository of Telex. Some
    conversations need a server with a token, or with small limits: configure
    it as telex conformance list says, and name the --setup.

    It prints what fell short: which step, what was expected, and what came.
    The exit code is 1 if anything fell short.
    """
    from telex.conformance.run import of_server, play_all, why_left_out

    refuse_if(not timeout > 0, "--timeout: it must be more than 0")
    _check_setup(setup)
    destination = read_destination(address, None, ca, cert, key, option="ADDRESS")
    chosen = _chosen(of_server(conversations(), setup), only, setup)
    reasons = Counter(filter(None, map(why_left_out, chosen)))
    lines = standard_output()
    short = played = 0
    for one in play_all(
        [one for one in chosen if why_left_out(one) is None],
        destination.address,
        destination.tls,
        timeout,
    ):
        played += 1
        short += one.shortfall is not None
        if as_json:
            lines.line(json.dumps(_as_json(one)))
        elif one.shortfall is not None:
            for line in _told(one):
                lines.line(line)
    remarks = standard_error() if as_json else lines
    remarks.line((f"{counted(played, 'conversation')} played, {short:,} fell short", "bold"))
    for line in _left_out(reasons, setup):
        remarks.line(line)
    if short and not as_json:
        lines.line(f"the server must offer the fixed application: see {WHERE}")
    return FAILED if short else 0


def serve(
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="tcp:// or tls://HOST:PORT (0 is any port), or unix://PATH."
        ),
    ] = DEFAULT_ADDRESS,
    setup: Setup = "plain",
    timeout: Timeout = 10.0,
    cert: Certificate = None,
    key: Key = None,
    client_ca: ClientAuthority = None,
    insecure: Insecure = False,
) -> None:
    """Test a client, in any language: a peer that plays what its subjects name.

    A request with the subject conversation.NAME is answered as the conversation
    NAME says: in parts, with an error, or with what is not allowed. What your
    client then does is judged, and one line is printed: ok NAME, or fell short
    NAME, with the reason. telex conformance list prints the names.

    Any other subject gets the fixed application: echo, count, refuse, and so on,
    as conformance/README.md describes it in the repository of Telex.

    Ctrl-C and SIGTERM end it, with exit code 0.
    """
    from telex.conformance.application import fixed_application
    from telex.conformance.serve import PeerForClients
    from telex.server.options import check_terms

    refuse_if(not timeout > 0, "--timeout: it must be more than 0")
    settings = _check_setup(setup)
    address = parse_option("--listen", Address.parse, listen)
    safety = Safety(cert, key, client_ca, None, insecure)
    safety.check(address)
    tls = safety.read()["tls"]
    check_terms(address, tls, insecure)
    lines = standard_output()

    def tell(judged: Judged) -> None:
        if judged.shortfall is None:
            lines.line("ok ", judged.name)
        else:
            lines.line(("fell short ", "bold red"), f"{judged.name}: {judged.shortfall}")

    peer = PeerForClients(
        fixed_application(),
        address,
        conversations(),
        setup,
        settings,
        tell,
        tls=tls,
        timeout=timeout,
    )
    with _without_log(), peer, _ended_by_signals(peer.shutdown):
        lines.line(f"listening on {peer.address}")
        peer.serve_forever()


def list_conversations(
    setup: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The conversations of this setup alone."),
    ] = None,
) -> None:
    """Print the conversations: role, setup, name, and the rule that each one shows.

    Those of role server are played by telex conformance run. Those of role
    client are played by telex conformance serve, for a request whose subject is
    conversation.NAME.

    First come the setups: the token that the tested end demands or shows, and
    its limits.
    """
    from telex.conformance.run import setup_of, why_left_out
    from telex.conformance.serve import entries

    if setup is not None:
        _check_setup(setup)
    lines = standard_output()
    for name, settings in setups().items():
        if setup in (None, name):
            lines.line((f"setup {name}: {printable(json.dumps(settings))}", "bold"))
    every = conversations()
    asked = entries(every)
    for one in every:
        if setup not in (None, setup_of(one)):
            continue
        is_server = one["role"] == "server"
        is_played = why_left_out(one) is None if is_server else one["name"] in asked
        remark = "" if is_played else " (not played over a connection alone)"
        lines.line(f"{one['role']} {setup_of(one)} {one['name']}: {one['shows']}{remark}")


def _check_setup(name: str) -> dict[str, Any]:
    known = setups()
    refuse_if(name not in known, f"--setup: right would be one of {', '.join(known)}, not {name!r}")
    return known[name]


def _chosen(every: list[Conversation], only: list[str] | None, setup: str) -> list[Conversation]:
    names = [one["name"] for one in every]
    for name in only or ():
        refuse_if(
            name not in names, f"--only: no conversation with a server is {name!r} in {setup}"
        )
    return [one for one in every if not only or one["name"] in only]


def _as_json(one: Played) -> dict[str, Any]:
    told: dict[str, Any] = {"name": one.name, "shows": one.shows, "ok": one.shortfall is None}
    if one.shortfall is not None:
        told["step"] = one.shortfall.step
        told["expected"] = one.shortfall.expected
        told["came"] = one.shortfall.came
    return told


def _told(one: Played) -> Iterator[str]:
    short = one.shortfall
    assert short is not None
    yield f"fell short {one.name}: {one.shows}"
    yield f"  step {short.step}, expected: {printable(short.expected)}"
    yield f"  what came: {printable(short.came)}"


def _left_out(reasons: Counter[str], setup: str) -> Iterator[str]:
    for reason, count in reasons.items():
        yield f"{counted(count, 'conversation')} left out: {reason}"
    others = [name for name in setups() if name != setup]
    if others:
        names = ", ".join(others)
        yield f"other setups, for a server configured so: --setup {names} (telex conformance list)"


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    """Print no log where none is configured: the fixed application fails on purpose."""
    nowhere = logging.NullHandler()
    logger = logging.getLogger("telex")
    logger.addHandler(nowhere)
    try:
        yield
    finally:
        logger.removeHandler(nowhere)


@contextlib.contextmanager
def _ended_by_signals(end: Any) -> Iterator[None]:
    """Call ``end`` at SIGINT and SIGTERM, where signals can be handled."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: end()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
