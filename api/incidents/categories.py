"""Classes of incidents by GB/T 20986-2023, with keys of our own."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

from api.incidents.grading import Certainty, Named


class Class(Named):
    """A class with its sub-classes."""

    sub: tuple[Named, ...]


class Categories(BaseModel):
    """The standard's classes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    citation: str
    certainty: Certainty
    note: str
    classes: tuple[Class, ...]


@cache
def categories() -> Categories:
    """The classes that this version of the product knows."""
    return Categories.model_validate_json((files("api.incidents") / "data" / "categories.json").read_bytes())


def known(category: str) -> bool:
    """Whether `class` or `class.sub_class` is one."""
    name, _, sub = category.partition(".")
    return any(each.key == name and (not sub or sub in {inner.key for inner in each.sub}) for each in categories().classes)
