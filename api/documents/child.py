"""The process that fills templates, with limits of its own: a template can be written so that filling it has no end.

It reads one request from standard input and writes one answer: documents, or what is wrong with the template.
"""

from __future__ import annotations

import base64
import json
import resource
import sys
from typing import Final

CPU_SECONDS: Final = 30

MEMORY_BYTES: Final = 1024**3
"""Most memory that it may take, the libraries that it loads included."""


def main() -> None:
    """Answer the request on standard input."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # Loaded under the limits.
    from api.documents import built_in, filling  # noqa: PLC0415
    from api.documents.faults import Fault  # noqa: PLC0415

    request = json.load(sys.stdin)
    try:
        if "make" in request:
            documents = [built_in.make(*request["make"])]
        else:
            documents = filling.fill(base64.b64decode(request["template"]), request["shape"], request["contents"])
        answer = {"documents": [base64.b64encode(document).decode() for document in documents]}
    except Fault as fault:
        answer = {"fault": fault.code, "values": fault.values}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
