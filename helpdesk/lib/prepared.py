"""Statements that are built once a process and planned once a connection.

The ORM takes several times longer to build a query than to run it. On the few paths that every
message takes, only the values differ from one time to the next; there we build once and keep
the text, and PostgreSQL keeps the plan. The queryset stays the one place where the rule is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any, Generic, TypeVar, cast

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Field, Model, QuerySet
from psycopg import Cursor
from psycopg.sql import Literal

M = TypeVar("M", bound=Model)
AnyField = Field[Any, Any]
Converter = Callable[[Any, Any, Any], Any]  # a value, its expression, the connection


@dataclass(frozen=True, slots=True)
class Plan(Generic[M]):
    model: type[M]
    columns: list[str]
    sql: str
    params: tuple[Any, ...]
    places: dict[int, int]  # of a parameter → of the value that goes there
    converters: list[tuple[int, list[Converter], Any]]  # of a column that needs more than reading


class Prepared(Generic[M]):
    """A query for whole rows of one model, or for the values of a `values_list`, to be asked again
    and again.

    `build` makes the queryset; it is called once, with `samples`: one value for each argument,
    unlike each other and unlike every other value in the query. What it does must not depend on
    them.
    """

    def __init__(self, build: Callable[..., QuerySet[M, Any]], *samples: object) -> None:
        self._build = build
        self._samples = samples

    def all(self, *values: object) -> list[M]:
        """The rows for these values, which stand where the samples stood."""
        plan = self._plan
        rows = self.tuples(*values)
        return [plan.model.from_db(DEFAULT_DB_ALIAS, plan.columns, row) for row in rows]

    def tuples(self, *values: object) -> list[tuple[Any, ...]]:
        """The same, as a `values_list` has them."""
        plan = self._plan
        params = list(plan.params)
        for place, turn in plan.places.items():
            params[place] = values[turn]
        with _cursor() as cursor:
            cursor.execute(plan.sql, params)
            rows = list(cursor.fetchall())
        if not plan.converters:
            return rows
        return [_all_converted(row, plan.converters) for row in rows]

    def first(self, *values: object) -> M | None:
        """The first row for these values, if there is one."""
        return next(iter(self.all(*values)), None)

    def text(self, *names: str) -> str:
        """The query as a part of a statement of our own, with the %(name)s of each argument."""
        plan = self._plan
        texts = [
            f"%({names[plan.places[place]]})s" if place in plan.places else _literal(param)
            for place, param in enumerate(plan.params)
        ]
        return plan.sql % tuple(texts)

    @cached_property
    def _plan(self) -> Plan[M]:
        queryset = self._build(*self._samples)
        compiler = queryset.query.get_compiler(DEFAULT_DB_ALIAS)
        sql, params = compiler.as_sql()
        columns = [column for column, _sql, _alias in compiler.select or ()]
        if queryset.query.select_related:
            raise TypeError("Only whole rows of one model, or a values_list.")
        places = {
            place: self._samples.index(param)
            for place, param in enumerate(params)
            if param in self._samples
        }
        if set(places.values()) != set(range(len(self._samples))):
            raise TypeError("A sample got lost: the query would not depend on its value.")
        names = [target.attname for column in columns if (target := _target(column))]
        converters = [(at, *how) for at, how in compiler.get_converters(columns).items()]
        return Plan(queryset.model, names, sql, tuple(params), places, converters)


def columns_of(model: type[Model]) -> list[str]:
    """What `from_db` wants of a whole row."""
    return [field.attname for field in model._meta.concrete_fields]


def _target(column: Any) -> Any:
    return getattr(column, "target", None)


def _all_converted(
    row: tuple[Any, ...], converters: list[tuple[int, list[Converter], Any]]
) -> tuple[Any, ...]:
    values = list(row)
    for at, converts, expression in converters:
        for convert in converts:
            values[at] = convert(values[at], expression, connection)
    return tuple(values)


def fetched(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement of our own, whose text is always the same."""
    with _cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def save(row: Model, *names: str) -> None:
    """As `row.save(update_fields=names)`, for a row that is in the database."""
    sql, fields = _update(type(row), names)
    values = [_value(row, field) for field in fields]
    with _cursor() as cursor:
        cursor.execute(sql, [*values, row.pk])


def save_if(row: Model, values: dict[str, Any], **conditions: Any) -> bool:
    """As `update(**values)` of the row, if its columns in the database are as `conditions` say.
    Returns whether they were. `row` itself is left as it is."""
    sql, fields = _update_if(type(row), tuple(values), tuple(conditions))
    given = [*values.values(), *conditions.values()]
    params = [_prepared(value, field) for value, field in zip(given, fields, strict=True)]
    with _cursor() as cursor:
        cursor.execute(sql, [*params, row.pk])
        return bool(cursor.rowcount)


def returned(model: type[M], statement: str, values: Sequence[Any], **instead: str) -> M | None:
    """The row that a statement of our own changes, or None if it changes none.

    `statement` ends before its RETURNING, and has {table} for the model's table. `instead` names
    columns that are read as another expression.
    """
    sql, names, converters = _returning(model, statement, tuple(instead.items()))
    with _cursor() as cursor:
        cursor.execute(sql, values)
        rows = cursor.fetchall()
    if not rows:
        return None
    row = list(rows[0])
    for place, convert in converters:
        row[place] = convert(row[place])
    return model.from_db(DEFAULT_DB_ALIAS, names, row)


def insert(row: Model, **computed: tuple[str, str]) -> None:
    """As `row.save(force_insert=True)`, for a row whose key the database chooses.

    `computed` names columns that PostgreSQL fills: an expression with one %s, and the text that
    goes there.
    """
    sql, fields = _insert(type(row), tuple((name, how) for name, (how, _text) in computed.items()))
    values = [
        computed[field.name][1] if field.name in computed else _value(row, field)
        for field in fields
    ]
    with _cursor() as cursor:
        cursor.execute(sql, values)
        (row.pk,) = cursor.fetchall()[0]
    row._state.adding = False
    row._state.db = DEFAULT_DB_ALIAS


def literals(row: Model, *, without: Sequence[str]) -> dict[str, str]:
    """What `insert` would write for a row, for a statement of our own: {column: SQL}."""
    return {
        _quoted(field.column): _literal(_value(row, field))
        for field in row._meta.concrete_fields
        if field.name not in without
    }


def _literal(value: Any) -> str:
    return Literal(value).as_string().replace("%", "%%")


def _cursor() -> CursorWrapper:
    """A cursor that sends values apart from the text, so that PostgreSQL can keep a plan.

    Django's own put the values into the text, where every text is another.
    """
    cursor = connection.cursor()
    cursor.cursor = Cursor(connection.connection)
    return cursor


@cache
def _update(model: type[Model], names: tuple[str, ...]) -> tuple[str, list[AnyField]]:
    columns = {field.name: field for field in model._meta.concrete_fields}
    fields = [columns[name] for name in names]
    assignments = ", ".join(f"{_quoted(field.column)} = %s" for field in fields)
    where = f"{_quoted(model._meta.pk.column)} = %s"
    table = _quoted(model._meta.db_table)
    return f"UPDATE {table} SET {assignments} WHERE {where}", fields  # noqa: S608 - our own names


@cache
def _update_if(
    model: type[Model], names: tuple[str, ...], conditions: tuple[str, ...]
) -> tuple[str, list[AnyField]]:
    fields = [cast(AnyField, model._meta.get_field(name)) for name in (*names, *conditions)]
    assignments = [f"{_quoted(field.column)} = %s" for field in fields[: len(names)]]
    # Also of what is not there (NULL), which is equal to nothing.
    where = [f"{_quoted(field.column)} IS NOT DISTINCT FROM %s" for field in fields[len(names) :]]
    where.append(f"{_quoted(model._meta.pk.column)} = %s")
    table = _quoted(model._meta.db_table)
    sql = f"UPDATE {table} SET {', '.join(assignments)} WHERE {' AND '.join(where)}"  # noqa: S608 - our own names
    return sql, fields


@cache
def _returning(
    model: type[Model], statement: str, instead: tuple[tuple[str, str], ...]
) -> tuple[str, list[str], list[tuple[int, Callable[[Any], Any]]]]:
    fields = model._meta.concrete_fields
    read = dict(instead)
    columns = ", ".join(read.get(field.name) or _quoted(field.column) for field in fields)
    sql = f"{statement.format(table=_quoted(model._meta.db_table))} RETURNING {columns}"
    converters: list[tuple[int, Callable[[Any], Any]]] = [
        (place, partial(_converted, field, converter))
        for place, field in enumerate(fields)
        for converter in field.get_db_converters(connection)
    ]
    return sql, [field.attname for field in fields], converters


def _converted(field: AnyField, converter: Callable[..., Any], value: Any) -> Any:
    return converter(value, field.cached_col, connection)


@cache
def _insert(
    model: type[Model], computed: tuple[tuple[str, str], ...]
) -> tuple[str, list[AnyField]]:
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    columns = ", ".join(_quoted(field.column) for field in fields)
    values = ", ".join(dict(computed).get(field.name, "%s") for field in fields)
    table, key = _quoted(model._meta.db_table), _quoted(model._meta.pk.column)
    sql = f"INSERT INTO {table} ({columns}) VALUES ({values}) RETURNING {key}"  # noqa: S608 - our own names
    return sql, fields


def _quoted(name: str | None) -> str:
    return connection.ops.quote_name(name or "")


def _value(row: Model, field: AnyField) -> Any:
    return _prepared(getattr(row, field.attname), field)


def _prepared(value: Any, field: AnyField) -> Any:
    return field.get_db_prep_save(value.pk if isinstance(value, Model) else value, connection)
