"""A calculator for the whole network: one side asks, the other one works it out.

    python examples/calculator.py serve
    python examples/calculator.py ask "(1 + 2) * 3"

An expression is parsed, never executed, so that nobody can ask for anything but arithmetic.
"""

from __future__ import annotations

import ast
import math
import operator
import sys
import warnings
from typing import TYPE_CHECKING, Annotated, Final

import typer

import telex
from telex.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    Number = int | float

ADDRESS: Final = "tcp://127.0.0.1:7766"

MOST_DIGITS: Final = 1_000
LONGEST: Final = 1_000

OPERATORS: Final[dict[type[ast.operator], Callable[[Number, Number], Number]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}

SIGNS: Final[dict[type[ast.unaryop], Callable[[Number], Number]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}

app = telex.Application()
cli = typer.Typer(help="Work out arithmetic, here or elsewhere.", no_args_is_help=True)


@app.on("calculate")
def calculate(message: telex.Message[str]) -> str:
    """Answer an expression with its value."""
    expression = message.content
    if len(expression) > LONGEST:
        raise telex.Refusal("too-large", f"an expression has at most {LONGEST:,} characters")
    try:
        value = value_of(tree_of(expression.strip()))
        if isinstance(value, float) and not math.isfinite(value):
            raise OverflowError
        return format(value, "d" if isinstance(value, int) else ".15g")
    except (SyntaxError, UnicodeError):
        raise telex.Refusal("syntax", f"{expression!r} is no expression") from None
    except ZeroDivisionError:
        raise telex.Refusal("division-by-zero", "nothing can be divided by zero") from None
    except (OverflowError, RecursionError, MemoryError, ValueError):
        raise telex.Refusal("too-large", "that is too much for this calculator") from None


def tree_of(expression: str) -> ast.expr:
    """Return what an expression consists of; raises SyntaxError also for what Python only warns of.

    A warning would be printed by the server, with text of whoever has asked.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return ast.parse(expression, mode="eval").body


def value_of(node: ast.expr) -> Number:
    """Return the value of an expression; raises ``Refusal`` for what is not arithmetic."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in SIGNS:
            return SIGNS[type(sign)](value_of(operand))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return power(value_of(left), value_of(right))
        case ast.BinOp(left=left, op=sort, right=right) if type(sort) in OPERATORS:
            return OPERATORS[type(sort)](value_of(left), value_of(right))
    raise telex.Refusal("syntax", f"{ast.unparse(node)!r} is no arithmetic")


def power(base: Number, exponent: Number) -> Number:
    """Raise a number to a power, unless that would take long or fill the memory."""
    if isinstance(base, int) and exponent > 0 and len(str(abs(base))) * exponent > MOST_DIGITS:
        raise OverflowError
    result = base**exponent
    if isinstance(result, complex):
        raise telex.Refusal("not-real", f"{base} ** {exponent} is not a real number")
    return result


@cli.command()
def serve(listen: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS) -> None:
    """Work out what others ask."""
    with telex.sync.serve(app, listen) as server:
        print(f"listening on {server.address}", flush=True)
        server.serve_forever()


@cli.command()
def ask(
    expressions: Annotated[list[str], typer.Argument(metavar="EXPRESSION...")],
    to: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS,
) -> None:
    """Have expressions worked out, and print what each of them is."""
    with telex.sync.connect(to) as connection:
        for expression in expressions:
            answer = connection.request(expression, subject="calculate", timeout=5)
            print(f"{expression} = {printable(str(answer.content))}")


if __name__ == "__main__":
    try:
        cli()
    except telex.TelexError as error:
        sys.exit(printable(f"calculator: {error}"))
