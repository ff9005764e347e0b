"""The conformance vectors catch the faults that a decoder of somebody else may have.

Each mutant is the naive reference decoder with one fault, made by replacing a piece of its source.
The vectors run over it until one of them shows the fault.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import reference
from tests.framing import exact
from tests.wire.test_conformance import CASES, bytes_of, outcome_of

SOURCE = Path(reference.__file__).read_text("utf-8")


class Case(NamedTuple):
    """A vector, with what must come of it in a form that can be compared at once."""

    name: str
    stream: bytes
    limits: dict[str, int]
    messages: list[tuple[str, bytes]]
    failure: tuple[Any, ...] | None
    contents: list[str]


def _prepared(case: dict[str, Any]) -> Case:
    outcome = outcome_of(case)
    failure = outcome.failure and tuple(outcome.failure)
    contents = [repr(_content_of(said)) for said in case["messages"]]
    return Case(
        case["name"],
        bytes_of(case["stream"]),
        case["limits"],
        exact(outcome.messages),
        failure,
        contents,
    )


def _content_of(said: dict[str, Any]) -> dict[str, Any]:
    return {key: said[key] for key in ("text", "json", "unreadable") if key in said}


PREPARED = sorted(map(_prepared, CASES), key=lambda case: len(case.stream))
"""Short streams first: most faults show in one of these."""

# Each line: the fault, the source, what stands in its place.
MUTANTS: list[tuple[str, str, str]] = [
    # Where messages begin and end.
    ("the proto-header is little-endian", '">H", data, start', '"<H", data, start'),
    ("the proto-header has a sign", '">H", data, start', '">h", data, start'),
    ("a header block of 1 byte may come", "header_size < 2 or", "header_size < 1 or"),
    ("a header block has 3 bytes at least", "header_size < 2 or", "header_size < 3 or"),
    (
        "the header limit is one byte larger",
        "header_size > max_header_size",
        "header_size > max_header_size + 1",
    ),
    (
        "the header limit is one byte smaller",
        "header_size > max_header_size",
        "header_size >= max_header_size",
    ),
    ("a header block has no limit", "or header_size > max_header_size", ""),
    (
        "the content limit is one byte larger",
        "content_length > max_content_size",
        "content_length > max_content_size + 1",
    ),
    (
        "the content limit is one byte smaller",
        "content_length > max_content_size",
        "content_length >= max_content_size",
    ),
    ("content has no limit", "if content_length > max_content_size:", "if False:"),
    (
        "too large content is bad-message",
        '"too-large", content_start',
        '"bad-message", content_start',
    ),
    (
        "too large content is known behind the content",
        '"too-large", content_start',
        '"too-large", content_start + content_length',
    ),
    (
        "a broken header block is known late",
        '"bad-message", content_start)',
        '"bad-message", end_of_stream)',
    ),
    (
        "a wrong proto-header waits for the header block",
        '"bad-message", start + 2',
        '"bad-message", start + 3',
    ),
    (
        "the first byte waits for the header block",
        'if end_of_stream > header_start and data[header_start] not in b"{" + JSON_WHITESPACE:',
        "if False:",
    ),
    (
        "a first byte [ is waited for",
        'data[header_start] not in b"{" + JSON',
        'data[header_start] not in b"{[" + JSON',
    ),
    (
        "white space may not come first",
        'data[header_start] not in b"{" + JSON_WHITESPACE',
        'data[header_start] not in b"{"',
    ),
    (
        "a tab may not come first",
        'JSON_WHITESPACE = b" \\t\\n\\r"',
        'JSON_WHITESPACE = b" \\n\\r"',
    ),
    (
        "a line feed may not come first",
        'JSON_WHITESPACE = b" \\t\\n\\r"',
        'JSON_WHITESPACE = b" \\t\\r"',
    ),
    (
        "a carriage return may not come first",
        'JSON_WHITESPACE = b" \\t\\n\\r"',
        'JSON_WHITESPACE = b" \\t\\n"',
    ),
    (
        "a vertical tab may come first",
        'JSON_WHITESPACE = b" \\t\\n\\r"',
        'JSON_WHITESPACE = b" \\t\\n\\r\\v"',
    ),
    (
        "a form feed may come first",
        'JSON_WHITESPACE = b" \\t\\n\\r"',
        'JSON_WHITESPACE = b" \\t\\n\\r\\f"',
    ),
    (
        "the end inside a proto-header is a good end",
        "while start < len(data):",
        "while start < len(data) - 1:",
    ),
    (
        "the end inside a header block is bad-message",
        'if end_of_stream < content_start:\n        raise _BrokenMessageError("incomplete"',
        'if end_of_stream < content_start:\n        raise _BrokenMessageError("bad-message"',
    ),
    (
        "content that is cut short is delivered",
        'if end_of_stream < end:\n        raise _BrokenMessageError("incomplete", end_of_stream)',
        "end = min(end, end_of_stream)",
    ),
    (
        "only the first message is read",
        "        start = end\n",
        "        break\n",
    ),
    (
        "the place of a failure is that of the stream",
        "Failure(broken.code, start, broken.after)",
        "Failure(broken.code, 0, broken.after)",
    ),
    (
        "messages before a broken one are lost",
        "Outcome(messages, Failure(",
        "Outcome([], Failure(",
    ),
    (
        "the stream goes on behind a broken message",
        "return Outcome(messages, Failure(broken.code, start, broken.after))",
        "start = broken.after; continue",
    ),
    # The header block as bytes and as JSON.
    (
        "a header block is latin-1",
        'text = block.decode("utf-8")',
        'text = block.decode("latin-1")',
    ),
    (
        "bytes that are not UTF-8 are replaced",
        'text = block.decode("utf-8")',
        'text = block.decode("utf-8", "replace")',
    ),
    (
        "surrogates in UTF-8 pass",
        'text = block.decode("utf-8")',
        'text = block.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass")'
        '.decode("utf-16", "replace")',
    ),
    (
        "a byte order mark inside is skipped",
        'text = block.decode("utf-8")',
        'text = block.decode("utf-8").replace("\\ufeff", "")',
    ),
    (
        "white space of Unicode is white space",
        'text = block.decode("utf-8")',
        'text = block.decode("utf-8").strip()',
    ),
    (
        "NULs behind the object are padding",
        'text = block.decode("utf-8")',
        'text = block.decode("utf-8").rstrip("\\0")',
    ),
    (
        "names are normalised",
        'text = block.decode("utf-8")',
        'text = __import__("unicodedata").normalize("NFC", block.decode("utf-8"))',
    ),
    (
        "lines end at U+2028",
        'text = block.decode("utf-8")',
        'text = "\\n".join(block.decode("utf-8").splitlines())',
    ),
    (
        "DEL is a control character",
        'text = block.decode("utf-8")',
        'text = block.decode("utf-8").replace("\\x7f", "\\x00")',
    ),
    (
        "upper-case hex digits are no escape",
        'text = block.decode("utf-8")',
        'text = block.decode("utf-8").replace("\\\\u00F", "\\\\x")',
    ),
    (
        "an exponent is of lower case",
        'text = block.decode("utf-8")',
        'text = block.decode("utf-8").replace("1E+5", "E")',
    ),
    (
        "a trailing comma passes",
        'text = block.decode("utf-8")',
        'text = block.decode("utf-8").replace(",}", "}")',
    ),
    (
        "raw control characters pass in strings",
        "        parse_constant=_not_a_number,\n    )\n    json.dumps(header",
        "        parse_constant=_not_a_number,\n        strict=False,\n    )\n    json.dumps(header",
    ),
    (
        "what stands behind the object is not looked at",
        "header = json.loads(\n        text,",
        'header = json.loads(\n        text[: text.rfind("}") + 1],',
    ),
    ("depth has no limit", "if _depth(text) > MAX_DEPTH:", "if _depth(text) > 9_000:"),
    ("depth is 63 levels", "if _depth(text) > MAX_DEPTH:", "if _depth(text) >= MAX_DEPTH:"),
    ("depth is 65 levels", "if _depth(text) > MAX_DEPTH:", "if _depth(text) > MAX_DEPTH + 1:"),
    ("only arrays nest", 'elif character in "[{":', 'elif character == "[":'),
    ("only objects nest", 'elif character in "[{":', 'elif character == "{":'),
    ("brackets in strings nest", "in_string = True", "in_string = False"),
    ("an escaped quotation mark ends a string", "escaped = True", "escaped = False"),
    (
        "all brackets count, not those that are open",
        "            depth -= 1\n",
        "            pass\n",
    ),
    (
        "a field may stand twice",
        "if len(members) != len(pairs):",
        "if False:",
    ),
    (
        "a field may stand twice with the same value",
        "if len(members) != len(pairs):",
        "if len(members) != len({(name, repr(value)) for name, value in pairs}):",
    ),
    (
        "names repeat where objects have a content-length",
        "if len(members) != len(pairs):",
        'if len(members) != len(pairs) and "content-length" in members:',
    ),
    (
        "a __proto__ is lost",
        "members = dict(pairs)",
        'pairs = [pair for pair in pairs if pair[0] != "__proto__"]\n    members = dict(pairs)',
    ),
    (
        "a toString is there already",
        "if len(members) != len(pairs):",
        'if len(members) != len(pairs) or "toString" in members:',
    ),
    (
        "names differ by case only",
        "if len(members) != len(pairs):",
        "if len({name.lower() for name in members}) != len(pairs):",
    ),
    (
        "names in two normal forms are one",
        "if len(members) != len(pairs):",
        'if len({__import__("unicodedata").normalize("NFC", name) for name in members})'
        " != len(pairs):",
    ),
    (
        "an empty name is none",
        "if len(members) != len(pairs):",
        'if len(members) != len(pairs) or "" in members:',
    ),
    (
        "integers have no limit",
        "    _finite(digits)\n    return int(digits)",
        "    return int(digits[:4_000])",
    ),
    (
        "integers of 309 digits are refused",
        "    _finite(digits)\n    return int(digits)",
        "    if len(digits) > 308:\n        raise ValueError\n    return int(digits)",
    ),
    (
        "integers of a thousand digits pass",
        "    _finite(digits)\n    return int(digits)",
        "    if len(digits) > 1_000:\n        raise ValueError\n    return int(digits)",
    ),
    (
        "integers are of 64 bits",
        "    _finite(digits)\n    return int(digits)",
        "    return __import__('struct').unpack('>q', int(digits).to_bytes(8, 'big', signed=True))[0]",
    ),
    (
        "numbers too large become infinity",
        'if number in (float("inf"), float("-inf")):',
        "if False:",
    ),
    (
        "negative numbers too large become infinity",
        'if number in (float("inf"), float("-inf")):',
        'if number == float("inf"):',
    ),
    (
        "numbers too small are refused",
        'if number in (float("inf"), float("-inf")):',
        'if number in (float("inf"), float("-inf")) or (not number and set("123456789") & set(digits.lower().partition("e")[0])):',
    ),
    (
        "long fractions are refused",
        "    number = float(digits)\n",
        "    if len(digits) > 1_000:\n        raise ValueError\n    number = float(digits)\n",
    ),
    ("NaN passes", 'raise ValueError(f"{name} is not JSON")', "return None  # type: ignore"),
    (
        "-Infinity passes",
        'raise ValueError(f"{name} is not JSON")',
        'if name != "-Infinity":\n        raise ValueError(name)',
    ),
    (
        "half a surrogate pair passes in a header block",
        '    json.dumps(header, ensure_ascii=False).encode("utf-8")  # a lone',
        "    # a lone",
    ),
    (
        "half a surrogate pair passes in a name",
        '    json.dumps(header, ensure_ascii=False).encode("utf-8")  # a lone',
        '    json.dumps(list(header.values()), ensure_ascii=False).replace(chr(0xDC00), "").encode()  # a lone',
    ),
    # Fields.
    (
        "content-length is 0 when absent",
        'fields.pop("content-length", None)',
        'fields.pop("content-length", 0)',
    ),
    (
        "id may be 0",
        "_integer_field(header.get(name, 1), 1)",
        "_integer_field(header.get(name, 1), 0)",
    ),
    ("re is not looked at", 'for name in ("id", "re"):', 'for name in ("id",):'),
    ("id is not looked at", 'for name in ("id", "re"):', 'for name in ("re",):'),
    (
        "true is an integer",
        "if not isinstance(value, int) or isinstance(value, bool):",
        "if not isinstance(value, int):",
    ),
    (
        "5.0 is an integer",
        "    if not isinstance(value, int) or isinstance(value, bool):",
        "    if isinstance(value, float) and value.is_integer():\n        value = int(value)\n    if not isinstance(value, int) or isinstance(value, bool):",
    ),
    (
        "a string of digits is an integer",
        "    if not isinstance(value, int) or isinstance(value, bool):",
        "    if isinstance(value, str) and value.isdigit():\n        value = int(value)\n    if not isinstance(value, int) or isinstance(value, bool):",
    ),
    ("numbers go to 2^53", "MAX_SAFE_INTEGER = 2**53 - 1", "MAX_SAFE_INTEGER = 2**53"),
    ("numbers go to 2^53-2", "MAX_SAFE_INTEGER = 2**53 - 1", "MAX_SAFE_INTEGER = 2**53 - 2"),
    ("numbers go to 2^31-1", "MAX_SAFE_INTEGER = 2**53 - 1", "MAX_SAFE_INTEGER = 2**31 - 1"),
    (
        "numbers wrap around at 2^64",
        "    if value < least or value > MAX",
        "    value %= 2**64\n    if value < least or value > MAX",
    ),
    (
        "a byteorder may be of any case",
        'if header.get("byteorder", "little") not in',
        'if str(header.get("byteorder", "little")).lower() not in',
    ),
    (
        "a byteorder is not looked at",
        'if header.get("byteorder", "little") not in ("little", "big"):',
        "if False:",
    ),
    (
        "a byteorder is little when absent",
        '{"byteorder": None, "content-type"',
        '{"byteorder": "little" if __import__("sys").byteorder == "big" else "big", "content-type"',
    ),
    ("a kind is not looked at", 'for name in ("kind", "subject"):', 'for name in ("subject",):'),
    ("a subject is not looked at", 'for name in ("kind", "subject"):', 'for name in ("kind",):'),
    (
        "null is absent",
        'fields = {"byteorder": None,',
        'header = {name: value for name, value in header.items() if value is not None}\n    fields = {"byteorder": None,',
    ),
    (
        "more may be false",
        'if header.get("more", True) is not True:',
        'if header.get("more", True) not in (True, False):',
    ),
    (
        "more may be 1",
        'if header.get("more", True) is not True:',
        'if header.get("more", True) != True:',
    ),
    (
        "more may be what counts as true",
        'if header.get("more", True) is not True:',
        'if not header.get("more", True):',
    ),
    (
        "an encoding may be empty",
        'if not _string_field(fields["content-encoding"]):',
        'if _string_field(fields["content-encoding"]) is None:',
    ),
    (
        "an encoding of no string is the default",
        '    fields.setdefault("content-encoding"',
        '    if not fields.get("content-encoding", True):\n        del fields["content-encoding"]\n    fields.setdefault("content-encoding"',
    ),
    (
        "an encoding must be known",
        'if not _string_field(fields["content-encoding"]):',
        'if _string_field(fields["content-encoding"]).lower() not in ("binary", "utf-16", *CHARSETS):',
    ),
    (
        "text is latin-1 when nothing is said",
        '== "bytes" else "utf-8")',
        '== "bytes" else "latin-1")',
    ),
    (
        "everything is utf-8 when nothing is said",
        '"binary" if _form_of(essence) == "bytes" else "utf-8"',
        '"utf-8"',
    ),
    (
        "unknown headers are dropped",
        "    return fields, content_length\n",
        '    known = {"byteorder", "content-type", "content-encoding", "kind", "subject", "id", "re", "more"}\n    return {name: fields[name] for name in known & fields.keys()}, content_length\n',
    ),
    (
        "a reserved header is dropped",
        "    return fields, content_length\n",
        '    fields.pop("timeout", None)\n    return fields, content_length\n',
    ),
    (
        "too large is said before another fault",
        '    content_length = _integer_field(fields.pop("content-length", None), 0)\n',
        '    content_length = _integer_field(fields.pop("content-length", None), 0)\n    if content_length > 2**24:\n        return fields, content_length\n',
    ),
    # Media types.
    (
        "a media type is any string",
        "if not _is_token(main_type) or not _is_token(subtype):",
        "if False:",
    ),
    (
        "a subtype may be empty",
        "or not _is_token(subtype):",
        "or (subtype and not _is_token(subtype)):",
    ),
    (
        "a type may be empty",
        "if not _is_token(main_type) or",
        "if (main_type and not _is_token(main_type)) or",
    ),
    (
        "a subtype may hold a slash",
        "or not _is_token(subtype):",
        'or not _is_token(subtype.replace("/", "")):',
    ),
    (
        "a media type may hold spaces",
        "if not _is_token(main_type) or not _is_token(subtype):",
        'if not main_type.strip() or not subtype.strip() or "/" in subtype:',
    ),
    (
        "space behind a media type passes",
        '(essence.rstrip(" \\t") if semicolon else essence)',
        'essence.rstrip(" \\t")',
    ),
    (
        "space before a media type passes",
        '(essence.rstrip(" \\t") if semicolon else essence)',
        '(essence.rstrip(" \\t") if semicolon else essence).lstrip()',
    ),
    (
        "any white space before the semicolon passes",
        '(essence.rstrip(" \\t") if semicolon else essence)',
        "(essence.rstrip() if semicolon else essence)",
    ),
    (
        "no white space before the semicolon passes",
        '(essence.rstrip(" \\t") if semicolon else essence)',
        "essence",
    ),
    (
        "no tab before the semicolon passes",
        '(essence.rstrip(" \\t") if semicolon else essence)',
        '(essence.rstrip(" ") if semicolon else essence)',
    ),
    (
        "letters of a media type are those of Unicode",
        "character in TOKEN_CHARACTERS for",
        "(character in TOKEN_CHARACTERS or character.isalnum()) for",
    ),
    (
        "letters of a media type are lower case",
        " if semicolon else essence).lower()",
        " if semicolon else essence)",
    ),
    ("a media type has letters and digits only", '"!#$%&\'*+-.^_`|~" + string', '"+-." + string'),
    (
        "parameters are part of the media type",
        'content_type.partition(";")',
        'content_type.partition("\\0")',
    ),
    # Content.
    ("text/json is text", '("application/json", "text/json")', '("application/json",)'),
    (
        "+json is not JSON",
        'or essence.endswith("+json"):',
        'or essence == "application/problem+json":',
    ),
    ("json anywhere is JSON", 'or essence.endswith("+json"):', 'or "json" in essence:'),
    ("text begins with text", 'essence.startswith("text/")', 'essence.startswith("text")'),
    ("only text/plain is text", 'essence.startswith("text/")', 'essence == "text/plain"'),
    (
        "a charset is of lower case",
        'str(message.fields["content-encoding"]).lower()',
        'str(message.fields["content-encoding"])',
    ),
    ("JSON in binary is bytes", 'if form == "json" and charset == "binary":', "if False:"),
    (
        "text in binary is UTF-8",
        'if form == "bytes" or charset == "binary":',
        'charset = charset.replace("binary", "utf-8")\n    if form == "bytes":',
    ),
    (
        "bytes in a charset are text",
        'if form == "bytes" or charset == "binary":',
        'if charset == "binary":',
    ),
    ("latin-1 is windows-1252", '"latin-1": "latin-1"', '"latin-1": "cp1252"'),
    ("iso-8859-1 is windows-1252", '"iso-8859-1": "latin-1"', '"iso-8859-1": "cp1252"'),
    ("iso-8859-1 is not known", '    "iso-8859-1": "latin-1",\n', ""),
    ("us-ascii is not known", '    "us-ascii": "ascii",\n', ""),
    ("ascii is UTF-8", '    "ascii": "ascii",', '    "ascii": "utf-8",'),
    ("ascii is latin-1", '    "ascii": "ascii",', '    "ascii": "latin-1",'),
    ("us-ascii is latin-1", '"us-ascii": "ascii"', '"us-ascii": "latin-1"'),
    ("utf-8 loses a byte order mark", '"utf-8": "utf-8"', '"utf-8": "utf-8-sig"'),
    ("utf-16-le loses a byte order mark", '"utf-16-le": "utf-16-le"', '"utf-16-le": "utf-16"'),
    (
        "utf-16-be loses a byte order mark",
        "return body.decode(CHARSETS[charset])",
        "return body.decode(CHARSETS[charset]).removeprefix('\\ufeff' if charset == 'utf-16-be' else '')",
    ),
    ("utf-16-be is utf-16-le", '"utf-16-be": "utf-16-be"', '"utf-16-be": "utf-16-le"'),
    (
        "utf-16 keeps a byte order mark",
        'body.removeprefix(b"\\xff\\xfe").decode("utf-16-le")',
        'body.decode("utf-16-le")',
    ),
    ("utf-16 is little-endian whatever it says", 'if body[:2] == b"\\xfe\\xff":', "if False:"),
    (
        "utf-16 is big-endian when nothing is said",
        'body.removeprefix(b"\\xff\\xfe").decode("utf-16-le")',
        'body.decode("utf-16") if body[:1] == b"\\xff" else body.decode("utf-16-be")',
    ),
    (
        "utf-16 must have a byte order mark",
        'return body.removeprefix(b"\\xff\\xfe")',
        'if body[:2] != b"\\xff\\xfe":\n            raise ValueError\n        return body.removeprefix(b"\\xff\\xfe")',
    ),
    ("an unknown charset is utf-8", 'raise ValueError("an unknown charset")', 'charset = "utf-8"'),
    (
        "text that does not decode is replaced",
        "return body.decode(CHARSETS[charset])",
        'return body.decode(CHARSETS[charset], "replace")',
    ),
    (
        "surrogates pass in text",
        "return body.decode(CHARSETS[charset])",
        'return body.decode(CHARSETS[charset], "surrogatepass")',
    ),
    (
        "line ends are changed",
        "return body.decode(CHARSETS[charset])",
        'return body.decode(CHARSETS[charset]).replace("\\r\\n", "\\n")',
    ),
    (
        "text ends at a NUL",
        "return body.decode(CHARSETS[charset])",
        'return body.decode(CHARSETS[charset]).split("\\0")[0]',
    ),
    (
        "JSON is in UTF-8 whatever is said",
        "text = _decode(message.body, charset)",
        'text = _decode(message.body, "utf-8" if form == "json" else charset)',
    ),
    (
        "NaN passes in content",
        "json.loads(text, parse_float=_finite, parse_constant=_not_a_number)",
        "json.loads(text, parse_float=_finite)",
    ),
    (
        "numbers too large pass in content",
        "json.loads(text, parse_float=_finite, parse",
        "json.loads(text, parse",
    ),
    (
        "half a pair passes in content",
        '    json.dumps(value, ensure_ascii=False).encode("utf-8")  # half',
        "    # half",
    ),
    (
        "the first of two members counts in content",
        "parse_float=_finite, parse_constant=_not_a_number)\n    json.dumps(value",
        "parse_float=_finite, parse_constant=_not_a_number, object_pairs_hook=lambda pairs: dict(reversed(pairs)))\n    json.dumps(value",
    ),
    (
        "a member that stands twice is refused in content",
        "parse_float=_finite, parse_constant=_not_a_number)\n    json.dumps(value",
        "parse_float=_finite, parse_constant=_not_a_number, object_pairs_hook=_object_without_repeats)\n    json.dumps(value",
    ),
    (
        "a byte order mark passes before JSON",
        "value = json.loads(text, parse",
        'value = json.loads(text.removeprefix("\\ufeff"), parse',
    ),
    (
        "empty JSON is null",
        "value = json.loads(text, parse",
        'value = json.loads(text or "null", parse',
    ),
    (
        "integers in content are floats",
        "value = json.loads(text, parse",
        "value = json.loads(text, parse_int=float, parse",
    ),
    (
        "JSON content nests 63 levels",
        "    value = json.loads(text",
        "    if _depth(text) > 63:\n        raise ValueError\n    value = json.loads(text",
    ),
    (
        "JSON content is an object or an array",
        '    json.dumps(value, ensure_ascii=False).encode("utf-8")  # half',
        "    if not isinstance(value, (dict, list)):\n        raise ValueError\n    # half",
    ),
    ("a broken content breaks the stream", '        return {"unreadable": True}', "        raise"),
]


def mutant_of(old: str, new: str) -> types.ModuleType:
    """Return the reference decoder with one piece of its source replaced."""
    assert SOURCE.count(old) == 1, f"{old!r} is there {SOURCE.count(old)} times, not once"
    module = types.ModuleType("mutant")
    exec(compile(SOURCE.replace(old, new), "mutant", "exec"), vars(module))
    return module


def first_that_differs(
    parse: Callable[..., reference.Outcome],
    read_content: Callable[[reference.Parsed], dict[str, object]],
) -> str | None:
    """Return the name of the first vector that a decoder does not pass, or None."""
    return next(_failed_by(parse, read_content), None)


def _failed_by(parse: Callable[..., Any], read_content: Callable[[Any], Any]) -> Iterator[str]:
    for case in PREPARED:
        try:
            outcome = parse(case.stream, **case.limits)
            contents = [repr(read_content(message)) for message in outcome.messages]
            passes = (
                outcome.failure == case.failure
                and exact(outcome.messages) == case.messages
                and contents == case.contents
            )
        except Exception:  # a decoder that breaks down has not passed
            passes = False
        if not passes:
            yield case.name


def test_the_decoder_without_a_fault_passes() -> None:
    """What catches the mutants does not catch everything."""
    assert first_that_differs(reference.parse, reference.read_content) is None


@pytest.mark.parametrize(("old", "new"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS])
def test_a_fault_is_caught(old: str, new: str) -> None:
    """There is a vector that a decoder with this fault does not pass."""
    mutant = mutant_of(old, new)
    assert first_that_differs(mutant.parse, mutant.read_content) is not None
