"""All tables together: importing this module makes `METADATA` whole."""

from __future__ import annotations

from typing import Final

from api.alerts import models as _alerts
from api.audit import models as _audit
from api.database import Base
from api.users import models as _users

METADATA: Final = Base.metadata
"""The tables of every resource."""

RESOURCES: Final = (_alerts, _audit, _users)
"""The modules that declare tables."""
