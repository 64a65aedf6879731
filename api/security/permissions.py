"""Who may do what: one table of permissions and roles, and what is open to all.

Routes name the permission that they need, never a role. The OpenAPI document, the table of the docs and the tests are made from
what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal[
    "viewer", "operator", "responder", "engineer", "administrator", "city_regulator", "province_regulator", "auditor"
]  # fmt: skip
"""What an account is for; `ROLES` says what each is."""

ROLES: Final[Mapping[Role, str]] = {
    "viewer": "looks at what is told and recorded",
    "operator": "watches a shift: decides about alerts, declares incidents, works on their tasks",
    "responder": "leads incidents and approves actions in the plant for security",
    "engineer": "knows the process: decides what is normal, keeps the assets, approves actions in the plant for operations",
    "administrator": "runs the system of a plant: all but the security approval of actions",
    "city_regulator": "reads what a city's authority is told by law",
    "province_regulator": "reads what a province's authority is told by law",
    "auditor": "reads the audit trail and what was decided, and changes nothing",
}
"""All roles, and what each is for."""

REGULATORS: Final[frozenset[Role]] = frozenset({"city_regulator", "province_regulator"})
"""Roles of authorities, who are no part of the plant: whatever they read of it is on record."""

Permission = Literal[
    "account.own",
    "action.approve_operations",
    "action.approve_security",
    "action.execute",
    "action.propose",
    "alert.decide",
    "alert.read",
    "asset.read",
    "asset.write",
    "audit.checkpoint",
    "audit.read",
    "baseline.decide",
    "baseline.read",
    "drill.run",
    "evidence.read",
    "evidence.write",
    "exception.read",
    "exception.write",
    "handover.write",
    "incident.declare",
    "incident.grade",
    "incident.move",
    "incident.override",
    "incident.read",
    "incident.reopen",
    "incident.work",
    "notification.manage",
    "notification.read",
    "operator.write",
    "packets.read",
    "playbook.write",
    "point.read",
    "records.read",
    "report.approve",
    "report.draft",
    "report.read",
    "report.submit",
    "report.template",
    "sensor.manage",
    "sensor.read",
    "session.manage",
    "share.export",
    "situation.read",
    "told.read",
    "user.manage",
    "user.read",
]
"""Something that may be done: a noun and what is done with it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Who has a permission.

    Attributes:
        meaning: what it lets do.
        roles: the roles that have it.
        whole: only accounts of all sites have it: what it is about belongs to the organisation, not to a site.
        person: no token has it: only a person who is signed in.
    """

    meaning: str
    roles: frozenset[Role]
    whole: bool = False
    person: bool = False


def _to(meaning: str, *roles: Role, whole: bool = False, person: bool = False) -> Grant:
    return Grant(meaning, frozenset(roles), whole, person)


_EVERYBODY: Final[tuple[Role, ...]] = get_args(Role)
_SHIFT: Final[tuple[Role, ...]] = ("operator", "responder", "engineer", "administrator")
_PLANT: Final[tuple[Role, ...]] = ("viewer", *_SHIFT)
_LEADS: Final[tuple[Role, ...]] = ("responder", "administrator")

TABLE: Final[Mapping[Permission, Grant]] = {
    "account.own": _to(
        "see and end one's own sessions, keep one's own means to sign in and one's tokens", *_EVERYBODY, person=True
    ),
    "alert.read": _to("see alerts and their history", *_PLANT, "auditor"),
    "alert.decide": _to("acknowledge, assign, comment on, snooze and close alerts", *_SHIFT),
    "packets.read": _to("take the packets behind alerts", *_SHIFT),
    "records.read": _to("see records and search them", *_PLANT),
    "exception.read": _to("see exceptions and maintenance windows", *_PLANT, "auditor"),
    "exception.write": _to("make, change and withdraw exceptions and maintenance windows", *_SHIFT),
    "baseline.read": _to("see what is normal and what was decided about it", *_PLANT, "auditor"),
    "baseline.decide": _to("decide what is normal", *_SHIFT),
    "situation.read": _to("see how the plant is, now and at any time before", *_PLANT, "auditor"),
    "asset.read": _to("see assets, who talks to whom, and the life of a device", *_PLANT, "auditor"),
    "asset.write": _to("register, import and change assets, zones and owners", "engineer", "administrator"),
    "point.read": _to("see process points, their values and writers", *_PLANT),
    "sensor.read": _to("see the health of sensors and of the parts of the system", *_PLANT, "auditor"),
    "sensor.manage": _to("change settings of sensors", "administrator", whole=True),
    "incident.read": _to("see incidents, their clocks, tasks and actions", *_PLANT, "auditor"),
    "incident.declare": _to("declare an incident", *_SHIFT),
    "incident.work": _to("do tasks of an incident, write into its timeline", *_SHIFT),
    "incident.move": _to("move an incident on, put it on hold, merge, split and close it", *_LEADS),
    "incident.grade": _to("decide the grade and the category of an incident", *_LEADS),
    "incident.override": _to("close an incident over mandatory tasks that are open", "administrator", person=True),
    "incident.reopen": _to("open a closed incident again", "administrator"),
    "action.propose": _to("propose an action in the plant, and take it back", *_SHIFT),
    "action.approve_security": _to("approve or reject an action for security", "responder", person=True),
    "action.approve_operations": _to("approve or reject an action for operations", "engineer", "administrator", person=True),
    "action.execute": _to("tell that an action is carried out, verified, failed or rolled back", *_SHIFT),
    "evidence.read": _to("see and read the evidence of an incident", *_LEADS, "engineer", "auditor"),
    "evidence.write": _to("add evidence to an incident, hand it on and give it out", *_LEADS),
    "playbook.write": _to("import and change playbooks", *_LEADS, whole=True),
    "handover.write": _to("write and sign handover notes of shifts", *_SHIFT),
    "report.read": _to("see statutory reports and their deadlines", *_PLANT, "auditor"),
    "report.draft": _to("draft reports", *_LEADS),
    "report.approve": _to("approve reports", "administrator", person=True),
    "report.submit": _to("tell that a report was submitted or acknowledged", *_LEADS),
    "told.read": _to(
        "see incidents of which a report was submitted, and the reports that were", "city_regulator", "province_regulator"
    ),
    "operator.write": _to("say what the operator of a site is in the eyes of the law", "administrator"),
    "report.template": _to("change the templates of reports", "administrator", whole=True),
    "drill.run": _to("run drills", *_LEADS),
    "share.export": _to("export incidents and stories to be shared (STIX)", *_LEADS),
    "notification.read": _to("see who is notified of what", *_SHIFT, "auditor"),
    "notification.manage": _to("decide who is notified of what", "administrator"),
    "audit.read": _to("read, verify and export the audit trail", "administrator", "auditor", whole=True),
    "audit.checkpoint": _to("sign how far the audit trail is", "administrator", "auditor", whole=True),
    "user.read": _to("see accounts", "administrator", "auditor", whole=True),
    "user.manage": _to("make, change and disable accounts", "administrator", whole=True, person=True),
    "session.manage": _to("see and end the sessions and tokens of others", "administrator", whole=True, person=True),
}
"""Each permission, what it lets do, and the roles that have it."""

FOR_TOKENS: Final = frozenset(permission for permission, grant in TABLE.items() if not grant.person)
"""Permissions that a token can have."""

TOLD_BY_LAW: Final[frozenset[Permission]] = frozenset({"told.read"})
"""What authorities may see of a plant."""

OPEN: Final[Mapping[tuple[str, str], str]] = {
    ("GET", "/"): "the page: nothing of it is secret, all that it shows comes from the API",
    ("GET", "/setup"): "the page",
    ("GET", "/sign-in"): "the page",
    ("GET", "/password"): "the page",
    ("GET", "/sign-in/oidc"): "the page, which hands on what an OpenID provider has sent the browser back with",
    ("GET", "/healthz"): "whether the process answers, for what watches it",
    ("GET", "/readyz"): "whether the system works, for what watches it",
    ("GET", "/metrics"): "answers callers on this machine only",
    ("GET", "/api/setup"): "whether the first account is still to be made",
    ("POST", "/api/setup"): "the one-time link stands for a session",
    ("POST", "/api/password"): "the one-time link of an account stands for a session",
    ("POST", "/api/session"): "signs in",
    ("GET", "/api/oidc"): "whether the sign-in page offers a provider",
    ("POST", "/api/oidc/sign-in"): "begins to sign in",
    ("POST", "/api/oidc/session"): "signs in",
    ("POST", "/api/passkeys/begin"): "begins to sign in",
    ("POST", "/api/passkeys/session"): "signs in",
    ("GET", "/api/texts/{language}"): "the texts of the sign-in page are among them",
    ("POST", "/api/enrolments"): "a one-time token stands for a session",
    ("POST", "/api/enrolments/renew"): "the key of the sensor's certificate stands for a session",
}
"""Routes that need no permission, and why. Every other route names one."""


def permissions_of(role: Role, sites: frozenset[str] | None) -> frozenset[Permission]:
    """What an account may do.

    Args:
        role: its role.
        sites: the sites that it is limited to; None for all.
    """
    return frozenset(
        permission for permission, grant in TABLE.items() if role in grant.roles and (sites is None or not grant.whole)
    )


def table() -> str:
    """The table of roles and permissions in Markdown, as the docs show it."""
    head = ["permission", "lets", *(role.replace("_", " ") for role in ROLES), "tokens"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for permission, grant in TABLE.items():
        marks = [("●" if not grant.whole else "◐") if role in grant.roles else "" for role in ROLES]
        marks.append("" if grant.person else "●")
        lines.append(f"| `{permission}` | {grant.meaning} | {' | '.join(marks)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
