from __future__ import annotations

from django.urls import include, path

from chat import api, join_views, people_views, team_views, views

app_name = "chat"

people = [
    path("", people_views.people, name="people"),
    path("add/", people_views.add, name="add-people"),
    path("<int:person>/remove/", people_views.remove, name="remove-person"),
    path("<int:person>/rank/", people_views.rank, name="rank"),
    path("rename/", people_views.rename, name="rename"),
    path("mute/", people_views.mute, name="mute"),
    path("leave/", people_views.leave, name="leave"),
    path("links/", people_views.new_link, name="new-link"),
    path("links/<uuid:link>/end/", people_views.end_link, name="end-link"),
]

team = [
    path("", team_views.team, name="team-list"),
    path("new/", team_views.new, name="team-new"),
    path("direct/", team_views.direct, name="start-direct"),
    path("group/", team_views.group, name="start-group"),
    path("<int:pk>/", team_views.conversation, name="team"),
    path("<int:pk>/timeline/", team_views.timeline, name="team-timeline"),
    path("<int:pk>/messages/<int:seq>/", team_views.message, name="team-message"),
    path("<int:pk>/about/", team_views.about, name="team-about"),
    path("<int:pk>/marks/", team_views.marks, name="team-marks"),
    path("<int:pk>/reply/", team_views.reply, name="team-reply"),
    path("<int:pk>/seen/", team_views.seen, name="team-seen"),
    path("<int:pk>/join/", team_views.join, name="team-join"),
    path("<int:pk>/quote/", team_views.quote, name="team-quote"),
]

urlpatterns = [
    path("widget.js", views.widget_script, {"name": "widget.js"}, name="script"),
    *(
        path(f"widget/{name}", views.widget_script, {"name": name})
        for name in views.SCRIPTS
        if name != "widget.js"
    ),
    path("tickets/<int:number>/visit/", views.visit, name="visit"),
    path("tickets/<int:number>/beside/", team_views.beside, name="beside"),
    path("conversations/<int:pk>/people/", include(people)),
    path("team/", include(team)),
    path("join/<str:token>/", join_views.join_page, name="join"),
    path("demo/", views.demo, name="demo"),
    path("widget/<str:key>/config", api.ConfigView.as_view(), name="config"),
    path("widget/<str:key>/sessions", api.SessionsView.as_view(), name="sessions"),
    path("widget/<str:key>/messages", api.MessagesView.as_view(), name="messages"),
    path("widget/<str:key>/files", api.FilesView.as_view(), name="files"),
    path("widget/<str:key>/files/<uuid:uuid>", api.FileView.as_view(), name="file"),
    path("widget/<str:key>/files/<uuid:uuid>/link", api.LinkView.as_view(), name="link"),
    path("widget/<str:key>/human", api.HumanView.as_view(), name="human"),
    path("widget/<str:key>/seen", api.SeenView.as_view(), name="seen"),
    path("widget/<str:key>/end", api.EndView.as_view(), name="end"),
    path("widget/<str:key>/rating", api.RatingView.as_view(), name="rating"),
    path("widget/<str:key>/another", api.AnotherView.as_view(), name="another"),
    path("widget/<str:key>/chats", api.ChatsView.as_view(), name="chats"),
    path("widget/<str:key>/people", api.PeopleView.as_view(), name="group"),
    path("widget/<str:key>/people/title", api.TitleView.as_view(), name="group-title"),
    path("widget/<str:key>/people/mute", api.MuteView.as_view(), name="group-mute"),
    path("widget/<str:key>/people/leave", api.LeaveView.as_view(), name="group-leave"),
    path(
        "widget/<str:key>/people/<int:person>/remove", api.RemoveView.as_view(), name="group-remove"
    ),
    path("widget/<str:key>/transcript", api.TranscriptView.as_view(), name="transcript"),
    path("widget/<str:key>/about", api.AboutView.as_view(), name="about"),
    path("widget/<str:key>/attributes", api.AttributesView.as_view(), name="attributes"),
    path("widget/<str:key>/pages", api.PagesView.as_view(), name="pages"),
    path("widget/<str:key>/identify", api.IdentifyView.as_view(), name="identify"),
]
