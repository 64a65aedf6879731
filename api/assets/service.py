"""Registered assets: found, made, changed, removed, taken from files."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.assets.models import CRITICALITIES, Asset, AssetAddress
from api.assets.schemas import AssetInput, ImportedItem
from api.audit import service as audit
from api.database import row_of
from api.pages import read_cursor, write_cursor
from api.problems import Problem
from api.times import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.assets.importing import Given
    from api.assets.models import Source
    from api.assets.schemas import AssetQuery
    from api.audit.service import Actor

MOST: Final = 20_000
"""Most assets of a site."""


class Trial(Exception):  # noqa: N818 - named for what it ends
    """Ends a transaction of which nothing is to stay."""


def find(session: Session, query: AssetQuery) -> tuple[Sequence[Asset], str | None]:
    """One page of assets by name, and the cursor of the next one."""
    conditions: list[sa.ColumnElement[bool]] = []
    for asked, column in (
        (query.site, Asset.site),
        (query.role, Asset.role),
        (query.zone, Asset.zone),
        (query.level, Asset.level),
        (query.owner, Asset.owner),
        (query.source, Asset.source),
    ):
        if asked is not None:
            conditions.append(asked.on(column))
    if query.criticality is not None:
        conditions.append(query.criticality.on(Asset.criticality, CRITICALITIES.index))
    if query.address is not None:
        conditions.append(Asset.id.in_(sa.select(AssetAddress.asset_id).where(query.address.on(AssetAddress.address))))
    if query.updated_since is not None:
        conditions.append(Asset.changed_at >= query.updated_since)
    question = query.question()
    statement = sa.select(Asset).where(*conditions)
    if query.cursor is not None:
        place = sa.tuple_(*read_cursor(question, query.cursor, (str, str)))
        statement = statement.where(sa.tuple_(Asset.name, Asset.id) > place)
    rows = session.scalars(statement.order_by(Asset.name, Asset.id).limit(query.limit + 1)).all()
    if len(rows) <= query.limit:
        return rows, None
    last = rows[query.limit - 1]
    return rows[: query.limit], write_cursor(question, last.name, last.id)


def of_site(session: Session, site: str) -> Sequence[Asset]:
    """All assets of a site, by name."""
    return session.scalars(sa.select(Asset).where(Asset.site == site).order_by(Asset.name, Asset.id)).all()


def get(session: Session, asset_id: str) -> Asset:
    """One asset. Raises Problem `asset_unknown`."""
    asset = row_of(session, Asset, asset_id)
    if asset is None:
        raise Problem("asset_unknown", id=asset_id)
    return asset


def etag(asset: Asset) -> str:
    """The entity tag of an asset: its version."""
    return f'"{asset.version}"'


def check_precondition(asset: Asset, if_match: str | None) -> None:
    """Whether a change was made on what it is now. Raises Problem `precondition_required` or `precondition_failed`."""
    if if_match is None:
        raise Problem("precondition_required")
    if etag(asset) not in [tag.strip() for tag in if_match.split(",")] and if_match.strip() != "*":
        raise Problem("precondition_failed", by=asset.changed_by)


def make(session: Session, given: AssetInput, site: str, actor: Actor) -> Asset:
    """Register an asset. The caller writes the audit trail's entry. Raises Problem `asset_address_taken`, `assets_full`."""
    count = session.scalar(sa.select(sa.func.count(Asset.id)).where(Asset.site == site)) or 0
    if count >= MOST:
        raise Problem("assets_full", most=MOST)
    _check_free(given.addresses, _owners(session, site, given.addresses), "")
    made = _made(session, given, site, actor, ("people", ""))
    session.flush()
    return made


def change(session: Session, asset: Asset, given: AssetInput, actor: Actor) -> list[str]:
    """Put other values in the place of an asset's; returns which differ. Raises Problem `asset_address_taken`.

    The caller writes the audit trail's entry.
    """
    _check_free(given.addresses, _owners(session, asset.site, given.addresses), asset.id)
    differ = _changed(session, asset, given, actor)
    session.flush()
    return differ


def remove(session: Session, asset: Asset) -> None:
    """Take an asset off the register. The caller writes the audit trail's entry."""
    session.execute(sa.delete(AssetAddress).where(AssetAddress.asset_id == asset.id))
    session.delete(asset)
    session.flush()


def fields(asset: Asset) -> dict[str, Any]:
    """What people say of an asset, as they give it."""
    said = {name: getattr(asset, name) for name in AssetInput.model_fields}
    return {**said, "level": asset.level or None, "criticality": CRITICALITIES[asset.criticality]}


def take(session: Session, given: Sequence[Given], site: str, source: Source, actor: Actor) -> list[ImportedItem]:
    """Take the assets of a file over, each by itself, and write one entry in the audit trail.

    An asset is known again by what the file's system calls it, else by an address that it has, else by its name. Of one that is
    known only what the file says is changed. Nothing is removed.
    """
    register = _Register(session, site, source, actor)
    items = [register.take(each) for each in given]
    told = [{"asset": item.asset, "outcome": item.outcome} for item in items if item.outcome in {"made", "changed"}]
    session.flush()
    if told:
        audit.record(session, actor, "asset.import", site, {"source": source, "assets": told})
    return items


class _Register:
    """The assets of a site while those of a file are taken over. What it knows it does not ask the database for each of them."""

    def __init__(self, session: Session, site: str, source: Source, actor: Actor) -> None:
        self._session, self._site, self._actor = session, site, actor
        self._source: Source = source
        known = of_site(session, site)
        self._count = len(known)
        self._of_source = {each.foreign_id: each for each in known if each.source == source and each.foreign_id}
        self._of_name = {each.name: each for each in known}
        self._owners = {address: each.id for each in known for address in each.addresses}
        self._of_id = {each.id: each for each in known}
        self._seen: set[str] = set()

    def take(self, each: Given) -> ImportedItem:
        """What became of one asset of the file."""
        found = self._known(each)
        item = ImportedItem(place=each.place, name=each.name, asset=None if found is None else found.id, outcome="refused")
        if each.reason:
            return item.model_copy(update={"reason": each.reason})
        if found is not None and found.id in self._seen:
            return item.model_copy(update={"reason": "the file has this asset twice"})
        try:
            asset, outcome, differ = self._make(each) if found is None else self._change(found, each)
        except Problem as problem:
            reason = ", ".join(map(str, problem.values.values()))
            return item.model_copy(update={"reason": f"{problem.code}: {reason}"})
        self._seen.add(asset.id)
        return item.model_copy(update={"asset": asset.id, "outcome": outcome, "fields": differ})

    def _known(self, each: Given) -> Asset | None:
        if each.foreign_id in self._of_source:
            return self._of_source[each.foreign_id]
        owners = (self._owners.get(address) for address in each.fields.get("addresses", ()))
        owner = next((owner for owner in owners if owner is not None), None)
        return self._of_name.get(each.name) if owner is None else self._of_id[owner]

    def _make(self, each: Given) -> tuple[Asset, str, list[str]]:
        if self._count >= MOST:
            raise Problem("assets_full", most=MOST)
        given = AssetInput.model_validate(each.fields)
        made = _made(self._session, given, self._site, self._actor, (self._source, each.foreign_id))
        self._count += 1
        self._of_id[made.id] = made
        self._of_name.setdefault(made.name, made)
        self._owners |= dict.fromkeys(made.addresses, made.id)
        if each.foreign_id:
            self._of_source[each.foreign_id] = made
        return made, "made", sorted(each.fields)

    def _change(self, found: Asset, each: Given) -> tuple[Asset, str, list[str]]:
        given = AssetInput.model_validate({**fields(found), **each.fields})
        _check_free(given.addresses, self._owners, found.id)
        before = found.addresses
        differ = _changed(self._session, found, given, self._actor)
        for address in set(before) - set(found.addresses):
            del self._owners[address]
        self._owners |= dict.fromkeys(found.addresses, found.id)
        if each.foreign_id and (found.source, found.foreign_id) != (self._source, each.foreign_id):
            found.source, found.foreign_id = self._source, each.foreign_id
            self._of_source[each.foreign_id] = found
        return found, "changed" if differ else "unchanged", differ


def _made(session: Session, given: AssetInput, site: str, actor: Actor, origin: tuple[Source, str]) -> Asset:
    """A new asset, to be written; `origin` is where from, and what it is called there."""
    moment = now()
    asset = Asset(
        id=uuid.uuid4().hex, site=site, version=1, source=origin[0], foreign_id=origin[1], made_at=moment, changed_at=moment,
        changed_by=actor.name, **_columns(given),
    )  # fmt: skip
    session.add(asset)
    session.add_all(AssetAddress(site=site, address=address, asset_id=asset.id) for address in asset.addresses)
    return asset


def _changed(session: Session, asset: Asset, given: AssetInput, actor: Actor) -> list[str]:
    """Give an asset other values, to be written; returns which differ."""
    before, columns = fields(asset), _columns(given)
    gone = [address for address in asset.addresses if address not in columns["addresses"]]
    new = [address for address in columns["addresses"] if address not in asset.addresses]
    for name, value in columns.items():
        setattr(asset, name, value)
    after = fields(asset)
    differ = [name for name, value in after.items() if before[name] != value]
    if differ:
        asset.version += 1
        asset.changed_at, asset.changed_by = now(), actor.name
    if gone:
        mine = AssetAddress.asset_id == asset.id
        session.execute(sa.delete(AssetAddress).where(mine, AssetAddress.address.in_(gone)))
    session.add_all(AssetAddress(site=asset.site, address=address, asset_id=asset.id) for address in new)
    return differ


def _columns(given: AssetInput) -> dict[str, Any]:
    """The columns that people give."""
    said = given.model_dump(include=set(AssetInput.model_fields))
    return {
        **said,
        "addresses": list(dict.fromkeys(given.addresses)),
        "level": given.level or "",
        "criticality": CRITICALITIES.index(given.criticality),
    }


def _owners(session: Session, site: str, addresses: Iterable[str]) -> dict[str, str]:
    """Which assets of a site have these addresses."""
    found = sa.select(AssetAddress.address, AssetAddress.asset_id).where(AssetAddress.site == site)
    return {row.address: row.asset_id for row in session.execute(found.where(AssetAddress.address.in_(list(addresses))))}


def _check_free(addresses: Iterable[str], owners: Mapping[str, str], asset_id: str) -> None:
    """Whether addresses are no other asset's. Raises Problem `asset_address_taken`."""
    for address in addresses:
        if owners.get(address, asset_id) != asset_id:
            raise Problem("asset_address_taken", address=address, id=owners[address])
