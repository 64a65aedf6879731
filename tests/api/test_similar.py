"""Alerts of the past that are like one, and how they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.alerts import upserts
from tests.api.alerts import upsert
from tests.api.test_alerts import decide

if TYPE_CHECKING:
    from tests.api.conftest import Running


def test_closed_alerts_that_are_like_one_are_told_with_how_they_ended_the_most_alike_first(system_running: Running) -> None:
    same: dict[str, Any] = {"client_ip": "10.0.0.1", "server_ip": "10.0.1.1"}
    aimed = {**upsert(0).body, "target": {"modbus.unit_id": "3"}}
    other = {**upsert(0).body, "techniques": ["T0888"]}
    system_running.alerts(
        upsert(1, **same, body=aimed), upsert(2, **same, body=aimed), upsert(3, **same),
        upsert(4, client_ip="10.0.0.9", server_ip="10.0.1.9"), upsert(5, rule="sweep", body=other, **same),
        upsert(6, rule="sweep", client_ip="10.0.0.9", body=other), upsert(7, **same), upsert(8, client_ip="10.0.0.8"),
    )  # fmt: skip
    with system_running.services.database.write() as session:
        upserts.apply(session, [upsert(9, **same)], "elsewhere")
    client = system_running.signed_in(name="lin")
    closed = {"disposition": "authorised_work", "note": "as ordered", "permit": "WP-1"}
    for number in (8, 6, 5, 4, 3, 2, 9):
        said = closed if number in {2, 3, 9} else {"disposition": "false_positive", "note": "x"}
        assert decide(client, number, "close", said).status_code == 200
    found = client.get(f"/api/alerts/{1:032x}/similar", params={"language": "zh-CN"}).json()
    # 6 has the server alone in common, 7 is open, 9 is of another site.
    assert [(int(each["id"], 16), each["alike"]) for each in found["alerts"]] == [
        (2, ["rule", "client", "server", "target", "technique"]), (3, ["rule", "client", "server", "technique"]),
        (8, ["rule", "server", "technique"]), (5, ["client", "server"]), (4, ["rule", "technique"]),
    ]  # fmt: skip
    assert found["ended"] == {"authorised_work": 2, "false_positive": 3}
    first = found["alerts"][0]
    assert (first["title"], first["by"], first["permit"], first["note"]) == ("告警 0", "lin", "WP-1", "as ordered")
    assert client.get("/api/alerts/x/similar").json()["code"] == "alert_unknown"
