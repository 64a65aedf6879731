"""Whether a change is made on what the caller saw."""

from __future__ import annotations

from api.problems import Problem


def check_version(version: int | str, if_match: str | None, by: str) -> None:
    """Whether a change is made on a version. Raises Problem `precondition_required`, `precondition_failed`."""
    if if_match is None:
        raise Problem("precondition_required")
    tags = [tag.strip().removeprefix("W/") for tag in if_match.split(",")]
    if "*" not in tags and f'"{version}"' not in tags:
        raise Problem("precondition_failed", by=by)
