"""Every address of the helpdesk."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from helpdesk.health import healthz

urlpatterns = [
    path("", include("tickets.urls")),
    path("", include("chat.urls")),
    path("files/", include("attachments.urls")),
    path("help/", include("ai.urls")),
    path("healthz", healthz, name="healthz"),
    path("favicon.ico", RedirectView.as_view(url="/static/img/icon.svg")),
    # One way in, with one limit on how often it may be tried.
    path("admin/login/", RedirectView.as_view(pattern_name="tickets:login", query_string=True)),
    path("admin/", admin.site.urls),
]
