"""The rules of W3C Trace Context (Recommendation of 23 November 2021) as a table: a row a rule.

https://www.w3.org/TR/2021/REC-trace-context-1-20211123/
"""

from dataclasses import dataclass
from typing import Literal

ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{ID}-{SPAN}-01"

Parent = Literal["new", "kept"]


@dataclass(frozen=True)
class Row:
    """What is sent, and what a receiver that follows the rule passes on."""

    section: str
    rule: str
    sent: tuple[tuple[str, str], ...]
    parent: Parent
    """``new``: as if none had come. ``kept``: the trace goes on."""
    state: tuple[str, ...] = ()
    """The members of ``tracestate`` in their order."""
    sampled: bool = True
    """Of a trace that goes on."""

    def __str__(self) -> str:
        return f"{self.section} {self.rule}"


def _new(section: str, rule: str, value: str) -> Row:
    return Row(section, rule, (("traceparent", value), ("tracestate", "a=b")), "new")


def _kept(section: str, rule: str, value: str, *, sampled: bool = True) -> Row:
    return Row(section, rule, (("traceparent", value), ("tracestate", "a=b")), "kept", ("a=b",), sampled)


def _state(section: str, rule: str, *values: str, state: tuple[str, ...] = ()) -> Row:
    sent = (("traceparent", VALID), *(("tracestate", value) for value in values))
    return Row(section, rule, sent, "kept", state)


_KEY = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@"
_VALUE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in ",=")
_MANY = tuple(f"k{number:02}={number}" for number in range(33))
_LONG = tuple(f"k{number}={'v' * 120}" for number in range(4))

TRACEPARENT = (
    Row("3.2.1", "the name in upper case", (("TRACEPARENT", VALID),), "kept"),
    Row("3.2.1", "the name in mixed case", (("TrAcEpArEnT", VALID),), "kept"),
    Row("3.2.1", "another name", (("trace-parent", VALID),), "new"),
    _new("3.2.2", "two headers", f"{VALID}\r\ntraceparent: {VALID}"),
    _new("3.2.2", "two headers that differ", f"{VALID}\r\ntraceparent: 00-{ID[::-1]}-{SPAN}-01"),
    _new("3.2.2", "two headers of a later version", f"cc{VALID[2:]}-x\r\ntraceparent: cc{VALID[2:]}"),
    _new("3.2.2", "an empty header", ""),
    _kept("3.2.2", "white space around the value", f" \t {VALID} \t "),
    _new("3.2.2.1", "version ff", f"ff-{ID}-{SPAN}-01"),
    _new("3.2.2.1", "a version that is no number", f".0-{ID}-{SPAN}-01"),
    _new("3.2.2.1", "a version that ends in no digit", f"0.-{ID}-{SPAN}-01"),
    _new("3.2.2.1", "a version in upper case", f"CC-{ID}-{SPAN}-01"),
    _new("3.2.2.1", "a version of three digits", f"000-{ID}-{SPAN}-01"),
    _new("3.2.2.1", "a version of four digits", f"0000-{ID}-{SPAN}-01"),
    _new("3.2.2.1", "a version of one digit", f"0-{ID}-{SPAN}-01"),
    _new("3.2.2.2", "another delimiter", VALID.replace("-", "_")),
    _new("3.2.2.2", "a field too few", f"00-{ID}-{SPAN}"),
    _new("3.2.2.2", "text before it", f"x{VALID}"),
    _new("3.2.2.3", "a trace id of zeros", f"00-{'0' * 32}-{SPAN}-01"),
    _new("3.2.2.3", "a trace id that begins with no digit", f"00-.{ID[1:]}-{SPAN}-01"),
    _new("3.2.2.3", "a trace id that ends with no digit", f"00-{ID[:-1]}.-{SPAN}-01"),
    _new("3.2.2.3", "a trace id in upper case", f"00-{ID.upper()}-{SPAN}-01"),
    _new("3.2.2.3", "a trace id that is too long", f"00-{ID}0-{SPAN}-01"),
    _new("3.2.2.3", "a trace id that is too short", f"00-{ID[1:]}-{SPAN}-01"),
    _new("3.2.2.4", "a parent id of zeros", f"00-{ID}-{'0' * 16}-01"),
    _new("3.2.2.4", "a parent id that begins with no digit", f"00-{ID}-.{SPAN[1:]}-01"),
    _new("3.2.2.4", "a parent id that ends with no digit", f"00-{ID}-{SPAN[:-1]}.-01"),
    _new("3.2.2.4", "a parent id in upper case", f"00-{ID}-{SPAN.upper()}-01"),
    _new("3.2.2.4", "a parent id that is too long", f"00-{ID}-{SPAN}0-01"),
    _new("3.2.2.4", "a parent id that is too short", f"00-{ID}-{SPAN[1:]}-01"),
    _new("3.2.2.5", "flags that begin with no digit", f"00-{ID}-{SPAN}-.1"),
    _new("3.2.2.5", "flags that end with no digit", f"00-{ID}-{SPAN}-0."),
    _new("3.2.2.5", "flags in upper case", f"00-{ID}-{SPAN}-0B"),
    _new("3.2.2.5", "flags of three digits", f"00-{ID}-{SPAN}-001"),
    _new("3.2.2.5", "flags of one digit", f"00-{ID}-{SPAN}-1"),
    _kept("3.2.2.5.1", "sampled", VALID),
    _kept("3.2.2.5.1", "not sampled", f"00-{ID}-{SPAN}-00", sampled=False),
    _kept("3.2.2.5.2", "another flag beside sampled", f"00-{ID}-{SPAN}-03"),
    _kept("3.2.2.5.2", "another flag alone", f"00-{ID}-{SPAN}-02", sampled=False),
    _kept("3.2.2.5.2", "all flags", f"00-{ID}-{SPAN}-ff"),
    _new("3.2.4", "version 00 with a character more", f"{VALID}."),
    _new("3.2.4", "version 00 with a field more", f"{VALID}-what-the-future-will-be-like"),
    _kept("3.2.4", "a later version without further fields", f"cc-{ID}-{SPAN}-01"),
    _kept("3.2.4", "a later version, not sampled", f"01-{ID}-{SPAN}-00", sampled=False),
    _kept("3.2.4", "a later version with further fields", f"cc-{ID}-{SPAN}-01-what-the-future-will-be-like"),
    _kept("3.2.4", "further fields are not read", f"cc-{ID}-{SPAN}-01-{'0' * 16}-{'0' * 32}-x"),
    _kept("3.2.4", "flags of a later version that are unknown", f"cc-{ID}-{SPAN}-09-x"),
    _new("3.2.4", "a later version whose flags are followed by no dash", f"cc-{ID}-{SPAN}-01.what-the-future"),
    _new("3.2.4", "a later version that is shorter than 55", f"cc-{ID}-{SPAN}-1"),
    _new("3.2.4", "a later version with a trace id of zeros", f"cc-{'0' * 32}-{SPAN}-01"),
    _new("3.2.4", "a later version with a parent id of zeros", f"cc-{ID}-{'0' * 16}-01-x"),
    _new("3.2.4", "a later version with a trace id of other characters", f"cc-{ID[1:]}g-{SPAN}-01"),
)  # fmt: skip

TRACESTATE = (
    Row("3.3", "no tracestate", (("traceparent", VALID),), "kept"),
    _state("3.3", "an invalid tracestate leaves the traceparent alone", "NOT VALID"),
    _state("3.3.1.1", "several headers are joined in their order", "a=1,b=2", "c=3", "d=4",
           state=("a=1", "b=2", "c=3", "d=4")),
    Row("3.3.1", "the name in any case", (("traceparent", VALID), ("TraceState", "a=1")), "kept", ("a=1",)),
    Row("3.3.1", "another name", (("traceparent", VALID), ("trace-state", "a=1")), "kept"),
    _state("3.3.1.1", "an empty header", ""),
    _state("3.3.1.1", "an empty header before another", "", "a=1", state=("a=1",)),
    _state("3.3.1.1", "an empty header after another", "a=1", "", state=("a=1",)),
    _state("3.3.1.1", "white space around members", "a=1 \t , \t b=2,\tc=3", state=("a=1", "b=2", "c=3")),
    _state("3.3.1.1", "white space around the header", " \t a=1 \t ", state=("a=1",)),
    _state("3.3.1.2", "empty members", "a=1,,b=2, ,", state=("a=1", "b=2")),
    _state("3.3.1.2", "32 members", ",".join(_MANY[:32]), state=_MANY[:32]),
    _state("3.3.1.2", "32 members in several headers", ",".join(_MANY[:20]), ",".join(_MANY[20:32]),
           state=_MANY[:32]),
    _state("3.3.1.2", "33 members", ",".join(_MANY)),
    _state("3.3.1.2", "33 members in several headers", ",".join(_MANY[:20]), ",".join(_MANY[20:])),
    _state("3.3.1.3.1", "all characters of a key", f"{_KEY}=1", state=(f"{_KEY}=1",)),
    _state("3.3.1.3.1", "a key that begins with a digit", "1a@b=1", state=("1a@b=1",)),
    _state("3.3.1.3.1", "a key of 256 characters", f"a=1,{'z' * 256}=1", state=("a=1", f"{'z' * 256}=1")),
    _state("3.3.1.3.1", "a key in upper case", "a=1,FOO=1"),
    _state("3.3.1.3.1", "a key with a dot", "a=1,foo.bar=1"),
    _state("3.3.1.3.1", "white space in a key", "foo bar=1"),
    _state("3.3.1.3.1", "white space after a key", "foo =1"),
    _state("3.3.1.3.1", "a key that begins with @", "@foo=1,b=2"),
    _state("3.3.1.3.1", "a key that begins with _", "_a=1"),
    _state("3.3.1.3.1", "no key", "a=1,=2"),
    _state("3.3.1.3.1", "no value and no equals sign", "a=1,b"),
    _state("3.3.1.3.2", "all characters of a value", f"a={_VALUE}", state=(f"a={_VALUE}",)),
    _state("3.3.1.3.2", "a value of 256 characters", f"a={'v' * 256}", state=(f"a={'v' * 256}",)),
    _state("3.3.1.3.2", "an equals sign in a value", "a=1,foo=bar=baz"),
    _state("3.3.1.3.2", "an empty value", "foo=,b=3"),
    _state("3.3.1.3.2", "a value of spaces", "foo= ,b=3"),
    _state("3.3.1.3.2", "a tab in a value", "foo=a\tb"),
    _state("3.3.1.3.2", "a value beyond ASCII", "foo=\u00e4"),
    _state("3.3.1.5", "512 characters", ",".join(_LONG), state=_LONG),
    _state("3.3.1.5", "more than 512 characters", *_LONG, f"z={'w' * 250}", state=(*_LONG, f"z={'w' * 250}")),
    Row("4.2", "nothing", (), "new"),
    Row("4.2", "a tracestate without a traceparent", (("tracestate", "a=1"),), "new"),
    Row("4.3", "an invalid traceparent takes its tracestate along",
        (("traceparent", "x"), ("tracestate", "a=1")), "new"),
)  # fmt: skip

UNSEEN = (
    _state("3.3.1.3.1", "a key of 257 characters", f"{'z' * 257}=1", state=(f"{'z' * 257}=1",)),
    _state("3.3.1.3.2", "a value of 257 characters", f"a={'v' * 257}", state=(f"a={'v' * 257}",)),
    _state("3.3.1.4", "the same key twice", "a=1,b=2,a=3", state=("a=1", "b=2", "a=3")),
)
"""What Envoy passes on though it is invalid: its regular expressions can't count that far, and have no references
back. Section 4.3 lets a proxy leave a tracestate unvalidated."""
