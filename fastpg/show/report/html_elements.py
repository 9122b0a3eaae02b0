"""HTML of a report: the page, figures, tables, pictures. No scripts; nothing is fetched."""

import base64
import html
from dataclasses import dataclass

_STYLE = """
:root { --ink: #2c2622; --dim: #85796f; --line: #e9e3dc; --pong: #90480f; --ball: #ececec; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  color: var(--ink); background: #f7f4f0; }
header { background: var(--pong); color: #fff; border-bottom: 10px solid var(--ball); }
header > div { position: relative; min-height: 170px; max-width: 1120px; margin: auto;
  padding: 44px 64px 28px; }
header h1 { margin: 0; font-size: 34px; line-height: 1.15; letter-spacing: -.02em; }
header p { margin: 8px 0 0; color: #f3dcc7; overflow-wrap: anywhere; }
header i { position: absolute; display: block; }
header .left { left: 24px; top: 40px; width: 11px; height: 56px; background: #d5824a; }
header .right { right: 24px; top: 84px; width: 11px; height: 56px; background: #5cba5c; }
header .ball { right: 128px; top: 92px; width: 11px; height: 14px; background: var(--ball); }
main { max-width: 1120px; margin: 0 auto; padding: 0 24px 48px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px;
  margin: 26px 0; }
.cards div { background: #fff; border: 1px solid var(--line); border-radius: 10px;
  padding: 14px 16px; }
.cards b { display: block; font-size: 25px; line-height: 1.2; letter-spacing: -.01em;
  font-variant-numeric: tabular-nums; }
.cards span { color: var(--dim); font-size: 13px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; margin: 0 0 18px;
  padding: 18px 24px 22px; }
h2 { margin: 0 0 2px; font-size: 19px; letter-spacing: -.01em; }
section > p { margin: 0 0 12px; color: var(--dim); max-width: 78ch; }
img, video { display: block; width: 100%; height: auto; }
img.narrow { max-width: 660px; margin: auto; }
video { max-width: 864px; margin: auto; border-radius: 6px; background: #161312; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: 500; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 8px; }
.set td, .set th { white-space: normal; text-align: left; padding: 3px 10px;
  font-size: 12.5px; font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
.set tr.other td { background: #fdf0e4; }
summary { cursor: pointer; color: var(--pong); }
.note { background: #fdf0e4; border-color: #f0d3b5; }
footer { color: var(--dim); font-size: 13px; text-align: center; padding: 8px 0 0; }
@media (max-width: 600px) { header > div { padding: 40px 46px 28px; } main { padding: 0 10px 32px; }
  section { padding: 14px 12px; } header .ball { display: none; }
  .scroll img { width: 640px; max-width: none; } }
@media print { section { break-inside: avoid; } body { background: #fff; } }
"""


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    title: str  #: heading, plain text
    text: str  #: paragraph below it, plain text
    body: str  #: HTML


def escaped(text: object) -> str:
    """Return text as HTML."""
    return html.escape(str(text))


def picture(data: bytes, kind: str, alt: str, narrow: bool = False) -> str:
    """Return HTML of an image with its data inside; ``kind`` is ``svg+xml`` or ``png``."""
    css = ' class="narrow"' if narrow else ""
    source = f"data:image/{kind};base64,{_base64(data)}"
    return f'<div class="scroll"><img{css} alt="{escaped(alt)}" src="{source}"></div>'


def video(data: bytes) -> str:
    """Return HTML of an mp4 video with its data inside."""
    source = f"data:video/mp4;base64,{_base64(data)}"
    return f'<video controls muted loop playsinline preload="auto" src="{source}"></video>'


def cards(figures: list[tuple[str, str]]) -> str:
    """Return HTML of large figures, given as (name, figure)."""
    cells = (f"<div><b>{escaped(f)}</b><span>{escaped(n)}</span></div>" for n, f in figures)
    return f'<div class="cards">{"".join(cells)}</div>'


def table(head: list[str], rows: list[list[str]], keys: list[str] | None = None) -> str:
    """Return HTML of a table of plain text; ``keys``: a colour to mark each row with."""
    lines = [f"<tr>{''.join(f'<th>{escaped(cell)}</th>' for cell in head)}</tr>"]
    for number, row in enumerate(rows):
        cells = [escaped(cell) for cell in row]
        if keys:
            cells[0] = f'<span class="key" style="background:{keys[number]}"></span>{cells[0]}'
        lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def settings(head: list[str], rows: list[list[str]], marked: set[str]) -> str:
    """Return HTML of a table of settings, whose names are the first column.

    Args:
        head: names of the columns.
        rows: plain text of the rows.
        marked: names of settings to highlight.
    """
    lines = [f"<tr>{''.join(f'<th>{escaped(cell)}</th>' for cell in head)}</tr>"]
    for row in rows:
        css = ' class="other"' if row[0] in marked else ""
        lines.append(f"<tr{css}>{''.join(f'<td>{escaped(cell)}</td>' for cell in row)}</tr>")
    return f'<div class="scroll"><table class="set">{"".join(lines)}</table></div>'


def page(title: str, subtitle: str, lead: str, sections: list[Section], foot: str) -> str:
    """Return the HTML file; ``lead`` is HTML, the other strings are plain text."""
    body = "".join(
        f"<section><h2>{escaped(one.title)}</h2><p>{escaped(one.text)}</p>{one.body}</section>"
        for one in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escaped(title)}</title><link rel="icon" href="data:,"><style>{_STYLE}</style>'
        '</head>\n<body><header><div><i class="left"></i><i class="ball"></i><i class="right"></i>'
        f"<h1>{escaped(title)}</h1><p>{escaped(subtitle)}</p></div></header>\n"
        f"<main>{lead}{body}<footer>{escaped(foot)}</footer></main></body></html>\n"
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
