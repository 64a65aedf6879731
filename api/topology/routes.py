"""`/api/topology`: who talks to whom, by protocol and operation, in so few nodes that a person can read it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.audit import service as audit
from api.openapi import problems
from api.records.span import PROBLEMS, of_query
from api.security.access import Caller, Provided, needs
from api.topology import presentation, service
from api.topology.collapsed import collapse
from api.topology.schemas import Topology, TopologyQuery
from api.zones import service as zones

router = APIRouter(prefix="/api/topology", tags=["topology"])

Reader = Annotated[Caller, needs("asset.read")]


@router.get("", responses=problems(*PROBLEMS))
def topology(query: Annotated[TopologyQuery, Query()], caller: Reader, provided: Provided) -> Topology:
    """Who talks to whom. Where devices are too many they are shown as their zones, networks or levels, and one of these opened.

    What was asked and never said a word (a scan leaves many such addresses) is one node. The audit trail says who asked for what.
    """
    with provided.database.read() as session:
        site, span = of_query(session, provided, query)
    flows, limited = service.flows(provided.records, span)
    operations, more = service.operations(provided.records, span)
    flows, operations = (service.of_protocols(rows, query.protocol) for rows in (flows, operations))
    with provided.database.read() as session:
        places = zones.places(session, provided.plans, site)
        addresses = {*flows["client"].unique(), *flows["server"].unique()}
        known = service.known(session, site, places, addresses)
    found = collapse(flows, operations, known, places, query.by, query.open, query.nodes)
    asked = query.model_dump(mode="json", exclude_defaults=True, exclude={"language"})
    audit.record_read(provided.database, caller.actor, "topology.query", site, asked)
    return presentation.output(site, span, found, limited=limited or more)
