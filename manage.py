#!/usr/bin/env python
"""Run a management command."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helpdesk.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # wrong settings: what to mend, not where we noticed
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(f"The database does not answer: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
