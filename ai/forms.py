"""What the pages where articles are written send."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from ai.models import Article
from attachments.uploads import uploads_of
from helpdesk.lib.errors import Refused
from tickets.forms import Uuids


class ArticleForm(forms.ModelForm[Article]):
    """An article, the uploads that are added to it, and its files that are taken away."""

    owner = ""  # whose uploads count
    file = Uuids(required=False)
    file_removed = forms.TypedMultipleChoiceField(coerce=int, required=False)

    class Meta:
        model = Article
        fields = ("title", "slug", "published", "keywords", "body")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        removed = self.fields["file_removed"]
        if self.instance.pk and isinstance(removed, forms.TypedMultipleChoiceField):
            removed.choices = [(file.pk, str(file)) for file in self.instance.files.all()]

    def clean_file(self) -> Any:
        try:
            uploads_of(self.owner, self.cleaned_data["file"])
        except Refused as error:
            raise ValidationError(str(error)) from error
        return self.cleaned_data["file"]
