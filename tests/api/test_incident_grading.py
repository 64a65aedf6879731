"""Grades from facts, and which state may follow which: pure."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.incidents import grading, lifecycle
from api.incidents.categories import categories, known
from api.incidents.grading import Fact, check, propose

CAC = grading.grading().scheme("cac-2025")
MIIT = grading.grading().scheme("miit-data-2024")


@pytest.mark.parametrize(
    ("facts", "cac", "miit"),
    [
        ({}, 4, None),
        ({"direct_loss_cny": 4_999_999}, 4, 4),
        ({"direct_loss_cny": 5_000_000}, 3, 4),
        ({"direct_loss_cny": 19_999_999}, 3, 4),
        ({"direct_loss_cny": 20_000_000}, 2, 4),
        ({"direct_loss_cny": 50_000_000}, 2, 3),
        ({"direct_loss_cny": 100_000_000}, 1, 2),
        ({"direct_loss_cny": 1_000_000_000}, 1, 1),
        ({"cii_total_outage_minutes": 9}, 4, None),
        ({"cii_total_outage_minutes": 10}, 3, None),
        ({"cii_total_outage_minutes": 60}, 2, None),
        ({"cii_total_outage_minutes": 360}, 1, None),
        ({"cii_main_function_outage_minutes": 30}, 3, None),
        ({"cii_main_function_outage_minutes": 180}, 2, None),
        ({"cii_main_function_outage_minutes": 1440}, 1, None),
        ({"province_population_percent": 50}, 1, None),
        ({"prefecture_population_percent": 50}, 2, None),
        ({"prefecture_population_percent": 30}, 3, None),
        ({"people_without_supply": 100_000}, 3, None),
        ({"people_without_supply": 10_000_000}, 1, None),
        ({"portal_outage_minutes": 1440}, 2, None),
        ({"central_portal_outage_minutes": 1440}, 1, None),
        ({"data_threat": "none"}, 4, None),
        ({"data_threat": "fairly_serious"}, 3, None),
        ({"data_threat": "extremely_serious"}, 1, None),
        ({"personal_information_leaked": 1_000_000}, 3, 3),
        ({"illegal_content_other_page_minutes": 120}, 3, None),
        ({"illegal_content_forwards": 10_000}, 2, None),
        ({"production_stop": "minor"}, 4, 4),
        ({"production_stop": "partial"}, 4, 3),
        ({"production_stop": "large_scale"}, 4, 1),
        ({"system_outage_minutes": 479}, 4, 4),
        ({"system_outage_minutes": 480}, 4, 3),
        ({"system_outage_minutes": 1440}, 4, 3),
        ({"important_system_outage_minutes": 720}, 4, 2),
        ({"core_system_outage_minutes": 1440}, 4, 1),
        ({"radio_interference_minutes": 720}, 4, 2),
        ({"sensitive_personal_information": 100_000}, 4, 3),
        ({"direct_loss_cny": 5_000_000, "cii_total_outage_minutes": 360}, 1, 4),
    ],
    ids=str,
)
def test_a_grade_follows_from_facts_and_a_bound_includes_its_number(facts: dict[str, Fact], cac: int, miit: int | None) -> None:
    assert check(facts) is None
    assert (propose(CAC, facts).level, propose(MIIT, facts).level) == (cac, miit)


FACTS = st.fixed_dictionaries(
    {},
    optional={
        metric.key: st.sampled_from([choice.key for choice in metric.choices])
        if metric.kind == "choice"
        else st.integers(0, 2_000_000_000)
        for metric in grading.grading().metrics
    },
)


@given(FACTS, st.sampled_from([metric.key for metric in grading.grading().metrics if metric.kind == "number"]))
def test_more_harm_never_makes_the_grade_less(facts: dict[str, Fact], key: str) -> None:
    for scheme in (CAC, MIIT):
        before = propose(scheme, facts)
        value = facts.get(key, 0)
        assert not isinstance(value, str)
        after = propose(scheme, {**facts, key: value + 1_000_000})
        assert before.level is None or (after.level is not None and after.level <= before.level)
        assert all(criterion.met(facts) for criterion in before.met)
        assert not set(before.unknown) & set(facts)


def test_the_data_is_whole_and_cites_where_it_is_from() -> None:
    known_metrics = {metric.key for metric in grading.grading().metrics}
    asked = {key for scheme in grading.grading().schemes for key in scheme.metrics}
    assert asked == known_metrics - {metric.key for metric in grading.grading().metrics if metric.kind == "yes_no"}
    for scheme in grading.grading().schemes:
        assert [level.level for level in scheme.levels] == [1, 2, 3, 4]
        assert scheme.citation
        assert scheme.certainty == "seen"
    jsonschema.validate(grading.grading().model_dump(mode="json", by_alias=True), grading.Grading.model_json_schema())
    assert [len(each.sub) for each in categories().classes] == [10, 21, 12, 8, 5, 8, 3, 3, 5, 0]
    assert known("network_attack.scan")
    assert known("other")
    assert not known("network_attack.nothing")


def test_every_open_state_leads_to_closing_and_none_leads_out_of_it() -> None:
    assert lifecycle.MOVES["closed"] == ()
    for phase in lifecycle.OPEN:
        reached: set[lifecycle.Phase] = {phase}
        for _ in lifecycle.PHASES:
            reached |= {after for before in reached for after in lifecycle.MOVES[before]}
        assert reached & set(lifecycle.CLOSABLE)
        assert "declared" not in lifecycle.MOVES[phase]
        assert not lifecycle.may_move(phase, "closed")
