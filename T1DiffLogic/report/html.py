"""Pieces of HTML that every part of the page is made of; whatever comes from outside is escaped here."""

from __future__ import annotations

from html import escape


def section(title: str, body: str) -> str:
    """A titled part; "" without a body."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def number(value, unit: str = "", digits: int = 0, sign: bool = False) -> str:
    """Text of a number, a dash for None, a true minus sign; `sign` marks what is above zero too."""
    if value is None:
        return "–"
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if not text.strip("+-0."):
        text = text.strip("+-")  # no "−0"
    return text.replace("-", "−") + unit


def with_doubt(value, doubt, unit: str = "", digits: int = 0, sign: bool = False) -> str:
    """value ± doubt, as far as they are known."""
    if value is None or doubt is None:
        return number(value, unit, digits, sign)
    return f"{number(value, '', digits, sign)} ± {doubt:.{digits}f}{unit}"


def table(columns: list[tuple[str, bool]], rows: list[tuple[list[str], str]]) -> str:
    """columns: (title, numeric);  rows: (cells, class of the row)."""
    head = "".join(
        f"<th{' class=n' if numeric else ''} scope='col'>{escape(title)}</th>" for title, numeric in columns
    )
    body = ""
    for cells, kind in rows:
        tds = (
            f"<td{' class=n' if numeric else ''}>{escape(cell)}</td>"
            for cell, (_, numeric) in zip(cells, columns, strict=True)
        )
        body += f"<tr{f' class={kind!r}' if kind else ''}>{''.join(tds)}</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def facts(pairs) -> str:
    """A list of labels and values."""
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs) + "</dl>"


def bullets(sentences: list[str], room: int | None = None) -> str:
    """A list of sentences; those that begin after `room` characters are on the screen only, as print says."""
    items, used, hidden = "", 0, 0
    for sentence in sentences:
        unprinted = room is not None and used > room
        hidden += unprinted
        used += len(sentence) + 20
        items += f"<li{' class=screen' if unprinted else ''}>{escape(sentence)}</li>"
    if hidden:
        items += f"<li class='paper'>{hidden} more in report.html on the screen and in result.json.</li>"
    return f"<ul>{items}</ul>" if sentences else ""
