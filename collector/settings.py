"""Settings of the collector, from the environment: `ICSIGHT_STORE_…` and `ICSIGHT_WRITER_…`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class StoreSettings(BaseSettings):
    """How records are kept and asked for."""

    model_config = SettingsConfigDict(env_prefix="ICSIGHT_STORE_", frozen=True)

    file_rows: int = Field(default=1_000_000, ge=1_000, le=16_000_000, description="Files of so many rows are not merged.")
    file_bytes: int = Field(default=64 * 1024**2, ge=1024**2, le=1024**3, description="Nor is one of so many bytes.")
    merge_files: int = Field(default=16, ge=2, le=256, description="So many files of like size make one.")
    query_seconds: float = Field(default=30.0, gt=0, le=600, description="Most time of one query.")
    query_memory_bytes: int = Field(default=1024**3, ge=64 * 1024**2, description="Most memory of all queries together.")
    query_threads: int = Field(default=2, ge=1, le=256, description="Threads of all queries together.")
    query_rows: int = Field(default=1_000_000, ge=1, description="Most rows of the answer to one SQL query.")


class WriterSettings(BaseSettings):
    """How batches are gathered on their way into the store."""

    model_config = SettingsConfigDict(env_prefix="ICSIGHT_WRITER_", frozen=True)

    gather_rows: int = Field(default=500_000, ge=1, le=16_000_000, description="So many rows are stored at once.")
    gather_bytes: int = Field(default=16 * 1024**2, ge=1, le=1024**3, description="So many encoded bytes are stored at once.")
    gather_seconds: float = Field(default=1.0, ge=0, le=60, description="Records wait at most so long for others.")
