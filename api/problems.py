"""Errors as RFC 9457 problem details: `application/problem+json` with a stable code, in the caller's language."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, cast

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from api.database.turns import is_busy
from api.security.refusals import Refusals
from api.texts import LANGUAGES, catalogue, language_of, text
from api.unfit import Unfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request
    from sqlalchemy.exc import SQLAlchemyError

MEDIA_TYPE: Final = "application/problem+json"

CODES: Final[Mapping[str, int]] = {
    "acceptance_none": 409,
    "account_disabled": 403,
    "account_of_provider": 409,
    "action_state": 409,
    "action_unknown": 404,
    "action_window": 409,
    "actions_full": 409,
    "alert_elsewhere": 409,
    "alert_escalated": 409,
    "alert_merge_full": 409,
    "alert_merge_hidden": 409,
    "alert_merge_sites": 409,
    "alert_merge_unfit": 409,
    "alert_merged": 409,
    "alert_not_in_incident": 409,
    "alert_not_merged": 409,
    "alert_not_snoozed": 409,
    "alert_of_drill": 409,
    "alert_other_site": 409,
    "alert_state": 409,
    "alert_unknown": 404,
    "approval_lapsed": 409,
    "approver_same": 403,
    "approver_wrote": 403,
    "assignee_unfit": 422,
    "asset_address_taken": 409,
    "asset_unknown": 404,
    "assets_full": 409,
    "authenticator_none": 409,
    "authenticator_set": 409,
    "baseline_changed": 409,
    "baseline_unknown": 404,
    "body_cut": 400,
    "body_invalid": 400,
    "body_too_large": 413,
    "category_unknown": 422,
    "channel_unknown": 404,
    "checkpoint_none": 409,
    "checkpoint_unwritten": 503,
    "code_needed": 401,
    "code_wrong": 403,
    "contents_missing": 409,
    "contents_unfit": 422,
    "converter_failed": 503,
    "converter_none": 409,
    "cross_site": 403,
    "cursor_invalid": 422,
    "custody_full": 409,
    "database_busy": 503,
    "decision_unfit": 422,
    "document_none": 404,
    "document_unknown": 422,
    "documents_busy": 503,
    "drill_mixed": 409,
    "drill_over": 409,
    "drill_plant_unknown": 409,
    "drill_running": 409,
    "drill_silent": 409,
    "drill_stays": 409,
    "drill_unknown": 404,
    "enrolment_other_sensor": 403,
    "enrolment_request_invalid": 422,
    "enrolment_token_expired": 403,
    "enrolment_token_invalid": 403,
    "enrolment_token_used": 403,
    "enrolment_unready": 503,
    "evidence_busy": 503,
    "evidence_changed": 409,
    "evidence_empty": 422,
    "evidence_full": 409,
    "evidence_gone": 404,
    "evidence_missing": 409,
    "evidence_no_room": 507,
    "evidence_none": 404,
    "evidence_read_busy": 503,
    "evidence_unknown": 404,
    "evidence_unreadable": 503,
    "evidence_unwritten": 503,
    "evidence_waits": 504,
    "exception_hides_more": 409,
    "exception_taken": 409,
    "exception_unknown": 404,
    "exception_withdrawn": 409,
    "exceptions_full": 409,
    "facts_invalid": 422,
    "forbidden": 403,
    "handover_begun": 409,
    "handover_own": 403,
    "handover_state": 409,
    "handover_unknown": 404,
    "host_unknown": 421,
    "idempotency_busy": 409,
    "idempotency_done": 409,
    "idempotency_full": 429,
    "idempotency_invalid": 400,
    "idempotency_other": 422,
    "import_unreadable": 422,
    "incident_closed": 409,
    "incident_full": 409,
    "incident_gate": 409,
    "incident_held": 409,
    "incident_merged": 409,
    "incident_not_held": 409,
    "incident_state": 409,
    "incident_times": 422,
    "incident_unknown": 404,
    "input_invalid": 422,
    "internal": 500,
    "job_ended": 409,
    "job_late": 409,
    "job_open": 409,
    "job_undone": 409,
    "job_unknown": 404,
    "jobs_full": 409,
    "kafka_none": 409,
    "last_administrator": 409,
    "lesson_unowned": 422,
    "live_full": 503,
    "merge_changed": 409,
    "merge_unfit": 409,
    "merge_unknown": 404,
    "method_not_allowed": 405,
    "metrics_elsewhere": 403,
    "name_taken": 409,
    "not_acceptable": 406,
    "not_found": 404,
    "notification_rule_unknown": 404,
    "notification_rules_full": 409,
    "notification_state": 409,
    "notification_unfit": 422,
    "notification_unknown": 404,
    "obligation_state": 409,
    "obligation_unknown": 404,
    "obligations_full": 409,
    "oidc_busy": 503,
    "oidc_name_unfit": 403,
    "oidc_refused": 403,
    "oidc_role_none": 403,
    "oidc_site_none": 403,
    "oidc_unbegun": 403,
    "oidc_unreachable": 503,
    "oidc_unset": 404,
    "oidc_untrusted": 502,
    "own_account": 409,
    "package_empty": 409,
    "package_large": 409,
    "passkey_known": 409,
    "passkey_needed": 401,
    "passkey_refused": 403,
    "passkey_unknown": 404,
    "passkeys_full": 409,
    "password_link_invalid": 403,
    "password_weak": 422,
    "password_wrong": 403,
    "periods_many": 422,
    "permission_unheld": 422,
    "placeholder_unfit": 422,
    "placeholder_unknown": 422,
    "playbook_begun": 409,
    "playbook_of_product": 409,
    "playbook_unfit": 422,
    "playbook_unknown": 404,
    "playbooks_full": 409,
    "precondition_failed": 412,
    "precondition_required": 428,
    "proof_blind": 409,
    "proof_broken": 409,
    "proof_early": 409,
    "proof_none": 409,
    "query_invalid": 422,
    "query_too_long": 503,
    "rate_limited": 429,
    "records_missing": 503,
    "renewal_early": 409,
    "renewal_refused": 403,
    "report_unapproved": 409,
    "request_invalid": 400,
    "review_early": 409,
    "review_none": 409,
    "review_signed": 409,
    "rule_unfit": 422,
    "rules_unreadable": 503,
    "scheme_unknown": 404,
    "sensor_unreachable": 503,
    "sensor_unknown": 404,
    "sensor_unset": 422,
    "session_unknown": 404,
    "setup_done": 409,
    "setup_first": 409,
    "setup_link_invalid": 403,
    "sign_in_failed": 401,
    "sign_in_wait": 429,
    "signed_out": 401,
    "signer_wrote": 403,
    "site_missing": 422,
    "site_unknown": 404,
    "snooze_times": 422,
    "split_unfit": 409,
    "story_of_drill": 409,
    "story_unknown": 404,
    "table_unknown": 404,
    "task_state": 409,
    "task_unknown": 404,
    "tasks_full": 409,
    "template_active": 422,
    "template_broken": 422,
    "template_heavy": 422,
    "template_large": 422,
    "template_unknown": 404,
    "template_unreadable": 422,
    "token_unknown": 404,
    "tokens_full": 409,
    "user_unknown": 404,
    "verifier_executed": 403,
    "view_unknown": 404,
    "views_full": 409,
    "window_hides_more": 409,
    "window_over": 409,
    "window_scope_unknown": 422,
    "window_times": 422,
    "window_unknown": 404,
    "windows_full": 409,
}
"""Every code that the API can answer with, and its status. Titles and details are in the catalogue, under `problem.<code>`."""

_BY_STATUS: Final = {
    400: "body_invalid",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "body_too_large",
    422: "input_invalid",
}

_log = logging.getLogger(__name__)


class Problem(Exception):  # noqa: N818  RFC 9457's own word
    """A request could not be answered.

    Args:
        code: one of `CODES`.
        headers: further response headers.
        values: what the detail's placeholders are filled with; a dict has a text for each language.
    """

    def __init__(self, code: str, *, headers: Mapping[str, str] | None = None, **values: object) -> None:
        super().__init__(code)
        self.code = code
        self.status = CODES[code]
        self.headers = dict(headers or {})
        self.values = values


def response(problem: Problem, language: str, path: str, errors: list[dict[str, str]] | None = None) -> JSONResponse:
    """The problem as an answer."""
    values = {name: _in(value, language) for name, value in problem.values.items()}
    content: dict[str, Any] = {
        "type": f"urn:icsight:problem:{problem.code}",
        "title": text(language, f"problem.{problem.code}.title"),
        "status": problem.status,
        "detail": text(language, f"problem.{problem.code}.detail", **values),
        "instance": path,
        "code": problem.code,
    }
    if errors is not None:
        content["errors"] = errors
    headers = {"Content-Language": language, "Cache-Control": "no-store", **problem.headers}
    return JSONResponse(content, problem.status, headers, media_type=MEDIA_TYPE)


def _in(value: object, language: str) -> object:
    """A value of a problem's detail in a language."""
    return cast("dict[str, str]", value)[language] if isinstance(value, dict) else value


def install(app: FastAPI) -> None:
    """Make the application answer every error as a problem; what nobody foresaw is `api.security.guard`'s to answer."""
    app.state.refusals = Refusals()
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(OperationalError, _operational)
    app.add_exception_handler(PoolTimeoutError, _operational)


def answer(request: Request, problem: Problem, errors: list[dict[str, str]] | None = None) -> JSONResponse:
    """The problem as the answer to a request, in the caller's language; what is a matter of security is told in the log."""
    refusals: Refusals = request.app.state.refusals
    refusals.tell(request, problem.code)
    return response(problem, language_of(request), request.url.path, errors)


async def _problem(request: Request, error: Exception) -> JSONResponse:
    return answer(request, cast("Problem", error))


async def _http(request: Request, error: Exception) -> JSONResponse:
    failure = cast("HTTPException", error)
    code = _BY_STATUS.get(failure.status_code, "request_invalid" if failure.status_code < 500 else "internal")
    problem = Problem(code, headers=failure.headers, path=request.url.path, method=request.method, places="body")
    return answer(request, problem)


async def _validation(request: Request, error: Exception) -> JSONResponse:
    """What is wrong, by place. The input itself is not repeated: it may hold a password."""
    errors: list[dict[str, str]] = []
    places: list[str] = []
    language = language_of(request)
    for item in cast("RequestValidationError", error).errors():
        place = ".".join(str(part) for part in item["loc"])
        places.append(place)
        errors.append({"place": place, "code": str(item["type"]), "message": message_of(item, language)})
    return answer(request, Problem("input_invalid", places=", ".join(places)), errors)


def message_of(item: Mapping[str, Any], language: str) -> str:
    """What is wrong in one place: in words of the catalogue, or by its type where these have none for it."""
    context: Mapping[str, Any] = item.get("ctx") or {}
    reason = context.get("error")
    if isinstance(reason, Unfit):
        return reason.told(language)
    key = f"input.{item['type']}"
    if key in catalogue(language):
        # The choices of pydantic are in a row for people, in English.
        expected = str(context.get("expected", "")).replace(" or ", "、" if language == "zh-CN" else " or ")
        return text(language, key, **{**context, "expected": expected})
    return str(item["msg"]) if language == LANGUAGES[0] else text(language, "input.other", type=item["type"])


async def _operational(request: Request, error: Exception) -> JSONResponse:
    if is_busy(cast("SQLAlchemyError", error)):
        return answer(request, Problem("database_busy", headers={"Retry-After": "2"}))
    if "interrupted" in str(error) or "statement timeout" in str(error):
        return answer(request, Problem("query_too_long", headers={"Retry-After": "5"}))
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return answer(request, Problem("internal"))
