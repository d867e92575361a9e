"""`python -m helpdesk.stack.health [PORT]`: is the web process fit to serve?

Light enough to be asked every few seconds: Django is not loaded.
"""

from __future__ import annotations

import os
import sys

from helpdesk.stack.addresses import web_fault

PORT = 8000  # in a container it is always the same

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    sys.exit(web_fault(port, os.environ["SITE_URL"]) or None)
