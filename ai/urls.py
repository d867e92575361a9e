"""Below /help/."""

from __future__ import annotations

from django.urls import path

from ai import views

app_name = "ai"
urlpatterns = [
    path("", views.index, name="help"),
    path("<slug:slug>/", views.article, name="article"),
]
