"""The OpenAPI document: problems as answers of each route, and what the application as a whole says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from api.problems import CODES, MEDIA_TYPE
from api.texts import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from api.security.access import Needs

DESCRIPTION: Final = """
Alerts, the records behind them, and the sensors' health.

Sign in with `POST /api/session`; the answer sets a cookie and holds a `csrf_token`, which every change brings in the header
`X-CSRF-Token`. What an account may do follows from its role and its sites; `x-permission` says what an operation needs.
Errors are RFC 9457 problems (`application/problem+json`) with a stable `code`. Texts come in English and Chinese, by
`Accept-Language` or `?language=zh-CN`. Times are RFC 3339 in UTC with nanoseconds. Lists come in pages: pass `next` of one
page as `cursor` of the next. A change that is sent with an `Idempotency-Key` can be sent again: it is carried out once.
"""


_CHANGES: Final = frozenset({"post", "put", "patch", "delete"})

_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Drawn anew for each change, and sent again with it where no answer came: it is carried out once, and "
    "answered as the first time, for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "examples": ["6f1d6f0e-3f55-4a53-8f0a-0c1a4c6a9c57"]},
}

_IDEMPOTENCY_CODES: Final = (
    "idempotency_busy", "idempotency_done", "idempotency_full", "idempotency_invalid", "idempotency_other",
)  # fmt: skip


class PlaceError(BaseModel):
    """One thing that is wrong with the input."""

    place: str = Field(examples=["query.limit"])
    code: str = Field(examples=["less_than_equal"])
    message: str = Field(examples=["Input should be less than or equal to 500"])


class ProblemOutput(BaseModel):
    """Why a request could not be answered (RFC 9457)."""

    model_config = ConfigDict(title="Problem", use_attribute_docstrings=True)

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    """Stable name of the problem."""
    errors: list[PlaceError] | None = None
    """Where the input is wrong, for `input_invalid`."""


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Answers of a route that can fail with these codes. Those that every route can have are added.

    Whoever must be signed in is looked up in the database, which may be busy or take too long, and may lack the permission.
    """
    answers: dict[int | str, dict[str, Any]] = {}
    of_callers = ("forbidden", "database_busy", "query_too_long", "rate_limited") if "signed_out" in codes else ()
    added = ("input_invalid", "host_unknown", *of_callers)
    _add(answers, dict.fromkeys((*added, *codes)))
    return answers


def _add(
    answers: dict[Any, dict[str, Any]], codes: Iterable[str], name: Callable[[int], int | str] = int, language: str = "en"
) -> None:
    """Add these codes to the answers of a route, which are under `name` of their statuses."""
    for code in codes:
        status = CODES[code]
        answer = answers.setdefault(
            name(status),
            {"description": "", "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}}},
        )
        title = text(language, f"problem.{code}.title")
        answer["description"] = f"{answer['description']}; {title}" if answer["description"] else title
        answer["content"][MEDIA_TYPE]["examples"][code] = {
            "value": {
                "type": f"urn:icsight:problem:{code}",
                "title": title,
                "status": status,
                "detail": text(language, f"problem.{code}.detail"),
                "instance": "/api/…",
                "code": code,
            }
        }


def in_language(document: dict[str, Any], language: str) -> dict[str, Any]:
    """The document with titles and examples of problems in a language; all else of it is in English."""
    paths = {
        path: {method: _operation_in(operation, language) for method, operation in operations.items()}
        for path, operations in document["paths"].items()
    }
    return {**document, "paths": paths}


def _operation_in(operation: dict[str, Any], language: str) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, answer in operation["responses"].items():
        examples = answer.get("content", {}).get(MEDIA_TYPE, {}).get("examples")
        if examples is None:
            answers[status] = answer
            continue
        told: dict[int | str, dict[str, Any]] = {}
        _add(told, examples, lambda _, status=status: status, language)
        answers[status] = {
            **answer,
            "description": told[status]["description"],
            "content": {**answer["content"], **told[status]["content"]},
        }
    return {**operation, "responses": answers}


def complete(document: dict[str, Any], permissions: Mapping[tuple[str, str], Needs]) -> dict[str, Any]:
    """Put in the problem's schema and the permission that each operation needs; take out the framework's own error format."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schema = ProblemOutput.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas["Problem"] = schema
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            if (method.upper(), path) in permissions:
                needed = permissions[method.upper(), path]
                operation["x-permission"] = needed.permission
                if needed.instead:
                    operation["x-permission-instead"] = list(needed.instead)
            answers = operation.setdefault("responses", {})
            if "requestBody" in operation:
                _add(answers, ("body_invalid",), str)
            if method in _CHANGES and "security" in operation:
                operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
                _add(answers, _IDEMPOTENCY_CODES, str)
            for status, answer in problems().items():
                said = answers.get(str(status), {}).get("content", {})
                said.pop("application/json", None)
                if MEDIA_TYPE not in said:
                    answers[str(status)] = answer
    return document
