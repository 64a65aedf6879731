"""Process points as the API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.points import service
from api.points.schemas import Expected, Point, PointPage, Writer
from api.points.service import WRITERS
from api.times import iso

if TYPE_CHECKING:
    from api.points.service import Found
    from api.records.span import Span
    from detection.site import Site


def page(site_name: str, span: Span, found: Found, site: Site) -> PointPage:
    """A page of points."""
    writers, readers = service.rows_by_point(found.writers), service.rows_by_point(found.readers)
    learned = {(row[0], row[1]): (row[2], row[3]) for row in found.expected.iter_rows()}
    normal = None if found.normal is None else set(found.normal.iter_rows())
    items: list[Point] = []
    for row in found.points.iter_rows(named=True):
        server, point, protocol = row["server.ip"], row["point.id"], row["network.protocol"]
        place = (server, point)
        expected = _expected(service.of_site_file(site, server, point), learned.get(place))
        wrote = writers[place].sort("last", descending=True).head(WRITERS).to_dicts() if place in writers else []
        unit = service.unit_of(point, protocol)
        items.append(
            Point(
                server=server or None,
                point=point,
                protocol=protocol,
                values=row["rows"],
                first=iso(row["first"]),
                last=iso(row["last"]),
                latest=row["latest point.number"],
                least=row["least point.number"],
                greatest=row["greatest point.number"],
                readers=readers[place].height if place in readers else 0,
                writers=[
                    Writer(
                        client=each["client.ip"],
                        values=each["rows"],
                        latest=each["latest point.number"],
                        last=iso(each["last"]),
                        expected=None if normal is None else (each["client.ip"], server, unit) in normal,
                    )
                    for each in wrote
                ],
                expected=expected,
                outside=_outside(row, expected),
            )
        )
    return PointPage(
        site=site_name, since=iso(span.since), until=iso(span.until), items=items, next=found.cursor, limited=found.limited
    )


def _expected(of_site: tuple[float, float] | None, learned: tuple[float, float] | None) -> Expected | None:
    """What the site says goes before what was learned."""
    if of_site is not None:
        return Expected(least=of_site[0], greatest=of_site[1], origin="site")
    return None if learned is None else Expected(least=learned[0], greatest=learned[1], origin="learned")


def _outside(row: dict[str, Any], expected: Expected | None) -> bool | None:
    if expected is None or row["least point.number"] is None:
        return None
    return row["least point.number"] < expected.least or row["greatest point.number"] > expected.greatest
