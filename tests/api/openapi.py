"""An OpenAPI document as tests use it: its operations and its examples."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

METHODS: Final = ("get", "post", "put", "patch", "delete")


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
        # What stands beside the reference holds too, such as an example of this very use.
        beside = {name: value for name, value in fields.items() if name != "$ref"}
        return {**resolved(target, document), **resolved(beside, document)}
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
