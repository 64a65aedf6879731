"""An OpenAPI document as tests use it: its operations, its examples, and values that its schemas allow, or nearly so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import jsonschema
from hypothesis import strategies as st

if TYPE_CHECKING:
    import httpx

METHODS: Final = ("get", "post", "put", "patch", "delete")

TEXTS: Final = st.text(max_size=30)


class Operation(NamedTuple):
    """One thing that the API can do."""

    path: str
    method: str
    said: dict[str, Any]

    @property
    def parameters(self) -> list[dict[str, Any]]:
        return self.said.get("parameters", [])

    @property
    def body(self) -> dict[str, Any] | None:
        content = self.said.get("requestBody", {}).get("content", {}).get("application/json")
        return content and content["schema"]


def operations(document: dict[str, Any]) -> list[Operation]:
    """Every operation, with what its schemas refer to put in."""
    return [
        Operation(path, method, resolved(said, document))
        for path, item in document["paths"].items()
        for method, said in item.items()
        if method in METHODS
    ]


def resolved(node: Any, document: dict[str, Any]) -> Any:
    """A part of the document with what it refers to put in."""
    if isinstance(node, list):
        return [resolved(part, document) for part in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    fields = cast("dict[str, Any]", node)
    if "$ref" in fields:
        target: Any = document
        for part in fields["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return resolved(target, document)
    return {name: resolved(value, document) for name, value in fields.items()}


def example(schema: dict[str, Any]) -> Any:
    """What the schema's own examples make together."""
    if "examples" in schema or "default" in schema:
        return schema["examples"][0] if "examples" in schema else schema["default"]
    if "anyOf" in schema:
        return example(schema["anyOf"][0])
    if schema.get("type") == "object":
        return {name: example(inner) for name, inner in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [example(schema["items"])]
    if "enum" in schema:
        return schema["enum"][0]
    return schema.get("const", {"string": "text", "integer": 1, "number": 1}.get(schema.get("type", "")))


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values as the schema says, and now and then not."""
    if "anyOf" in schema:
        return st.one_of(*(values(choice) for choice in schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | TEXTS
    if "pattern" in schema:
        return cast("st.SearchStrategy[str]", st.from_regex(schema["pattern"], fullmatch=True)).filter(_short) | TEXTS
    if schema.get("type") == "array":
        return st.lists(values(schema["items"]), max_size=3)
    if schema.get("type") == "object":
        inner = {name: values(field) for name, field in schema.get("properties", {}).items()}
        required = set(schema.get("required", ()))
        return st.fixed_dictionaries(
            {name: strategy for name, strategy in inner.items() if name in required},
            optional={name: strategy for name, strategy in inner.items() if name not in required},
        )
    integers = st.integers(-1, 2**63) | st.integers(schema.get("minimum", 0), min(schema.get("maximum", 100), 100))
    kinds: dict[str, st.SearchStrategy[Any]] = {"integer": integers, "boolean": st.booleans(), "null": st.none()}
    return kinds.get(schema.get("type", ""), TEXTS)


def _short(text: str) -> bool:
    return len(text) < 500


def check(operation: Operation, answer: httpx.Response) -> None:
    """An answer is one that the document names, in the form that it says."""
    told = (operation.method, str(answer.request.url), answer.status_code, answer.text)
    responses = operation.said["responses"]
    assert str(answer.status_code) in responses, told
    if answer.status_code in {204, 304}:
        return
    kind = answer.headers["Content-Type"].split(";")[0]
    contents = {name.split(";")[0]: content for name, content in responses[str(answer.status_code)].get("content", {}).items()}
    assert kind in contents, told
    if kind.endswith("json"):
        jsonschema.validate(answer.json(), contents[kind]["schema"])
