"""What was refused for the sake of security, in the log: who tried what, and from where. Of many that are alike one is told."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.requests import Request

TOLD: Final = frozenset(
    (
        "account_disabled", "approval_lapsed", "approver_same", "approver_wrote", "body_too_large", "code_wrong", "cross_site",
        "enrolment_other_sensor", "enrolment_token_expired", "enrolment_token_invalid", "enrolment_token_used", "forbidden",
        "handover_own", "host_unknown", "idempotency_other", "input_invalid", "metrics_elsewhere", "oidc_name_unfit",
        "oidc_role_none", "oidc_site_none", "oidc_unbegun", "oidc_untrusted", "passkey_refused",
        "password_link_invalid", "password_wrong", "permission_unheld", "rate_limited", "renewal_refused", "setup_link_invalid",
        "sign_in_failed", "sign_in_wait", "signed_out", "signer_wrote", "template_active", "verifier_executed",
    )
)  # fmt: skip
"""Codes of problems that are told. `signed_out` is where an API token was brought: a browser asks whether it is signed in."""

SECONDS: Final = 60.0
"""Of those that are alike one is told in so long: whoever is refused must not fill the log."""

KINDS: Final = 1_000
"""Kinds remembered at a time; the one that was told longest ago is forgotten first."""

PATH_CHARACTERS: Final = 200
"""How much of a path is told at most."""

_log = logging.getLogger(__name__)


class Refusals:
    """Tells of refusals, in the memory of this process. They are alike where code, caller and address are the same."""

    def __init__(self) -> None:
        self._kinds: Final[OrderedDict[tuple[str, str, str], tuple[float, int]]] = OrderedDict()
        """When the last of a kind was told, and how many came since."""
        self._lock: Final = threading.Lock()

    def tell(self, request: Request, code: str) -> None:
        """Write down a refusal, unless one of its kind was written down a moment ago."""
        if code not in TOLD or (code == "signed_out" and "authorization" not in request.headers):
            return
        address = request.client.host if request.client else ""
        # Nothing that somebody types in to sign in: it may be a password.
        who = str(getattr(request.state, "caller", "") or "nobody known")
        untold = self._untold((code, who, address))
        if untold is None:
            return
        more = f"; {untold} more like the last one were not told" if untold else ""
        path = request.scope["path"][:PATH_CHARACTERS]
        _log.warning("refused (%s): %s %s by %s from %s%s", code, request.method, path, who, address, more)

    def _untold(self, kind: tuple[str, str, str]) -> int | None:
        """How many of a kind came since the last that was told; None where this one is not to be told either."""
        moment = monotonic()
        with self._lock:
            last, untold = self._kinds.get(kind, (-SECONDS, 0))
            if moment - last < SECONDS:
                self._kinds[kind] = last, untold + 1
                return None
            self._kinds[kind] = moment, 0
            self._kinds.move_to_end(kind)
            if len(self._kinds) > KINDS:
                self._kinds.popitem(last=False)
            return untold
