"""`python -m tests.page_types`: run TypeScript's checker over the page. It says where types do not fit, and exits with 1 then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.services import packages

HERE: Final = Path(__file__).parent
"""Folder of TypeScript's settings and of the lock that names its version."""


def main() -> int:
    """Check the page; the checker's exit status, or 2 where there is no checker."""
    try:
        checker = packages.npm(HERE) / "node_modules" / "typescript" / "bin" / "tsc"
    except packages.Missing as missing:
        print(f"error: {missing}", file=sys.stderr)
        return 2
    return min(1, subprocess.run([packages.node(), checker, "--project", HERE], check=False).returncode)


if __name__ == "__main__":
    sys.exit(main())
