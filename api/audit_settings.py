"""How the audit trail is held against those who could alter it: table `audit` of the configuration."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotation at run time

from pydantic import Field

from sensor.configuration import Section


class AuditSettings(Section, table="audit"):
    """Where signed checkpoints of the audit trail go, how often, and what signs them."""

    checkpoint_folder: Path | None = None
    """Folder that checkpoints are written to; without it `audit/checkpoints` in the data folder. On another machine it holds
    against those who own this one."""

    checkpoint_seconds: float = Field(default=3600.0, ge=1, le=7 * 86_400)
    """How often a checkpoint is written where entries have come since the last."""

    key_file: Path | None = None
    """PEM file of the Ed25519 key that signs checkpoints, without a password; without it `audit/key.pem` in the data folder, made
    at the first start. Several servers of one organisation may share one."""

    def folder(self, data: Path) -> Path:
        """Folder of the checkpoints."""
        return self.checkpoint_folder or data / "audit" / "checkpoints"

    def key(self, data: Path) -> Path:
        """File of the key."""
        return self.key_file or data / "audit" / "key.pem"
