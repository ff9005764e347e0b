"""A gateway between programs of the well-known Python sockets tutorial and a Telex client.

    python examples/gateway.py serve
    python examples/gateway.py answer
    python examples/tutorial_client.py search morpheus

The tutorial's clients say ``{"action": "search", "value": "morpheus"}`` as ``text/json``, with four
headers and no more, and want an answer of the same kind. They know no subjects and no requests. A
modern client signs up to answer: each question comes to it as a message with a number in a header,
and it gives the answer back with the same number.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Annotated, Final

import msgspec
import typer

import telex
import telex.asyncio
from telex.printable import printable

ADDRESS: Final = "tcp://127.0.0.1:7766"

PATIENCE: Final = 5.0
"""Seconds that a question waits for its answer."""

MEANINGS: Final = {
    "morpheus": "Follow the white rabbit.",
    "ring": "In the caves beneath the Misty Mountains.",
}


class Question(msgspec.Struct):
    """What a client of the tutorial says."""

    action: str
    value: str


class Gateway(telex.Observer):
    """Takes questions from one side to the other, and the answers back."""

    def __init__(self) -> None:
        self._helpers: list[telex.Peer] = []
        self._answers: dict[int, tuple[telex.Peer, asyncio.Future[object]]] = {}
        self._numbers = itertools.count(1)

    async def ask(self, message: telex.Message[Question]) -> telex.Message:
        """Answer a client of the tutorial, in its own way of writing."""
        try:
            result = await asyncio.wait_for(self._answer_to(message.content), PATIENCE)
        except (LookupError, telex.ConnectionClosedError):
            result = "nobody is here who could answer"
        except TimeoutError:
            result = f"nobody has answered within {PATIENCE:g} s"
        return telex.Message({"result": result}, content_type="text/json")

    async def _answer_to(self, question: Question) -> object:
        """Ask the helper whose turn it is; raises LookupError when there is none."""
        if not self._helpers:
            raise LookupError
        helper = self._helpers.pop(0)
        self._helpers.append(helper)
        number = next(self._numbers)
        answered: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._answers[number] = helper, answered
        try:
            helper.send(question, subject="question", headers={"number": number})
            return await answered
        finally:
            del self._answers[number]

    def help_out(self, _message: telex.Message, peer: telex.Peer) -> None:
        """Let somebody answer questions from now on."""
        if peer not in self._helpers:
            self._helpers.append(peer)

    def answer(self, message: telex.Message, peer: telex.Peer) -> None:
        """Take an answer, from the one who was asked and nobody else."""
        number = message.headers.get("number")
        if type(number) is not int:  # which True is not, nor 1.0, though both equal 1
            raise telex.Refusal("bad-number", "the header number has to be that of a question")
        helper, answered = self._answers.get(number, (None, None))
        if answered is None or answered.done() or helper != peer:
            raise telex.Refusal("too-late", f"nobody waits for your answer to question {number}")
        answered.set_result(message.content)

    def disconnected(self, peer: telex.Peer, error: telex.TelexError | None) -> None:
        """Ask somebody no more who has gone."""
        if peer in self._helpers:
            self._helpers.remove(peer)

    def application(self) -> telex.Application:
        """Make the application of this gateway; what has no subject comes from the tutorial."""
        app = telex.Application()
        app.on()(self.ask)
        app.on("help-out")(self.help_out)
        app.on("answer")(self.answer)
        return app


async def serve_gateway(address: str) -> None:
    """Let both sides in, until Ctrl-C."""
    gateway = Gateway()
    async with telex.asyncio.serve(gateway.application(), address, observer=gateway) as server:
        print(f"listening on {server.address}", flush=True)
        await server.serve_forever()


async def answer_questions(address: str) -> None:
    """Answer what the clients of the tutorial ask, until the gateway ends."""
    async with telex.asyncio.connect(address, keepalive=True) as connection:
        await connection.request(None, subject="help-out", timeout=5)
        print("ready to answer", flush=True)
        async for message in connection:
            question = message.decode(Question)
            print(printable(f"{question.action} {question.value}"), flush=True)
            result = MEANINGS.get(question.value, f"No match for '{question.value}'.")
            await connection.send(result, subject="answer", headers=message.headers)


cli = typer.Typer(help="Let old clients and new ones talk.", no_args_is_help=True)


@cli.command()
def serve(listen: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS) -> None:
    """Stand between the two."""
    asyncio.run(serve_gateway(listen))


@cli.command()
def answer(to: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS) -> None:
    """Be the modern client, who knows the answers."""
    asyncio.run(answer_questions(to))


if __name__ == "__main__":
    try:
        cli()
    except telex.TelexError as error:
        sys.exit(printable(f"gateway: {error}"))
