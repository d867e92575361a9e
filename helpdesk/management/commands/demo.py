from __future__ import annotations

from django.conf import settings
from django.core.management.base import BaseCommand

from helpdesk.demo import story
from helpdesk.demo.load import load_demo


class Command(BaseCommand):
    help = "Fill an empty helpdesk with the demo shop, and print where to look."

    def handle(self, **options: object) -> None:
        if load_demo():
            self.stdout.write("The demo shop Tern & Kettle has been loaded.")
        elif not settings.DEMO:
            self.stdout.write("This helpdesk has data already. Nothing was changed.")
            return
        site = settings.SITE_URL
        names = " · ".join(f"{n.split()[0].lower()}@tern-kettle.example" for n in story.STAFF)
        self.stdout.write(
            f"  Desk    {site}/          log in as {names}\n"
            f"                           password {story.PASSWORD}\n"
            f"  Shop    {site}/demo/     the chat widget, as customers see it\n"
            f"  Help    {site}/help/     the articles the assistant answers from\n"
            f"  Admin   {site}/admin/    maya may do everything there\n"
            f"  Mail    drop .eml files into {settings.DATA_DIR / 'mail' / 'in'},\n"
            f"          what is sent {_sent()}"
        )


def _sent() -> str:
    scheme, _colon, place = settings.SMTP_URL.partition(":")
    return f"lands in {place}" if scheme == "folder" else f"leaves by {scheme.upper()}"
