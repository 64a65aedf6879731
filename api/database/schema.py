"""All tables together: importing this module makes `METADATA` whole."""

from __future__ import annotations

from typing import Final

from api.actions import models as _actions
from api.alerts import models as _alerts
from api.assets import models as _assets
from api.audit import models as _audit
from api.custody import models as _custody
from api.database import Base
from api.decisions import models as _decisions
from api.documents import models as _documents
from api.drills import models as _drills
from api.enrolment import models as _enrolment
from api.exceptions import models as _exceptions
from api.factors import models as _factors
from api.handovers import models as _handovers
from api.idempotency import models as _idempotency
from api.incidents import models as _incidents
from api.jobs import models as _jobs
from api.notifications import models as _notifications
from api.obligations import models as _obligations
from api.oidc import models as _oidc
from api.passkeys import models as _passkeys
from api.playbooks import models as _playbooks
from api.reviews import models as _reviews
from api.site import models as _site
from api.tokens import models as _tokens
from api.users import models as _users
from api.views import models as _views
from api.windows import models as _windows
from api.zones import models as _zones

METADATA: Final = Base.metadata
"""The tables of every resource."""

RESOURCES: Final = (
    _actions,
    _alerts,
    _assets,
    _audit,
    _custody,
    _decisions,
    _documents,
    _drills,
    _enrolment,
    _exceptions,
    _factors,
    _handovers,
    _idempotency,
    _incidents,
    _jobs,
    _notifications,
    _obligations,
    _oidc,
    _passkeys,
    _playbooks,
    _reviews,
    _site,
    _tokens,
    _users,
    _views,
    _windows,
    _zones,
)
"""The modules that declare tables."""
