"""What jobs look like in JSON."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.alerts.models import Disposition
from api.alerts.schemas import AccountName, AlertFilter, Note, Permit
from api.jobs.models import Action, JobState
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST
from api.unfit import Unfit

MOST_IDS: Final = 10_000
"""Most alerts that are named, where the bound on bodies lets them in; a filter has no bound."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]


class JobInput(BaseModel):
    """A decision about many alerts: those that are named, or all that match a filter when the job is made."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    action: Literal["acknowledge", "assign", "close"] = Field(examples=["close"])
    ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_IDS)] | None = Field(default=None, examples=[None])
    """Ids of alerts; either these or a filter."""
    filter: AlertFilter | None = Field(default=None, examples=[{"rule": "address_sweep", "state": "new"}])
    """Which alerts, as a list of them is asked for."""
    note: Note = Field(examples=["Scan by the contractor, as announced"])
    disposition: Disposition | None = Field(default=None, examples=["authorised_work"])
    """What they turned out to be; needed for, and only for, `close`."""
    permit: Permit | None = Field(default=None, examples=["WP-2026-1123"])
    """Number of the work permit; needed for, and only for, `authorised_work`."""
    to: AccountName | None = Field(default=None, examples=[None])
    """Name of the account that they are given to; needed for, and only for, `assign`."""
    dry_run: bool = Field(default=False, examples=[False])
    """Only tell what would come of each alert."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise Unfit("job_ids")
        if (self.action == "close") != (self.disposition is not None):
            raise Unfit("job_disposition")
        if (self.action == "assign") != (self.to is not None):
            raise Unfit("job_to")
        if (self.disposition == "authorised_work") != (self.permit is not None):
            raise Unfit("permit")
        return self


class JobOutput(BaseModel):
    """A job, and how far it is."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    number: int = Field(examples=[7])
    action: Action = Field(examples=["close"])
    dry_run: bool = Field(examples=[False])
    """Whether it only tells what would come of it."""
    state: JobState = Field(examples=["done"])
    by: str = Field(examples=["lin.wei"])
    at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    ended_at: str | None = Field(examples=["2026-11-23T08:14:09.000000000Z"])
    note: str = Field(examples=["Scan by the contractor, as announced"])
    disposition: Disposition | None = Field(default=None, examples=["authorised_work"])
    permit: str | None = Field(default=None, examples=["WP-2026-1123"])
    to: str | None = Field(default=None, examples=[None])
    """The account that they are given to."""
    done: int = Field(examples=[412])
    """Alerts that it decided on so far, or would."""
    refused: int = Field(examples=[3])
    """Alerts that it left as they are so far, or would."""
    undoes: int | None = Field(default=None, examples=[None])
    """The job that it takes back."""
    undone_by: int | None = Field(default=None, examples=[None])
    """The job that takes it back."""
    undo_until: str | None = Field(default=None, examples=["2026-11-24T08:14:09.000000000Z"])
    """Until when it can be taken back; null where it cannot be."""


class JobPage(BaseModel):
    """Jobs, newest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[JobOutput]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


class JobQuery(BaseModel):
    """Which jobs."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most items on the page."""
    language: Literal["en", "zh-CN"] | None = None
    """Language of problems; without it, that of `Accept-Language`."""


class ItemQuery(JobQuery):
    """Which alerts of a job."""

    refused: bool = False
    """Only those that were left as they are."""


class JobItemOutput(BaseModel):
    """What came of an alert, or would."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str = Field(examples=["9c1f0e6a52d14f0b"])
    """Id of the alert."""
    result: str = Field(examples=["done"])
    """`done`, or the code of the problem that kept it as it is."""


class JobItemPage(BaseModel):
    """Alerts of a job, by id."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[JobItemOutput]
    next: str | None = None
    """`cursor` of the next page; null on the last."""
