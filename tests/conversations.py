"""Conversations for tests: both ends, and what travels between them, without a network."""

from __future__ import annotations

from typing import Any

from telex import Limits, Message, MessageProcessor
from telex.conversation.conversation import Conversation, Greeting
from telex.tokens import Tokens

TOKEN = "5ecret"
TOKENS = Tokens({"ada": TOKEN})


def new_client(*, limits: Limits | None = None, **said: Any) -> Conversation:
    """Begin the client's end at the time 0; ``said`` are keywords of Greeting."""
    return Conversation(limits or Limits(), Greeting("client", **said), serves=False, now=0.0)


def new_server(*, limits: Limits | None = None, tokens: Tokens | None = None) -> Conversation:
    """Begin the server's end at the time 0."""
    authenticate = None if tokens is None else tokens.owner_of
    greeting = Greeting("server", authenticate=authenticate)
    return Conversation(limits or Limits(), greeting, serves=True, now=0.0)


def carry(sender: Conversation, receiver: Conversation) -> list[Message]:
    """Bring what one end has to send to the other; return what its application gets."""
    return receiver.receive_data(b"".join(sender.data_to_send()))


def sent_by(conversation: Conversation) -> list[Message]:
    """Take what a conversation has to send, as messages."""
    return MessageProcessor().receive_messages(b"".join(conversation.data_to_send()))


def tell(conversation: Conversation, *messages: Message) -> list[Message]:
    """Have a peer send anything it likes; return what the application gets."""
    return conversation.receive_data(b"".join(message.to_bytes() for message in messages))


def request(id: int, content: object = b"", **fields: Any) -> Message:
    """Make a request as it travels."""
    return Message(content, kind="request", id=id, **fields)


def reply(re: int, content: object = b"", **fields: Any) -> Message:
    """Make a reply as it travels."""
    return Message(content, kind="reply", re=re, **fields)


def error(code: str, re: int | None = None) -> Message:
    """Make an error as it travels."""
    content = {"code": code, "title": "", "detail": f"because of {code}"}
    return Message(content, content_type="application/problem+json", kind="error", re=re)
