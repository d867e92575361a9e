from django.apps import AppConfig


class HelpdeskConfig(AppConfig):
    """Makes our management commands and templates known, ahead of every other app's."""

    name = "helpdesk"
