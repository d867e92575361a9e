from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError

from helpdesk.doctor import EXAMINATIONS
from helpdesk.lib.doctor import examine


class Command(BaseCommand):
    help = (
        "Look at every part of the installation: one line each, ok, warning or broken, and what "
        "to do. Exits 1 if anything is broken. Asks nothing, and leaves nothing behind."
    )
    requires_system_checks: list[str] = []  # they are one of the things it looks at

    def handle(self, **options: object) -> None:
        broken = 0
        for one in EXAMINATIONS:
            finding = examine(one)
            broken += finding.level == "broken"
            self.stdout.write(
                f"{finding.level:<8} {one.name:<11} {finding.found} {finding.advice}".rstrip()
            )
        if broken:
            raise CommandError(f"{broken} of {len(EXAMINATIONS)} are broken.")
