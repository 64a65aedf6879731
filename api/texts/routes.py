"""`/api/texts`: the catalogue, for the console."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from api.texts import catalogue

router = APIRouter(prefix="/api/texts", tags=["texts"])


@router.get("/{language}")
def texts(language: Literal["en", "zh-CN"], response: Response) -> dict[str, str]:
    """Every text of the console and the API in one language, by key."""
    response.headers["Cache-Control"] = "no-cache"
    return catalogue(language)
