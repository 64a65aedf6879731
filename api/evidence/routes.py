"""`/api/alerts/{id}/evidence`: the packets behind an alert."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response

from api.evidence.taking import PROBLEMS, take
from api.openapi import problems
from api.security.access import Caller, Provided, needs

if TYPE_CHECKING:
    from sensor.packets import Evidence

router = APIRouter(prefix="/api/alerts", tags=["alerts"])

MEDIA_TYPE = "application/vnd.tcpdump.pcap"
ARCHIVE_TYPE = "application/zip"

Taker = Annotated[Caller, needs("packets.read")]
AlertId = Annotated[str, Path(min_length=1, max_length=64, examples=["9c1f0e6a52d14f0b"])]
MaskValues = Annotated[bool, Query(description="Zeros in place of all that carries values, to show the packets to others.")]
Sensor = Annotated[
    str | None,
    Query(
        max_length=256,
        examples=["gateway-7"],
        description="The sensor whose packets are wanted, of an alert that rests on several; else that of its first record.",
    ),
]
Form = Annotated[
    Literal["pcapng", "zip"],
    Query(description="zip: with the manifest of this very file: sensor, hashes of the ring's segments, who asked, and when."),
]

_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The packets as a pcapng file, its SHA-256 in X-Content-SHA256; or in an archive beside its manifest",
        "content": {each: {"schema": {"type": "string", "format": "binary"}} for each in (MEDIA_TYPE, ARCHIVE_TYPE)},
    }
}


@router.get("/{alert_id}/evidence", response_class=Response, responses={**problems("signed_out", *PROBLEMS), **_ANSWER})
def evidence(
    alert_id: AlertId, caller: Taker, provided: Provided, mask_values: MaskValues = False, form: Form = "pcapng",
    sensor: Sensor = None,
) -> Response:  # fmt: skip
    """The packets between the alert's addresses, from shortly before it was first seen to shortly after it was last seen.

    Of an alert that names no address, such as one about a hardware address: all packets from 5 s before it was first seen to 10 s
    after. A digest, and an alert about the product itself, has none.

    Of an alert of a drill: packets that were made up for it, by sensor `drill`.

    At most 64 MiB; the file's comment and the audit trail say who asked.
    What the ring has let go of is given out as far as it is pinned.
    """
    found = take(alert_id, sensor, caller.actor, provided, mask_values=mask_values)
    headers = {
        "Content-Disposition": f'attachment; filename="alert-{alert_id}.{form}"',
        "Cache-Control": "no-store",
        "X-Content-SHA256": str(found.manifest["sha256"]),
    }
    if form == "zip":
        return Response(_archive(alert_id, found), media_type=ARCHIVE_TYPE, headers=headers)
    return Response(found.file, media_type=MEDIA_TYPE, headers=headers)


def _archive(alert_id: str, found: Evidence) -> bytes:
    """File and manifest; the packets as they are, for their hash is in the manifest."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"alert-{alert_id}.pcapng", found.file)
        archive.writestr(f"alert-{alert_id}.json", json.dumps(dict(found.manifest), indent=1) + "\n")
    return written.getvalue()
