"""Every address of the helpdesk."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from helpdesk.health import healthz

urlpatterns = [
    path("", include("tickets.urls")),
    path("", include("chat.urls")),
    path("help/", include("ai.urls")),
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
]
