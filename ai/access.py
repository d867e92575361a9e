"""Who may see what is in the help pages: everyone, as long as it is published."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from ai.models import ArticleFile
from attachments.models import Attachment
from helpdesk.lib.errors import NotFound


def public_files() -> QuerySet[ArticleFile]:
    """The files of published articles."""
    return ArticleFile.objects.filter(article__published=True).select_related("attachment__blob")


def access_article_file(uuid: UUID) -> Attachment:
    """One of them. Raises NotFound for a missing file and for one of a draft alike."""
    file = public_files().filter(attachment__uuid=uuid).first()
    if file is None:
        raise NotFound
    return file.attachment
