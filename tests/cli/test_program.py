"""``telex`` as a whole: its help, its version, and how it says that it was misunderstood."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable

import pytest

import telex as library
from telex.cli import conformance, connect, decode, demo, ping, request, send, serve, top, wireshark
from tests.cli.stage import COMMAND, Telex

COMMANDS = {
    "serve": serve.serve,
    "send": send.send,
    "request": request.request,
    "connect": connect.connect,
    "ping": ping.ping,
    "top": top.top,
    "demo": demo.demo,
    "decode": decode.decode,
    "wireshark": wireshark.wireshark,
}
GROUPS = {
    "conformance": {
        "run": conformance.run,
        "serve": conformance.serve,
        "list": conformance.list_conversations,
    },
}
DESCRIBED = [
    *(([name], function) for name, function in COMMANDS.items()),
    *(
        ([group, name], function)
        for group, commands in GROUPS.items()
        for name, function in commands.items()
    ),
]


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_version_is_told_without_loading_what_it_does_not_need() -> None:
    """``telex --version`` is quick: no Typer, Rich, sockets or event loop are loaded for it."""
    ended = python(
        "import sys, telex.cli\n"
        "sys.argv = ['telex', '--version']\n"
        "try:\n"
        "    telex.cli.main()\n"
        "finally:\n"
        "    needless = {'typer', 'rich', 'msgspec', 'socket', 'selectors', 'asyncio', 'uvloop'}\n"
        "    print(needless & set(sys.modules))\n"
    )
    assert ended.stdout.splitlines() == [f"telex {library.__version__}", "set()"]
    assert ended.returncode == 0


def test_the_version_is_an_option_like_any_other(telex: Telex) -> None:
    """It is in the help, and stands before a command without running it."""
    assert telex("--version").output == [f"telex {library.__version__}"]
    assert any("--version" in line for line in telex("--help").output)


def test_python_m_telex_is_telex() -> None:
    """The program can be run as a module, and ends with its exit code."""
    ended = subprocess.run([*COMMAND, "send"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("telex: nothing to send")


def test_a_command_does_not_load_the_others() -> None:
    """Nobody waits for what another command needs."""
    ended = python(
        "import sys, telex.cli\n"
        "sys.argv = ['telex', 'decode', '--help']\n"
        "try:\n"
        "    telex.cli.main()\n"
        "finally:\n"
        f"    names = {sorted([*COMMANDS, *GROUPS])}\n"
        "    print({f'telex.cli.{name}' for name in names} & set(sys.modules))\n"
    )
    assert ended.stdout.splitlines()[-1] == "{'telex.cli.decode'}"
    assert ended.returncode == 0


def test_without_a_command_the_help_is_shown(telex: Telex) -> None:
    """Who types ``telex`` alone learns what can be typed."""
    outcome = telex()
    assert outcome.code == 0
    assert outcome.output == telex("--help").output
    names = [*COMMANDS, *GROUPS]
    assert all(any(f" {name} " in line for line in outcome.output) for name in names)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_without_a_command_shows_its_help(telex: Telex, group: str) -> None:
    """Who types the name of a group learns what it can do."""
    outcome = telex(group)
    assert outcome.code == 0
    assert outcome.output == telex(group, "--help").output
    assert all(any(f" {name} " in line for line in outcome.output) for name in GROUPS[group])


@pytest.mark.parametrize(
    ("command", "function"), DESCRIBED, ids=[" ".join(command) for command, _ in DESCRIBED]
)
def test_help_fits_a_screen_of_80_columns(
    telex: Telex, command: list[str], function: Callable[..., object]
) -> None:
    """No line of the description is broken, and no flag is called a bool."""
    outcome = telex(*command, "--help")
    text = "\n".join(line.strip() for line in outcome.output)
    assert outcome.code == 0
    assert max(map(len, outcome.output)) <= 80
    assert "<" not in text
    for line in inspect.cleandoc(function.__doc__ or "").splitlines():
        assert line in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sned"], "no such command 'sned'. Did you mean 'send'? (see: telex --help)"),
        (["send", "--subjekt", "x", "y"], "no such option: --subjekt"),
        (["send", "x", "--count", "many"], "invalid value for '--count'"),
        (["send", "x", "--subject"], "option '--subject' requires an argument"),
        (["serve", "a:b", "c:d"], "got unexpected extra argument"),
        (
            ["top", "--to", "tcp://127.0.0.1:1"],
            "no such option: --to; right would be: telex top ADDRESS (see: telex top --help)",
        ),
        (["connect", "--to=tcp://127.0.0.1:1"], "no such option: --to; right would be: telex conn"),
        (
            ["ping", "tcp://127.0.0.1:1"],
            "got unexpected extra argument(s) (tcp://127.0.0.1:1); right would be: telex ping --to",
        ),
        (["ping", "x"], "got unexpected extra argument(s) (x) (see: telex ping --help)"),
        (["serve", "--listen", "7766"], "--listen: address '7766': it has no scheme"),
        (["serve", "--max-content-size", "much"], "--max-content-size: 'much' is not a size"),
        (["demo", "--delay", "-1"], "--delay: it must not be negative"),
    ],
)
def test_wrong_usage_is_one_line(telex: Telex, arguments: list[str], sentence: str) -> None:
    """What was not understood is named in one line on standard error, with exit code 2."""
    outcome = telex(*arguments)
    assert outcome.code == 2
    assert outcome.output == []
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith(f"telex: {sentence}")


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_missing_extra_is_one_line(missing: str) -> None:
    """Without the extra ``cli`` there is no traceback, but the command that installs it."""
    ended = python(
        f"import sys, telex.cli; sys.modules[{missing!r}] = None\n"
        "sys.argv = ['telex', 'send', '--help']; telex.cli.main()"
    )
    sentence = f"telex: the command line needs {missing}: pip install {missing}\n"
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", sentence, 2)


def test_what_a_line_repeats_from_outside_is_escaped(telex: Telex) -> None:
    """An error that repeats an argument cannot drive a terminal either."""
    outcome = telex("send", "x", "--to", "\x1b[31m\u202e")
    assert len(outcome.errors) == 1
    assert r"\x1b[31m\u202e" in outcome.errors[0]
