from __future__ import annotations

from django.urls import path

from chat import api, views

app_name = "chat"

urlpatterns = [
    path("widget.js", views.widget_script, {"name": "widget.js"}, name="script"),
    path("widget/chat.js", views.widget_script, {"name": "chat.js"}),
    path("widget/look.js", views.widget_script, {"name": "look.js"}),
    path("demo/", views.demo, name="demo"),
    path("widget/<str:key>/config", api.ConfigView.as_view(), name="config"),
    path("widget/<str:key>/sessions", api.SessionsView.as_view(), name="sessions"),
    path("widget/<str:key>/messages", api.MessagesView.as_view(), name="messages"),
    path("widget/<str:key>/files", api.FilesView.as_view(), name="files"),
    path("widget/<str:key>/files/<uuid:uuid>", api.FileView.as_view(), name="file"),
    path("widget/<str:key>/files/<uuid:uuid>/link", api.LinkView.as_view(), name="link"),
    path("widget/<str:key>/human", api.HumanView.as_view(), name="human"),
    path("widget/<str:key>/seen", api.SeenView.as_view(), name="seen"),
]
