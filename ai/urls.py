"""Below /help/."""

from __future__ import annotations

from django.urls import path

from ai import views

app_name = "ai"
urlpatterns = [
    path("", views.index, name="help"),
    path("files/<uuid:uuid>/preview/", views.file_preview, name="preview"),
    path("files/<uuid:uuid>/<path:name>", views.file_link, name="file"),
    path("<slug:slug>/", views.article, name="article"),
]
