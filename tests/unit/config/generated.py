"""Hypothesis strategies: settings documents that are nearly right, and any documents at all."""

from typing import Any

from hypothesis import strategies as st

from agent.config import fields
from agent.config.shapes import Choice, Group, Many, Maybe, Named, Number, Shape, Switch, Text

SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [
            "",
            "*",
            "a",
            "/a",
            "v1",
            "v2.1",
            "10s",
            "5m",
            "0ms",
            "1KiB",
            "127.0.0.1:80",
            "yes",
            "off",
            "id",
            "x\n",
            "\x07",
        ]
    )
    | st.text(max_size=8)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def nearly(shape: Shape) -> st.SearchStrategy[Any]:
    """Values most of which fit the shape; anything else now and then."""
    return st.integers(0, 9).flatmap(lambda chance: SCALARS if chance == 0 else _fitting(shape))


def _fitting(shape: Shape) -> st.SearchStrategy[Any]:
    match shape:
        case Text():
            return (
                st.from_regex(shape.pattern, fullmatch=False) | st.sampled_from(["a", "", "a\n"])
                if shape.pattern
                else st.text(max_size=9)
            )
        case Number():
            low = shape.low if shape.low is not None else shape.above or 0
            plain = st.sampled_from(
                [low, low - 1, low + 1, shape.high, shape.high + 1, 0.5, float(low), 1e300]
            )
            return plain | st.sampled_from(["10s", "1h", "1MiB", "5"]) if shape.unit else plain
        case Switch():
            return st.booleans() | st.sampled_from(["yes", "no", "on", "off", "true", 1, 0])
        case Choice():
            return st.sampled_from(shape.values)
        case Many():
            return st.lists(nearly(shape.item), max_size=3)
        case Named():
            mapping = st.dictionaries(_fitting(shape.key), nearly(shape.value), max_size=3)
            names = st.lists(_fitting(shape.key), max_size=3)
            return mapping | names | names.map(", ".join) if shape.names else mapping
        case Maybe():
            return st.none() | nearly(shape.value)
        case Group():
            return group(shape)


def group(shape: Group) -> st.SearchStrategy[Any]:
    """Mappings with some of the keys, the needed ones mostly, and an unknown one now and then."""
    keys = list(shape.members)

    def of(chosen: set[str]) -> st.SearchStrategy[Any]:
        return st.fixed_dictionaries(
            {
                key: nearly(shape.members[key].shape) if key in shape.members else SCALARS
                for key in sorted(chosen)
            }
        )

    needed = {key for key, member in shape.members.items() if member.required}
    return st.sets(st.sampled_from([*keys, *keys, "unknown"]), max_size=3).flatmap(
        lambda chosen: of(chosen | needed)
    )


DOCUMENTS = group(fields.shape())
