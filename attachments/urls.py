from __future__ import annotations

from django.urls import path

from attachments import views

app_name = "attachments"

urlpatterns = [
    path("bytes/<str:signed>/<path:name>", views.file_bytes, name="bytes"),
    path("l/<str:token>/<path:name>", views.lasting_link, name="lasting"),
]
