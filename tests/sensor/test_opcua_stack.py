"""OPC UA as a real client and server (asyncua) speak it in every security mode: what records tell, and what they must not."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import TYPE_CHECKING

import polars as pl
import pytest

from sensor import _core
from tests.sensor.opcua_plant import PASSWORD, USER, capture

if TYPE_CHECKING:
    from pathlib import Path

MODES = ("None", "Sign", "SignAndEncrypt")


@pytest.fixture(scope="module", params=MODES)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A mode, and the capture of it."""
    folder = tmp_path_factory.mktemp(request.param)
    path = folder / "work.pcap"
    path.write_bytes(asyncio.run(capture(folder, request.param)))
    return request.param, path


def rows(path: Path, table: str) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(batch) for batch in _core.Reader(str(path)) if batch.table == table])


def test_calls_and_operands_are_told_unless_encryption_hides_them(seen: tuple[str, Path]) -> None:
    mode, path = seen
    calls = rows(path, "opcua").filter(pl.col("opcua.message_type") == "message")
    word = {"None": "none", "Sign": "sign", "SignAndEncrypt": "sign_and_encrypt"}[mode]
    # A client asks for the endpoints on a channel without security first.
    main = calls.filter(pl.col("opcua.channel_id") == calls["opcua.channel_id"].mode()[0])
    assert set(main["opcua.security_mode"].to_list()) == {word}
    assert set(main["opcua.security_policy"].to_list()) == {"None" if mode == "None" else "Basic256Sha256"}
    assert set(main["opcua.encrypted"].to_list()) == {mode == "SignAndEncrypt"}
    if mode == "SignAndEncrypt":
        assert main["opcua.service"].null_count() == main.height
        assert set(main["opcua.pairing"].to_list()) == {"request", "response"}
        return
    services = set(main["opcua.service"].to_list())
    assert {"CreateSession", "ActivateSession", "Read", "Write", "Browse", "Call", "CreateMonitoredItems", "Publish"} <= services
    activation = main.row(by_predicate=pl.col("opcua.service") == "ActivateSession", named=True)
    assert (activation["opcua.user_token"], activation["opcua.user_name"]) == ("user_name", USER)
    assert main.filter(pl.col("opcua.service") != "Publish").filter(pl.col("opcua.pairing") != "both").is_empty()
    items = rows(path, "opcua_item")
    level = items.filter(pl.col("opcua.node_id").cast(pl.String).str.ends_with(";s=Tank.Level"))
    found = {(row["opcua.kind"], row["opcua.number"]) for row in level.iter_rows(named=True) if row["opcua.attribute"] == "Value"}
    assert {("read", 1.5), ("write", 42.25), ("notify", 1.5), ("notify", 42.25), ("monitor", None)} <= found
    assert set(level.filter(pl.col("opcua.kind") == "notify")["opcua.name"].to_list()) == {"Level"}
    call = items.row(by_predicate=pl.col("opcua.kind") == "call", named=True)
    assert (call["opcua.arguments"], call["opcua.results"], call["opcua.status"]) == (["21.0"], ["42.0"], "Good")
    points = rows(path, "point").filter(pl.col("point.id").cast(pl.String).str.ends_with("Tank.Level"))
    assert points["point.number"].to_list()[:2] == [1.5, 42.25]


def test_both_parties_show_their_certificates(seen: tuple[str, Path]) -> None:
    mode, path = seen
    if mode == "None":
        assert rows(path, "opcua")["opcua.certificate"].null_count() == rows(path, "opcua").height
        return
    opening = rows(path, "opcua").row(
        by_predicate=(pl.col("opcua.message_type") == "open") & (pl.col("opcua.security_policy") == "Basic256Sha256"), named=True
    )
    assert opening["opcua.certificate_subject"] == "O=Plant,CN=client"
    assert opening["opcua.certificate_issuer"] == "O=Plant,CN=client"
    assert opening["opcua.server_certificate_subject"] == "O=Plant,CN=server"
    assert (opening["opcua.certificate_key_bits"], opening["opcua.certificate_signature"]) == (2048, "sha256WithRSAEncryption")
    assert opening["opcua.certificate_not_before"] < opening["ts"] < opening["opcua.certificate_not_after"]
    assert (opening["opcua.pairing"], opening["opcua.encrypted"]) == ("both", True)


def test_the_server_says_what_it_is(seen: tuple[str, Path]) -> None:
    mode, path = seen
    told = rows(path, "device").select("device.ip", "device.attribute", "device.value")
    facts = set(told.iter_rows())
    assert ("10.20.2.11", "role", "opcua server") in facts
    if mode != "SignAndEncrypt":
        assert ("10.20.2.11", "name", "Tank server") in facts


def stored(column: pl.Series) -> bytes:
    """A column as it is stored, values and dictionary."""
    buffer = io.BytesIO()
    column.to_frame().write_ipc_stream(buffer, compression="uncompressed")
    return buffer.getvalue()


def test_a_password_never_leaves_the_core(seen: tuple[str, Path]) -> None:
    mode, path = seen
    secret = PASSWORD.encode()
    assert (secret in path.read_bytes()) == (mode == "None"), "without security the password is in the capture"
    shapes = (secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"="), secret[:8], secret[-8:])
    columns = 0
    for batch in _core.Reader(str(path)):
        for column in pl.DataFrame(batch):
            columns += 1
            data = stored(column)
            assert not any(shape in data for shape in shapes), f"{batch.table}: {column.name}"
    assert columns > 100
    if mode != "SignAndEncrypt":
        assert USER.encode() in stored(rows(path, "opcua")["opcua.user_name"]), "what is stored can be found"
    kinds = rows(path, "violation")["violation.kind"].to_list() if mode == "None" else []
    assert ("user_secret_in_clear" in kinds) == (mode == "None")
