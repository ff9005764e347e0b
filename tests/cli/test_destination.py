"""Where a command connects to: what it trusts there, and what it shows there."""

from __future__ import annotations

from pathlib import Path

import pytest

from telex import CredentialsError, Limits
from telex.cli.destination import TOKEN_VARIABLE, read_destination
from telex.cli.failure import CommandError, UsageError
from telex.tls import server_context
from tests.certificates import Authority
from tests.cli.stage import Telex
from tests.sync.stage import echoing, running


def token_of(file: Path | None) -> str | None:
    """Return the token that a command would show."""
    name = None if file is None else str(file)
    return read_destination("tcp://127.0.0.1:7766", name, None, None, None).token


@pytest.mark.parametrize(
    "text", ["secret", "secret\n", "pump-7 secret\n", "# of mine\n\n  pump-7\tsecret  \n"]
)
def test_a_token_file_holds_one_token(tmp_path: Path, text: str) -> None:
    """It is a token, or a line as a server's file has it, with comments."""
    file = tmp_path / "token"
    file.write_text(text)
    assert token_of(file) == "secret"


@pytest.mark.parametrize("text", [b"", b"# nothing", b"one two three", b"one\ntwo\n", b"\xff"])
def test_any_other_file_is_refused(tmp_path: Path, text: bytes) -> None:
    """It is said which file it is, and never what is in it."""
    file = tmp_path / "token"
    file.write_bytes(text)
    with pytest.raises(CredentialsError) as caught:
        token_of(file)
    assert str(caught.value).startswith(f"--token-file: {file}: ")
    assert "two" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(telex: Telex) -> None:
    """The system's reason is told."""
    outcome = telex("request", "x", "--token-file", "/no/such/file")
    assert outcome == (1, [], ["telex: --token-file: /no/such/file: no such file or directory"])


def test_the_environment_holds_the_token_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file goes before it, and an empty variable is none."""
    file = tmp_path / "token"
    file.write_text("from-file")
    assert token_of(None) is None
    monkeypatch.setenv(TOKEN_VARIABLE, "from-environment")
    assert token_of(None) == "from-environment"
    assert token_of(file) == "from-file"
    monkeypatch.setenv(TOKEN_VARIABLE, "")
    assert token_of(None) is None


@pytest.mark.parametrize("option", ["--ca", "--cert", "--key"])
def test_certificates_are_for_tls(telex: Telex, option: str) -> None:
    """Who thinks that a connection is encrypted is told when it is not."""
    outcome = telex("send", "x", option, "file.pem")
    assert outcome.code == 2
    assert outcome.errors == [
        f"telex: {option}: tcp://127.0.0.1:7766 is without TLS; right would be --to tls://HOST:PORT"
    ]


def test_a_key_is_of_no_use_alone() -> None:
    """It needs the certificate that it belongs to."""
    with pytest.raises(UsageError, match=r"^--key: it needs --cert$"):
        read_destination("tls://127.0.0.1:7766", None, None, None, "key.pem")


def test_with_tls_the_server_is_verified_and_the_client_is_known(
    telex: Telex, tmp_path: Path
) -> None:
    """``--ca`` trusts the server, ``--cert`` and ``--key`` tell it who is there."""
    authority = Authority(tmp_path)
    server, client = authority.issue("127.0.0.1"), authority.issue("pump-7", file_name="client")
    app = echoing()
    app.on("who")(lambda message, peer: peer.identity)
    context = server_context(server.certificate, server.key, authority.file)
    trusting = ["--ca", str(authority.file)]
    known = ["--cert", str(client.certificate), "--key", str(client.key)]
    forged = Authority(tmp_path, "other").issue("pump-7", file_name="forged")
    unknown = ["--cert", str(forged.certificate), "--key", str(forged.key)]
    with running(app, "tls://127.0.0.1:0", tls=context) as stage:
        ask = ["request", "--subject", "who", "--to", str(stage.address)]
        assert telex(*ask, *trusting, *known).output == ["pump-7"]
        stranger = telex(*ask, *trusting)
        impostor = telex(*ask, *trusting, *unknown)
        doubting = telex(*ask, *known)
        sent = telex("send", "x", "--to", str(stage.address), *trusting, *known)
        pinged = telex("ping", "-c", "1", "--to", str(stage.address), *trusting, *known)
    told = "telex: connection closed by the peer: it "
    wanted = f"{told}wants a certificate of this side, and got none"
    assert (stranger.code, [line.partition(";")[0] for line in stranger.errors]) == (1, [wanted])
    doubted = f"{told}does not trust this side's certificate"
    assert (impostor.code, [line.partition(";")[0] for line in impostor.errors]) == (1, [doubted])
    assert (doubting.code, len(doubting.errors)) == (1, 1)
    assert "certificate" in doubting.errors[0]
    assert sent.code == pinged.code == 0


def test_a_token_opens_the_door(
    telex: Telex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command shows it, and a wrong one is refused in one line."""
    file = tmp_path / "token"
    file.write_text("pump-7 secret")
    with running(tokens={"pump-7": "secret"}) as server:
        to = ["--to", str(server.address)]
        for command in (["request", "x"], ["send", "x", "-q"], ["ping", "-c", "1"]):
            assert telex(*command, *to, "--token-file", str(file)).code == 0
            monkeypatch.setenv(TOKEN_VARIABLE, "guessed")
            outcome = telex(*command, *to)
            assert (outcome.code, len(outcome.errors)) == (1, 1)
            assert "its token is not known here" in outcome.errors[0]
            monkeypatch.delenv(TOKEN_VARIABLE)


def test_nobody_there_is_told_with_a_way_out(tmp_path: Path) -> None:
    """How to serve there is said where one line does it, and not for TLS, which takes more."""
    with pytest.raises(CommandError, match="telex serve --listen unix://"):
        connect(f"unix://{tmp_path}/none")
    with running() as gone:
        port = gone.address.port
    with pytest.raises(ConnectionError, match=r"connection refused$"):
        connect(f"tls://127.0.0.1:{port}")


@pytest.mark.parametrize("command", [["ping", "-c", "1", "--to"], ["connect"]])
def test_a_server_that_is_not_trusted_is_told_with_a_way_out(
    telex: Telex, tmp_path: Path, command: list[str]
) -> None:
    """What is missing is ``--ca``; where that is given, nothing is added."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    mine = authority.issue("127.0.0.1")
    tls = server_context(mine.certificate, mine.key)
    with running(tls=tls, address="tls://127.0.0.1:0") as stage:
        lost = telex(*command, str(stage.address))
        wrong = telex(*command, str(stage.address), "--ca", str(other.file))
    assert (lost.code, len(lost.errors)) == (wrong.code, len(wrong.errors)) == (1, 1)
    assert "its certificate is not to be trusted: " in lost.errors[0]
    assert "(right would be --ca PATH" in lost.errors[0]
    assert "--ca" not in wrong.errors[0]


def connect(address: str) -> None:
    """Connect as a command does."""
    read_destination(address, None, None, None, None).connect(Limits())
