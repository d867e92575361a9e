from __future__ import annotations

import importlib

from django.apps import AppConfig
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class AiConfig(AppConfig):
    name = "ai"
    verbose_name = _("Assistant and help pages")

    def ready(self) -> None:
        from ai.provider import endpoint

        if settings.ROLE == "worker" and endpoint():
            # It takes a second, which the first visitor of each worker would wait.
            importlib.import_module("openai")
