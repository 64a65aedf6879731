"""Registered assets: found, made, changed, removed, taken from files."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from pydantic import ValidationError

from api.assets.addresses import is_hardware, normal
from api.assets.importing import reason_of
from api.assets.models import CRITICALITIES, Asset, AssetAddress
from api.assets.schemas import AssetInput, ImportedItem
from api.audit import service as audit
from api.database import row_of
from api.pages import read_cursor, write_cursor
from api.problems import Problem
from api.times import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.assets.importing import Given
    from api.assets.models import Source
    from api.assets.schemas import AssetQuery
    from api.audit.service import Actor

MOST: Final = 20_000
"""Most assets of a site."""


PART: Final = 500
"""Assets of a file that are taken over in one transaction, so that others who write need not wait long."""

PAUSE_SECONDS: Final = 0.1
"""Time between two of them: as long as SQLite sleeps, at most, before it looks again whether it may write."""

AT_ONCE: Final = 1_000
"""Values that one statement names."""


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
        named = replace(query.address, values=tuple(_written(each) for each in query.address.values))
        conditions.append(named.on_one_of(Asset.id, AssetAddress.asset_id, AssetAddress.address))
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
    made = _made(given, site, actor, ("people", ""))
    session.add(made)
    _move(session, site, [_Change(made, [], (), made.addresses)])
    return made


def change(session: Session, asset: Asset, given: AssetInput, actor: Actor) -> list[str]:
    """Put other values in the place of an asset's; returns which differ. Raises Problem `asset_address_taken`.

    The caller writes the audit trail's entry.
    """
    _check_free(given.addresses, _owners(session, asset.site, given.addresses), asset.id)
    change = _changed(asset, given, actor)
    _move(session, asset.site, [change])
    return change.differ


def remove(session: Session, asset: Asset) -> None:
    """Take an asset off the register. The caller writes the audit trail's entry."""
    session.execute(sa.delete(AssetAddress).where(AssetAddress.asset_id == asset.id))
    session.delete(asset)
    session.flush()


def fields(asset: Asset) -> dict[str, Any]:
    """What people say of an asset, as they give it."""
    said = {name: getattr(asset, name) for name in AssetInput.model_fields}
    return {**said, "level": asset.level or None, "criticality": CRITICALITIES[asset.criticality]}


def tried(session: Session, given: Sequence[Given], site: str, source: Source, actor: Actor) -> list[ImportedItem]:
    """What `take` would do with all assets of a file. Nothing is written."""
    known = of_site(session, site)
    # What is done to them is done to nothing that is stored.
    session.expunge_all()
    register = _Register(known, len(known), site, source, actor, set())
    return [register.take(each) for each in given]


def take(  # noqa: PLR0913, PLR0917 - as `tried`, and what was before
    session: Session, given: Sequence[Given], site: str, source: Source, actor: Actor, seen: set[str]
) -> list[ImportedItem]:
    """Take some assets of a file over, each by itself, and write one entry in the audit trail.

    An asset is known again by what the file's system calls it, else by an address that it has, else by its name. Of one that is
    known only what the file says is changed. Nothing is removed.

    Args:
        session: the session.
        given: the assets, at most `PART`.
        site: their site.
        source: where they are from.
        actor: who takes them over.
        seen: assets that the file has told of already; those that it tells of now are added.
    """
    count = session.scalar(sa.select(sa.func.count(Asset.id)).where(Asset.site == site)) or 0
    register = _Register(_met(session, given, site, source), count, site, source, actor, seen)
    items = [register.take(each) for each in given]
    session.add_all(register.made)
    _move(session, site, register.changes)
    if register.told:
        audit.record(session, actor, "asset.import", site, {"source": source, "assets": register.told})
    return items


def _met(session: Session, given: Sequence[Given], site: str, source: Source) -> list[Asset]:
    """The assets of a site that may be those of a file, by name."""
    owners = _owners(session, site, {address for each in given for address in each.fields.get("addresses", ())})
    foreign = {each.foreign_id for each in given if each.foreign_id}
    found: dict[str, Asset] = {}
    for column, values, further in (
        (Asset.id, set(owners.values()), sa.true()),
        (Asset.name, {each.name for each in given if not each.reason}, sa.true()),
        (Asset.foreign_id, foreign, Asset.source == source),
    ):
        for some in _parts(values):
            asked = sa.select(Asset).where(Asset.site == site, column.in_(some), further)
            found |= {each.id: each for each in session.scalars(asked)}
    return sorted(found.values(), key=lambda each: (each.name, each.id))


@dataclass(frozen=True, slots=True)
class _Change:
    """What became of an asset: which of its fields differ, which addresses it has no more, and which it did not have."""

    asset: Asset
    differ: list[str]
    gone: Sequence[str]
    new: Sequence[str]


class _Register:
    """The assets of a site while those of a file are taken over: what is to be written, and nothing is written here.

    Args:
        known: the assets that those of the file may be.
        count: how many the site has.
        site: the site.
        source: where the file is from.
        actor: who takes it over.
        seen: assets that the file has told of already.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - where to, where from, by whom, and what is there
        self, known: Sequence[Asset], count: int, site: str, source: Source, actor: Actor, seen: set[str]
    ) -> None:
        self._site, self._actor, self._count, self._seen = site, actor, count, seen
        self._source: Source = source
        self._of_source = {each.foreign_id: each for each in known if each.source == source and each.foreign_id}
        self._of_name = {each.name: each for each in known}
        self._owners = {address: each.id for each in known for address in each.addresses}
        self._of_id = {each.id: each for each in known}
        self.made: list[Asset] = []
        self.changes: list[_Change] = []
        self.told: list[dict[str, Any]] = []
        """What the audit trail is told of each."""

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
        except ValidationError as error:
            return item.model_copy(update={"reason": reason_of(error)})
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
        made = _made(given, self._site, self._actor, (self._source, each.foreign_id))
        self._count += 1
        self._of_id[made.id] = made
        self._of_name.setdefault(made.name, made)
        self._owners |= dict.fromkeys(made.addresses, made.id)
        if each.foreign_id:
            self._of_source[each.foreign_id] = made
        self.made.append(made)
        self.changes.append(_Change(made, [], (), made.addresses))
        self.told.append({"asset": made.id, "outcome": "made", "fields": fields(made)})
        return made, "made", sorted(each.fields)

    def _change(self, found: Asset, each: Given) -> tuple[Asset, str, list[str]]:
        before = {**fields(found), "source": found.source, "foreign_id": found.foreign_id}
        said = {**fields(found), **each.fields}
        if "addresses" in each.fields:
            said["addresses"] = _joined(found.addresses, each)
        given = AssetInput.model_validate(said)
        _check_free(given.addresses, self._owners, found.id)
        change = _changed(found, given, self._actor)
        for address in change.gone:
            del self._owners[address]
        self._owners |= dict.fromkeys(found.addresses, found.id)
        if each.foreign_id and (found.source, found.foreign_id) != (self._source, each.foreign_id):
            if not change.differ:
                _touch(found, self._actor)
            found.source, found.foreign_id = self._source, each.foreign_id
            self._of_source[each.foreign_id] = found
            change.differ.append("source")
        if not change.differ:
            return found, "unchanged", []
        after = {**fields(found), "source": found.source, "foreign_id": found.foreign_id}
        differ = [name for name, value in after.items() if before[name] != value]
        told = {"before": {name: before[name] for name in differ}, "after": {name: after[name] for name in differ}}
        self.changes.append(change)
        self.told.append({"asset": found.id, "outcome": "changed", **told})
        return found, "changed", change.differ


def _joined(before: Sequence[str], each: Given) -> list[str]:
    """The addresses of an asset with those of a file, which take the place of those of their kind.

    Of a kind of which the file names none, and where it does not name all, those that were there stay.
    """
    named: list[str] = each.fields["addresses"]
    kinds = {is_hardware(address) for address in named} - ({False} if each.adds else set())
    joined = [*named, *(address for address in before if is_hardware(address) not in kinds and address not in named)]
    return list(before) if set(joined) == set(before) else joined


def _made(given: AssetInput, site: str, actor: Actor, origin: tuple[Source, str]) -> Asset:
    """A new asset, to be written with its addresses; `origin` is where from, and what it is called there."""
    moment = now()
    return Asset(
        id=uuid.uuid4().hex, site=site, version=1, source=origin[0], foreign_id=origin[1], made_at=moment, changed_at=moment,
        changed_by=actor.name, **_columns(given),
    )  # fmt: skip


def _changed(asset: Asset, given: AssetInput, actor: Actor) -> _Change:
    """Give an asset other values, to be written."""
    before, columns = fields(asset), _columns(given)
    gone = [address for address in asset.addresses if address not in columns["addresses"]]
    new = [address for address in columns["addresses"] if address not in asset.addresses]
    for name, value in columns.items():
        setattr(asset, name, value)
    after = fields(asset)
    differ = [name for name, value in after.items() if before[name] != value]
    if differ:
        _touch(asset, actor)
    return _Change(asset, differ, gone, new)


def _touch(asset: Asset, actor: Actor) -> None:
    asset.version += 1
    asset.changed_at, asset.changed_by = now(), actor.name


def _move(session: Session, site: str, changes: Sequence[_Change]) -> None:
    """Write assets, and to whom their addresses belong now: what is let go first, for another may have taken it."""
    session.flush()
    for some in _parts({address for change in changes for address in change.gone}):
        gone = sa.delete(AssetAddress).where(AssetAddress.site == site, AssetAddress.address.in_(some))
        # To look for them among all that the session knows takes longer than all else.
        session.execute(gone, execution_options={"synchronize_session": False})
    session.add_all(
        AssetAddress(site=site, address=address, asset_id=change.asset.id) for change in changes for address in change.new
    )
    session.flush()


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
    owners: dict[str, str] = {}
    for some in _parts(addresses):
        found = sa.select(AssetAddress.address, AssetAddress.asset_id).where(AssetAddress.site == site)
        owners |= {row.address: row.asset_id for row in session.execute(found.where(AssetAddress.address.in_(some)))}
    return owners


def _parts(values: Iterable[str]) -> Iterator[list[str]]:
    """Values in so many parts as statements can name."""
    listed = list(values)
    return (listed[start : start + AT_ONCE] for start in range(0, len(listed), AT_ONCE))


def _written(address: str) -> str:
    """An address as it is stored; what is none is none of an asset."""
    try:
        return normal(address)
    except ValueError:
        return address


def _check_free(addresses: Iterable[str], owners: Mapping[str, str], asset_id: str) -> None:
    """Whether addresses are no other asset's. Raises Problem `asset_address_taken`."""
    for address in addresses:
        if owners.get(address, asset_id) != asset_id:
            raise Problem("asset_address_taken", address=address, id=owners[address])
