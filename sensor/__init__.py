"""The edge: packets in, record batches out. Installs and runs alone on a gateway."""

from typing import Final

__version__: Final = "0.1.0"
"""Version of the product; pyproject.toml and the packet core carry the same."""
