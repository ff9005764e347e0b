"""The Typer program: its commands, and the only place where errors become exit codes.

Only the called command is loaded; all commands are loaded for the help that lists them.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

import telex
from telex.cli.failure import (
    FAILED,
    INTERRUPTED,
    OUTPUT_CLOSED,
    WRONG_USAGE,
    CommandError,
    UsageError,
)
from telex.cli.terminal import OutputClosedError, OutputError, standard_error
from telex.printable import printable

if TYPE_CHECKING:
    from types import ModuleType

    from typer.core import TyperOption

_COMMANDS: Final = (
    "serve",
    "send",
    "request",
    "connect",
    "ping",
    "top",
    "demo",
    "decode",
    "wireshark",
    "conformance",
)
"""In the order of the help; each is a function in the module of the same name, or a group."""

_GROUPS: Final = {
    "conformance": (
        "Test a server or a client, in any language, with the conversations of the format.",
        {"run": "run", "serve": "serve", "list": "list_conversations"},
    ),
}
"""Commands that have commands of their own: functions in the module of the group's name."""


class _Command(TyperCommand):
    """A command whose help does not call its ``--help`` a ``<bool>``."""

    def get_help_option(self, ctx: Any) -> TyperOption | None:
        return _without_type(super().get_help_option(ctx))


class _Program(TyperGroup):
    """The commands together; their help does not call its ``--help`` a ``<bool>`` either."""

    def get_help_option(self, ctx: Any) -> TyperOption | None:
        return _without_type(super().get_help_option(ctx))


def _without_type(option: TyperOption | None) -> TyperOption | None:
    if option is not None:
        option.metavar = ""
    return option


def _overview(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", metavar="", help="Print the version and exit.")
    ] = False,
) -> None:
    """Messages instead of bytes: send them, and watch them arrive.

    Begin with telex demo; then telex serve in one terminal, and in another
    telex send "Hello, wire". With handlers of your own, as in
    telex serve orders:app, a server answers: telex request "4711" --subject price.

    Exit codes: 0 all went well, 1 it failed, 2 wrong usage, 130 Ctrl-C,
    141 nobody reads the output any more. An error is one line on stderr.
    """
    if version:
        typer.echo(f"telex {telex.__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _program(arguments: Sequence[str]) -> typer.Typer:
    """Return the program for this command line, with the called command, or else all commands."""
    program = typer.Typer(
        cls=_Program,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    program.callback(invoke_without_command=True)(_overview)
    called = [name for name in _COMMANDS if name in arguments[:1]]
    for name in called or _COMMANDS:
        module = importlib.import_module(f"telex.cli.{name}")
        if name in _GROUPS:
            _add_group(program, name, module)
        else:
            program.command(cls=_Command)(getattr(module, name))
    return program


def _help(context: typer.Context) -> None:
    """Show the help where no command of a group is called."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _add_group(program: typer.Typer, name: str, module: ModuleType) -> None:
    about, commands = _GROUPS[name]
    group = typer.Typer(cls=_Program, rich_markup_mode="rich")
    group.callback(invoke_without_command=True)(_help)
    for command, function in commands.items():
        group.command(command, cls=_Command)(getattr(module, function))
    program.add_typer(group, name=name, help=about)


def run(arguments: Sequence[str]) -> int:
    """Run a command line, and return the exit code; an error is one line on standard error."""
    try:
        code = _program(arguments)(arguments, prog_name="telex", standalone_mode=False)
    except typer.TyperException as problem:
        return _report(_usage_sentence(problem, arguments), problem.exit_code)
    except OutputClosedError:
        return OUTPUT_CLOSED
    except UsageError as problem:
        return _report(str(problem), WRONG_USAGE)
    except (CommandError, OutputError, telex.TelexError) as problem:
        return _report(str(problem), FAILED)
    except OSError as problem:
        reason = (problem.strerror or str(problem)).lower()
        return _report(f"{problem.filename}: {reason}" if problem.filename else reason, FAILED)
    if code == INTERRUPTED:
        return _report("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _report(sentence: str, code: int) -> int:
    with contextlib.suppress(OutputError):
        standard_error().line(("telex: ", "bold red"), printable(sentence))
    return code


def _usage_sentence(problem: typer.TyperException, arguments: Sequence[str]) -> str:
    """Return the problem that Typer found as one line, as for all other errors."""
    sentence = problem.format_message().rstrip(".")
    context: typer.Context | None = getattr(problem, "ctx", None)
    path = context.command_path if context is not None else "telex"
    way_out = _right_address(context, sentence, arguments) if context is not None else None
    if way_out is not None:
        sentence = f"{sentence.partition(' (Possible')[0]}; right would be: {path} {way_out}"
    return f"{sentence[:1].lower()}{sentence[1:]} (see: {path} --help)"


def _right_address(context: typer.Context, sentence: str, arguments: Sequence[str]) -> str | None:
    """Return how the command takes an address, if it was given as other commands take it."""
    names = {parameter.name for parameter in context.command.params}
    if "address" in names and "option: --to" in sentence:
        return "ADDRESS"
    is_extra = "unexpected extra argument" in sentence
    has_address = any("://" in argument for argument in arguments)
    return "--to ADDRESS" if "to" in names and is_extra and has_address else None
