"""Captures are incomplete: requests without answers, one side of a conversation, a late start, lost packets."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from scapy.layers.inet import IP, TCP
from scapy.utils import PcapReader, PcapWriter

from detection.captures import detect
from detection.pipeline import Pipeline
from detection.sigma.check import test_capture as capture_of
from detection.sigma.check import test_site as site_of
from detection.sigma.rule import load, rules_folder
from detection.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from detection.sigma.rule import Rule

RULES: Final = load([rules_folder()])

PROTOCOLS: Final = [rule for rule in RULES if rule.alerts and rule.path.parent.name in {"modbus", "opcua"}]

ABOUT_ANSWERS: Final = {
    "acknowledge_exceptions",
    "busy_exceptions",
    "device_failure_exceptions",
    "gateway_exceptions_for_many_units",
    "gateway_target_lost",
    "illegal_address_exceptions",
    "illegal_function_exceptions",
    "illegal_value_exceptions",
    "opcua_anonymous_sign_in",
    "opcua_better_security_not_used",
    "opcua_default_account",
    "opcua_error_messages",
    "opcua_message_size_abuse",
    "opcua_much_sent_little_answered",
    "opcua_node_id_sweep",
    "opcua_server_certificate_changed",
    "opcua_service_faults",
    "opcua_sessions_exhausted",
    "opcua_sign_in_guessing",
    "opcua_stack_trace_in_answer",
    "opcua_subscription_of_another_session",
    "opcua_values_turn_bad",
    "opcua_writes_refused",
    "response_mismatch",
    "two_different_answers",
    "unsolicited_response",
    "unusual_port",
    "writes_refused",
}
"""Rules about what servers say: what they offer, accept, refuse, answer or number. All others need requests only."""

UNASKED: Final = {"unsolicited_response", "opcua_sequence_violation", "transaction_reused", "two_different_answers"}
"""Rules that a lost packet must not fire."""

BUSY: Final = [
    rule
    for rule in PROTOCOLS
    if rule.name
    in {"coil_toggled", "illegal_address_exceptions", "second_client_for_unit", "opcua_node_id_sweep", "opcua_writes_refused"}
]
"""Rules whose quiet traffic has many exchanges that go right."""

Packets = list[Any]


def packets(rule: Rule, kind: str = "fires") -> Packets:
    with PcapReader(str(capture_of(rule, kind))) as reader:
        return list(reader)


def written(path: Path, kept: Packets) -> str:
    with PcapWriter(str(path), linktype=1) as writer:
        for packet in kept:
            writer.write(packet)
    return str(path)


def clients(taken: Packets) -> set[tuple[str, int]]:
    """Who opens connections."""
    return {(each[IP].src, each[TCP].sport) for each in taken if TCP in each and each[TCP].flags == "S"}


def fired(capture: str, pipeline: Pipeline) -> set[str]:
    alerts, _ = detect(capture, pipeline)
    return {alert.rule for alert in alerts}


def pipeline_of(rule: Rule) -> Pipeline:
    """The rule with those that it rests on, as where nothing is learned: some are silent where something is."""
    rule = replace(rule, section=rule.section.model_copy(update={"unless_learned": False}))
    wanted = [rule]
    for each in wanted:
        wanted += [other for other in RULES if {other.name, other.id} & set(each.sources) and other not in wanted]
    return Pipeline.of([each if each is rule else each.feeding() for each in wanted], site_of(rule))


@pytest.mark.parametrize("rule", PROTOCOLS, ids=lambda rule: rule.name)
def test_an_attack_is_named_from_its_requests_alone(rule: Rule, tmp_path: Path) -> None:
    taken = packets(rule)
    asking = clients(taken)
    requests = [each for each in taken if TCP not in each or (each[IP].src, each[TCP].sport) in asking]
    found = fired(written(tmp_path / "requests.pcap", requests), pipeline_of(rule))
    assert (rule.name in found) == (rule.name not in ABOUT_ANSWERS)


def _losing(share: float) -> Callable[[Packets, random.Random], Packets]:
    return lambda taken, source: [each for each in taken if source.random() >= share]


def _late(taken: Packets, source: random.Random) -> Packets:
    return taken[source.randrange(len(taken)) :]


def _answers(taken: Packets, source: random.Random) -> Packets:
    del source
    asking = clients(taken)
    return [each for each in taken if TCP not in each or (each[IP].src, each[TCP].sport) not in asking]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("damage", [_losing(0.02), _losing(0.2), _late, _answers], ids=["few", "many", "late", "answers"])
def test_what_was_not_captured_is_no_unsolicited_answer(damage: Any, seed: int, tmp_path: Path) -> None:
    pipeline = Pipeline.of([rule for rule in RULES if rule.name.removesuffix("_event") in UNASKED], Site())
    for rule in BUSY:
        taken = packets(rule, "quiet")
        before = fired(written(tmp_path / "whole.pcap", taken), pipeline)
        kept = damage(taken, random.Random(f"{seed} {rule.name}"))
        assert fired(written(tmp_path / "damaged.pcap", kept), pipeline) <= before, rule.name
