"""Resources as JSON and back: the law holds for every kind that there is."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.catalog.codec import decode, encode
from modules.api import Content, Resource
from modules.fields import Folder
from modules.registry import kinds

TEXTS = st.text(max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda below: st.lists(below, max_size=3).map(tuple) | st.dictionaries(TEXTS, below, max_size=3),
    max_leaves=5,
)


def content_of(data: bytes) -> Content:
    return Content(hashlib.sha256(data).hexdigest(), len(data), data=data)


CONTENTS = st.binary(max_size=40).map(content_of) | st.builds(
    Content, st.just("0" * 64), st.integers(0, 1 << 40), blob=st.just("f" * 40)
)
CONTENTS |= st.builds(
    Content, st.just("0" * 64), st.just(-1), url=st.just("https://example.com/a"), secret=st.booleans()
)
st.register_type_strategy(Content, CONTENTS)
st.register_type_strategy(object, PLAIN)


def resources() -> st.SearchStrategy[Resource]:
    return st.one_of(*(st.builds(kind, **_fields(kind)) for kind in kinds()))


def _fields(kind: type[Resource]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    names = (field.name for field in dataclasses.fields(kind))
    return {name: st.from_type(hints[name]) for name in names if hints[name] != Folder | None}  # expanded before that


@given(resources())
def test_decoding_gives_what_was_encoded(resource: Resource) -> None:
    assert decode(json.loads(json.dumps(encode(resource, with_data=True)))) == resource


def contents_in(value: Any) -> Iterator[dict[str, Any]]:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and "$content" in value:
        yield value
    for each in below:
        yield from contents_in(each)


@given(resources())
def test_without_data_only_the_digest_of_a_content_is_kept(resource: Resource) -> None:
    text = json.dumps(encode(resource, with_data=False))
    assert all("data" not in found for found in contents_in(json.loads(text)))
    known = decode(json.loads(text))
    assert known.id == resource.id
    for field in dataclasses.fields(resource):
        before, after = getattr(resource, field.name), getattr(known, field.name)
        if isinstance(before, Content):
            assert (after.digest, after.size, after.data) == (before.digest, before.size, None)


def test_a_field_that_has_its_default_is_left_out() -> None:
    kind = next(kind for kind in kinds() if kind.kind == "file")
    assert encode(kind(path="/etc/motd"), with_data=True) == ["file", {"path": "/etc/motd"}]  # type: ignore[call-arg]


def test_bytes_are_kept_as_they_are() -> None:
    kind = next(kind for kind in kinds() if kind.kind == "file")
    encoded = encode(kind(path="/a", content=content_of(b"\xff\0")), with_data=True)  # type: ignore[call-arg]
    assert base64.b64decode(encoded[1]["content"]["data"]) == b"\xff\0"


@pytest.mark.parametrize(
    ("encoded", "error"),
    [
        (["pakage", {"name": "tree"}], KeyError),
        (["package", {"nom": "tree"}], TypeError),
        (["package"], ValueError),
        (["file", {"path": "/a", "content": {"$content": "0"}}], KeyError),
    ],
)
def test_what_this_version_does_not_know_is_an_error(encoded: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode(encoded)
