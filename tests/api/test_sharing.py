"""STIX bundles of incidents and stories: as the standard has them, and without what is masked."""

from __future__ import annotations

import ipaddress
import json
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import pytest

from api.alerts import upserts
from api.sharing import masking
from api.sharing.markings import EXTENSION
from api.sharing.masking import MASKED, Mask
from tests.api.alerts import upsert
from tests.api.test_incidents import act, declare, done, lines, refused
from tests.api.test_topology import PLAN

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from api.sharing.masking import Kind
    from tests.api.conftest import Running

STIX: Any = import_module("stix2.v21")
VALIDATOR: Any = import_module("stix2validator")
HMI, PLC, VENDOR = "10.20.30.40", "10.20.30.41", "fd00:20::7"
SITE = "Riverside Waterworks"
SECRETS = {
    "addresses": (HMI, PLC, VENDOR, "00:1b:1b:12:34:56"),
    "names": ("Chlorine PLC", "Pump-House-HMI", SITE, "Dosing Cell", "SN-4711", "tank.level"),
    "people": ("lin.wei", "wu.jun", "Shift leader Zhao", "chen"),
    "texts": ("jumped twice", "took it to manual", "Writes to the dosing"),
}


def fill(served: Running) -> tuple[httpx.Client, int, str]:
    """An incident of a story, whose texts name all that there is to be hidden; a client that may share it; the story's id."""
    served.services.site = None
    with served.services.database.write() as session:
        told: dict[str, Any] = {
            "id": f"{1:032x}", "alerts": [f"{each:032x}" for each in (1, 2, 3)], "actors": [HMI], "targets": [PLC], "stages": [],
            "sentence": {
                "en": f"Since 08:12 UTC, {HMI} went against {PLC} and {VENDOR}: Discovery.",
                "zh-CN": f"自 08:12 UTC 起，{HMI} 针对 {PLC} 先后行动。",
            },
        }  # fmt: skip
        seen: list[tuple[str, str | None, list[str]]] = [
            (HMI, PLC, ["T0836", "T1692.001"]), (VENDOR, HMI, ["T0888"]), (HMI, None, []),
        ]  # fmt: skip
        for number, (client, server, techniques) in enumerate(seen, start=1):
            body = upsert(number).body
            texts = {
                language: body["texts"][language]
                | {"summary": f"{client} (Pump-House-HMI) wrote tank.level of {server}, 00:1B:1B:12:34:56, at 08:12:31."}
                for language in ("en", "zh-CN")
            }
            said = {**body, "texts": texts, "techniques": techniques, "story": told}
            upserts.apply(session, [upsert(number, client_ip=client, server_ip=server, body=said)], SITE)
    chen = served.signed_in("administrator", name="chen")
    zones = [{"name": "Dosing Cell", "networks": ["10.20.30.0/24"], "level": "1"}]
    answer = chen.put("/api/zones", json={**PLAN, "zones": zones, "conduits": []}, headers={"If-Match": '"0"'})
    assert answer.status_code == 200, answer.text
    for name, address, serial in (("Chlorine PLC", PLC, "SN-4711"), ("Pump-House-HMI", HMI, "SN-1")):
        made = {"name": name, "addresses": [address, *(["00:1b:1b:12:34:56"] if address == PLC else [])], "owner": "wu.jun"}
        assert chen.post("/api/assets", json={**made, "serial": serial}).status_code == 201
    lin = served.signed_in("responder", name="lin.wei")
    number = declare(
        lin, title=f"Writes to the dosing at {SITE}", story=f"{1:032x}", lead="wu.jun", reported_by="Shift leader Zhao",
        summary=f"The set point of the CHLORINE PLC ({PLC}) jumped twice, says Shift leader Zhao.",
        category="improper_operation.unauthorised_use",
    )["number"]  # fmt: skip
    line = {"at": "-1m", "text": f"wu.jun took it to manual at {HMI}, tank.level holds.", "source": "phone"}
    assert lin.post(f"/api/incidents/{number}/timeline", json=line).status_code == 201
    return lin, number, f"{1:032x}"


def share(client: httpx.Client, path: str, language: str = "en", **said: Any) -> dict[str, Any]:
    return done(client.post(f"/api/{path}/stix", json=said, params={"language": language}))


def texts_of(node: Any) -> Iterator[str]:
    """Every text of a bundle, whole."""
    if isinstance(node, dict):
        for name, value in cast("dict[str, Any]", node).items():
            yield name
            yield from texts_of(value)
    elif isinstance(node, list):
        for value in cast("list[Any]", node):
            yield from texts_of(value)
    else:
        yield str(node)


def holds(made: dict[str, Any], secret: str) -> bool:
    word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", re.IGNORECASE)
    return any(word.search(text) for text in texts_of(made))


def of_type(made: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each for each in made["objects"] if each["type"] == kind]


def valid(made: dict[str, Any]) -> None:
    """A bundle is STIX 2.1, and names nothing that is not in it."""
    result = VALIDATOR.validate_instance(json.loads(json.dumps(made)), VALIDATOR.ValidationOptions(version="2.1"))
    assert result.is_valid, [str(error) for error in result.errors]
    there = {each["id"] for each in made["objects"]}
    assert len(there) == len(made["objects"])
    for each in made["objects"]:
        for name, value in each.items():
            named: list[str] = value if name.endswith("_refs") else [value] if name.endswith("_ref") else []
            assert set(named) <= there, (each["id"], name)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_bundle_is_stix_and_whole_and_the_same_each_time_where_nothing_is_masked(
    system_running: Running, language: str
) -> None:
    client, number, story = fill(system_running)
    made = share(client, f"incidents/{number}", language, mask=[], tlp="amber+strict")
    valid(made)
    for secret in (HMI, PLC, VENDOR, "Chlorine PLC", SITE, "wu.jun", "took it to manual", "jumped twice", "tank.level"):
        assert holds(made, secret), secret
    (marking,) = of_type(made, "marking-definition")
    assert (marking["name"], marking["extensions"][EXTENSION]["tlp_2_0"]) == ("TLP:AMBER+STRICT", "amber+strict")
    assert all(each.get("object_marking_refs") == [marking["id"]] for each in made["objects"] if each is not marking)
    (traffic,) = [each for each in of_type(made, "network-traffic") if len(each.keys() & {"src_ref", "dst_ref"}) == 2
                  and each["src_ref"].startswith("ipv4")]  # fmt: skip
    one, other = (STIX.IPv4Address(value=address).id for address in (HMI, PLC))
    assert traffic["id"] == STIX.NetworkTraffic(src_ref=one, dst_ref=other, protocols=["ipv4"]).id
    patterns = {each["external_references"][0]["external_id"]: each for each in of_type(made, "attack-pattern")}
    assert patterns.keys() == {"T0836", "T1692.001", "T0888"}
    assert patterns["T1692.001"]["external_references"][0]["url"] == "https://attack.mitre.org/techniques/T1692/001"
    assert {phase["kill_chain_name"] for each in patterns.values() for phase in each["kill_chain_phases"]} == {"mitre-ics-attack"}
    assert len(of_type(made, "sighting")) == 3
    assert len(of_type(made, "observed-data")) == 3
    (incident,) = of_type(made, "incident")
    assert (incident["name"], incident["lang"]) == (f"Writes to the dosing at {SITE}", language)
    again = share(client, f"incidents/{number}", language, mask=[], tlp="amber+strict")
    assert {each["id"] for each in again["objects"]} == {each["id"] for each in made["objects"]}
    assert [each["created"] for each in of_type(again, "incident")] == [incident["created"]]
    told = share(client, f"stories/{story}", language, mask=[])
    valid(told)
    assert {each["id"] for each in of_type(told, "observed-data")} == {each["id"] for each in of_type(made, "observed-data")}
    assert (len(of_type(told, "incident")), HMI in of_type(told, "grouping")[0]["name"]) == (0, True)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_what_is_masked_is_nowhere_in_the_bundle(system_running: Running, language: str) -> None:
    client, number, story = fill(system_running)
    for path in (f"incidents/{number}", f"stories/{story}"):
        for mask in (list(MASKED), *([each] for each in MASKED), ["addresses", "names", "people"], ["names", "people"]):
            made = share(client, path, language, mask=mask)
            valid(made)
            for what in mask:
                # What people wrote may name what the system knows nothing of; only leaving it out hides that.
                known = [each for each in SECRETS[what] if "texts" in mask or each != "tank.level"]
                assert [secret for secret in known if holds(made, secret)] == [], (path, mask)
    open_to_all = share(client, f"incidents/{number}", language, mask=["people"])
    assert holds(open_to_all, HMI)
    assert holds(open_to_all, "Chlorine PLC")


def test_pseudonyms_are_the_same_within_a_bundle_and_lead_nowhere(system_running: Running) -> None:
    client, number, _ = fill(system_running)
    made = share(client, f"incidents/{number}", mask=["addresses"])
    addresses = [each["value"] for kind in ("ipv4-addr", "ipv6-addr") for each in of_type(made, kind)]
    assert len(set(addresses)) == len(addresses) == 3
    nobodys = [ipaddress.ip_network(each) for each in ("198.18.0.0/15", "2001:db8::/32")]
    assert all(any(ipaddress.ip_address(each) in network for network in nobodys) for each in addresses)
    system = {each["name"]: each["id"] for each in of_type(made, "identity") if each["identity_class"] == "system"}
    links = {each["source_ref"]: each["target_ref"] for each in of_type(made, "relationship")}
    values = {each["id"]: each["value"] for kind in ("ipv4-addr", "ipv6-addr") for each in of_type(made, kind)}
    (incident,) = of_type(made, "incident")
    assert values[links[system["Chlorine PLC"]]] in incident["description"], "the text names what the device has"
    again = share(client, f"incidents/{number}", mask=["addresses"])
    ours = {each["id"] for each in made["objects"]} & {each["id"] for each in again["objects"]}
    kinds = {identity.split("--")[0] for identity in ours}
    # What is known to everybody is the same: techniques, the marking, addresses that are nobody's.
    assert kinds <= {"attack-pattern", "marking-definition", "ipv4-addr", "ipv6-addr", "network-traffic"}


def test_texts_are_masked_word_by_word_and_no_pseudonym_is_an_address_that_there_is() -> None:
    names: list[tuple[str, Kind]] = [("lin", "person"), ("PLC 10.0.0.5", "device"), ("一号泵站", "place"), ("Lin", "place")]
    mask = Mask(MASKED, names, {"198.18.0.1", "10.0.0.5"})
    assert mask.address("10.0.0.5") == "198.18.0.2"
    assert mask.text("10.0.0.5, 10.0.0.5. ::ffff:10.0.0.5 and fe80::1; 10.0.0.0/8 at 08:12:31") == (
        "198.18.0.2, 198.18.0.2. 2001:db8::1 and 2001:db8::2; 198.18.0.3/8 at 08:12:31"
    )
    assert mask.text("Lin drew a line to plc 10.0.0.5 of 一号泵站站房") == "person-1 drew a line to device-1 of place-1站房"
    assert mask.text("00-1B-1b-12-34-56 00:1b:1b:12:34:56") == "02:00:00:00:00:01 02:00:00:00:00:01"
    assert mask.text("10.0.0.5:502 [fe80::1]:4840") == "198.18.0.2:502 [2001:db8::2]:4840"
    assert Mask([], names, set()).text("lin at 10.0.0.5") == "lin at 10.0.0.5"
    # What is called so is hidden whichever of the two is.
    assert [Mask([what], names, set()).text("lin") for what in ("people", "names")] == ["person-1", "place-1"]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("10.0.0.5:502: refused", "4:502: refused"),
        ("10.0.0.5:502:1", "4:502:1"),
        ("10.0.0.5.502 > 10.0.0.6", "4.502 > 4"),
        ("host=10.0.0.5,", "host=4,"),
        ("地址10.0.0.5端口", "地址4端口"),
        ("00:1b:1b:12:34:56: new device", "h: new device"),
        ("mac:00:1b:1b:12:34:56", "mac:h"),
        ("ac:00:1b:1b:12:34", "h"),
        ("00:1b:1b:12:34:56:502", "h:502"),
        ("001b.1b12.3456", "h"),
        ("mac 001b1b123456,", "mac h,"),
        ("2001:db8:0:0:0:0:0:1:502", "6:502"),
        ("host:2001:db8::1", "host:6"),
        ("IPv6:fe80::1: gone", "IPv6:6: gone"),
        ("fe80::1%eth0 fe80::", "6%eth0 6"),
        ("::ffff:10.0.0.5", "6"),
        ("at 08:12:31, 2026-11-30T08:12:31.123Z", "at 08:12:31, 2026-11-30T08:12:31.123Z"),
        ("std::string a::", "std::string 6"),
        ("1.2.3 of 1234.5678", "1.2.3 of 1234.5678"),
    ],
)
def test_an_address_is_found_whatever_stands_around_it(written: str, told: str) -> None:
    text = Mask(["addresses"], [], set()).text(written)
    for form, sign in ((r"198\.18\.0\.\d", "4"), (r"2001:db8::\d", "6"), (r"02(:00){4}:01", "h")):
        text = re.sub(form, sign, text)
    assert text == told


def test_masking_takes_time_in_proportion_to_what_is_masked() -> None:
    """Work is counted, not time: how often a name is looked at, and how often something is tried as an address."""
    tried: list[int] = []
    names: list[tuple[str, Kind]] = [(f"Pump {number} of line {number}", "device") for number in range(20_000)]
    mask = Mask(["names", "addresses"], names, set())
    with pytest.MonkeyPatch.context() as patched:
        looked = masking._end_of_version_6  # pyright: ignore[reportPrivateUsage]  what is counted

        def counted(text: str, at: int) -> int:
            tried.append(at)
            return looked(text, at)

        patched.setattr(masking, "_end_of_version_6", counted)
        assert mask.text("a." * 5_000) == "a." * 5_000
    assert len(tried) <= 10_000
    assert mask.text("Pump 19999 of line 19999, pump 7 of line 8. " * 100).count("device-1") == 100


def test_who_shares_what_is_on_record_and_a_drill_is_never_shared(system_running: Running) -> None:
    client, number, story = fill(system_running)
    share(client, f"incidents/{number}", mask=["addresses"], tlp="green")
    share(client, f"stories/{story}")
    line = lines(client, number)[-1]
    assert (line["kind"], line["actor"], line["detail"]["tlp"]) == ("shared", "lin.wei", "TLP:GREEN")
    assert (line["detail"]["masked"], len(line["detail"]["sha256"])) == ("addresses", 64)
    audited = system_running.sign_in("chen").get("/api/audit", params={"limit": 500}).json()["items"]
    (told,) = [each for each in audited if each["action"] == "story.shared"]
    assert (told["subject"], told["detail"]["masked"]) == (story, "addresses, names, people, texts")
    drill = declare(client, title="Exercise", reported_by="phone", site=SITE, drill=True)["number"]
    assert refused(client.post(f"/api/incidents/{drill}/stix", json={})) == "drill_stays"
    assert refused(client.post(f"/api/stories/{'f' * 32}/stix", json={})) == "story_unknown"
    assert refused(system_running.signed_in("operator").post(f"/api/incidents/{number}/stix", json={})) == "forbidden"
    assert done(act(client, number, "move", {"to": "analysing", "reason": "on"}))["state"] == "analysing"
