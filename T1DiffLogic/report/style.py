"""The style of report.html: one column of sheets on the screen, two A4 pages on paper."""

from __future__ import annotations

import numpy as np

from ..study import RESEARCH_NOTICE

PAGE_MM = (210.0, 297.0)
SLICES_ROOM_MM = (120.0, 218.0)
"""What the tiles of all slices may take of the second page, width and height."""

_STYLE = """
* { box-sizing: border-box; }
body { font: 15px/1.4 "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; color: #1b1b1b;
  background: #eceef0; margin: 0; }
.sheet { background: #fff; max-width: 1180px; margin: 0 auto 18px; padding: 0 26px 26px; }
h1 { font-size: 25px; margin: 14px 0 2px; }
h2 { font-size: 17px; margin: 18px 0 6px; border-bottom: 1px solid #ccc; padding-bottom: 2px; }
p { margin: 4px 0; }
.sub, .fine { color: #555; }
.fine { font-size: 13px; }
.notice { background: #a61c1c; color: #fff; font-weight: 700; font-size: 17px; text-align: center;
  padding: 8px; margin: 0 -26px; }
.sheet:first-of-type .notice { position: sticky; top: 0; z-index: 2; }
.identity { display: flex; flex-wrap: wrap; gap: 2px 26px; border: 2px solid #1b1b1b; padding: 5px 12px;
  margin: 10px 0 0; }
.identity span { color: #555; }
.cards { display: flex; flex-wrap: wrap; gap: 8px; margin: 10px 0 0; }
.card { border: 1px solid #ccc; border-radius: 5px; padding: 5px 11px; flex: 1 1 auto; }
.card b { display: block; font-size: 20px; white-space: nowrap; }
.card span { color: #555; font-size: 13px; }
.plates { display: flex; justify-content: space-around; gap: 10px; }
.plate { flex: 1 1 0; max-width: 360px; text-align: center; }
.plate h3 { font-size: 15px; margin: 2px 0; }
.plate svg { width: 100%; }
.bullseye path { stroke: #fff; stroke-width: 1.5; }
.bullseye text { text-anchor: middle; font-size: 9.2px; font-weight: 700; }
.bullseye .doubt { font-size: 7px; font-weight: 400; }
.bullseye .number { font-size: 6px; font-weight: 400; }
.bullseye .wall { font-size: 9.5px; font-weight: 400; fill: #333; }
.bar { max-width: 300px; }
.bar text { text-anchor: middle; font-size: 8.5px; }
.bar path { stroke: #333; stroke-width: .6; }
.bar rect { shape-rendering: crispEdges; }
.curve { width: 100%; max-width: 520px; }
.curve path { fill: none; }
.curve .axis { stroke: #888; }
.curve polyline { fill: none; stroke: #333; stroke-width: 1.2; }
.curve text { font-size: 9px; }
.hidden { position: absolute; width: 0; height: 0; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 0 26px; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 2px 6px; border-bottom: 1px solid #ddd; text-align: left; }
thead th { background: #f0f0f0; vertical-align: bottom; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td.n, .segments td:nth-child(2) { white-space: nowrap; }
.segments { font-size: 14px; }
tr.none td { color: #6b6b6b; }
tr.ring td { border-top: 1.5px solid #888; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 1px 12px; margin: 0; }
dt { color: #555; }
dd { margin: 0; overflow-wrap: anywhere; }
.wide dl { grid-template-columns: repeat(3, max-content 1fr); }
ul { margin: 0; padding-left: 17px; }
li { overflow-wrap: anywhere; }
.slices { table-layout: fixed; }
.slices th { font-size: 13px; text-align: center; font-weight: 600; padding: 2px; }
.slices tbody th { font-weight: 400; background: none; }
.slices th:first-child { width: 84px; }
.slices td { padding: 1px; border: 0; }
.slices tbody th { border: 0; }
.slices svg { display: block; width: 100%; background: #000; overflow: hidden; }
.map { image-rendering: pixelated; }
.line { fill: none; stroke-width: 1; stroke-linejoin: round; }
.sides text, .insertions text, .said { paint-order: stroke; stroke: #000; stroke-width: 1.2px;
  font-weight: 700; }
.sides text, .said { fill: #fff; }
.said { text-anchor: middle; }
.insertions text { fill: #ff0; text-anchor: middle; }
.insertions path { stroke: #ff0; stroke-width: 1.6; }
.bars { display: flex; gap: 10px; justify-content: space-around; margin-top: 6px; }
.bars svg { flex: 1 1 0; max-width: 260px; }
.paper { display: none; }
@media screen and (max-width: 760px) {
  .two { grid-template-columns: 1fr; }
  .wide dl { grid-template-columns: max-content 1fr; }
  .plates { flex-wrap: wrap; }
  .plate { flex-basis: 240px; }
  .scroll { overflow-x: auto; }
  .slices { min-width: 640px; }
}
@media print {
  @page { size: A4 portrait; margin: 8mm 9mm 11mm;
    @bottom-left { content: "NOTICE"; color: #a61c1c; font: bold 7pt Arial, sans-serif; }
    @bottom-right { content: "page " counter(page) " of " counter(pages); font: 7pt Arial, sans-serif; } }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  body { font-size: 7pt; line-height: 1.25; background: none; }
  .segments { font-size: 7pt; }
  .segments th, .segments td { padding: .35mm 1mm; }
  .segments td:last-child { font-size: 6.2pt; white-space: nowrap; }
  .sheet { max-width: none; margin: 0; padding: 0; }
  .sheet + .sheet { break-before: page; }
  .notice { position: static !important; font-size: 11pt; padding: 1.4mm; margin: 0; }
  .screen { display: none !important; }
  .paper { display: list-item; }
  h1 { font-size: 15pt; margin: 2mm 0 0; }
  h2 { font-size: 9pt; margin: 1.9mm 0 .8mm; break-after: avoid; }
  .fine, .card span { font-size: 6.3pt; }
  .identity { padding: .6mm 2mm; margin-top: 1.2mm; border-width: 1.2pt; font-size: 8pt; gap: 0 6mm; }
  .cards { gap: 1.2mm; margin-top: 1.5mm; flex-wrap: nowrap; }
  .card { padding: .5mm 1.2mm; }
  .card b { font-size: 9.6pt; }
  .plate h3 { font-size: 8.5pt; margin: 0; }
  .plate { max-width: 57mm; }
  .plates { gap: 0; }
  .curve { max-width: 84mm; }
  .bar { max-width: 52mm; }
  th, td { padding: .35mm 1.6mm; }
  .slices { width: auto; }
  .slices th { font-size: 6pt; padding: .3mm; width: var(--tile); }
  .slices th:first-child { width: 13mm; }
  .slices td { padding: .2mm; }
  .slices svg { width: var(--tile); height: var(--tile); }
  .maps-beside { display: grid; grid-template-columns: var(--slices) 1fr; gap: 0 4mm; }
  .beside { font-size: 6.6pt; }
  .beside dl { display: block; }
  .beside dt, .beside dd { display: inline; }
  .beside dt::after { content: ": "; }
  .beside dd::after { content: "\\A"; white-space: pre; }
  .bars { gap: 2mm; margin-top: 1mm; }
  .bars svg { max-width: 42mm; }
  tr, .card, svg { break-inside: avoid; }
}
"""


def style(tile_mm: float, columns: int) -> str:
    """The style sheet; tiles of slices are printed `tile_mm` wide, `columns` in a row."""
    tile = np.floor(tile_mm * 10) / 10
    sizes = f":root {{ --tile: {tile:.1f}mm; --slices: {13.5 + columns * (tile + 0.4):.1f}mm; }}\n"
    return sizes + _STYLE.replace("NOTICE", RESEARCH_NOTICE)
