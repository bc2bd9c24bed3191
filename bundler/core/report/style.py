"""How the page looks: on a screen, on a narrow one, in the dark, and on paper. No font or picture from elsewhere."""

from __future__ import annotations

STYLE = """
:root{--ink:#1b1f24;--soft:#57606a;--paper:#fff;--panel:#f5f6f8;--line:#d0d5db;--good:#14682f;--bad:#b3141b;
--mixed:#8a5200;--bar:#3b5b8c;--load:#1b1f24;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a3abb5;--paper:#14171b;--panel:#1e2228;--line:#3a414a;
--good:#5bd182;--bad:#ff7b72;--mixed:#e8b04b;--bar:#7aa2dd;--load:#e8eaed}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",Arial,sans-serif}
main{max-width:66rem;margin:0 auto;padding:2rem 1.5rem 4rem}
h1{font-size:1.75rem;line-height:1.2;margin:0;overflow-wrap:anywhere}
h2{font-size:1.25rem;line-height:1.3;margin:2.75rem 0 .75rem;padding-bottom:.3rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.75rem 0 .25rem;overflow-wrap:anywhere}
p{margin:.4rem 0;max-width:46rem}
code,.hash{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.86em;
overflow-wrap:anywhere}
.kicker{margin:0 0 .25rem;color:var(--soft)}
.note{color:var(--soft);font-size:.9rem}
.verdict{display:flex;gap:1rem;margin:1.5rem 0;padding:1.1rem 1.25rem;background:var(--panel);
border:1px solid var(--line);border-left:.5rem solid var(--tone);border-radius:.35rem}
.verdict strong{display:block;font-size:1.3rem;line-height:1.3;margin-bottom:.25rem}
.verdict svg{flex:none;width:2.4rem;height:2.4rem;margin-top:.1rem}
.verdict a{color:inherit}
.good{--tone:var(--good)}.bad{--tone:var(--bad)}.mixed{--tone:var(--mixed)}
.sign{fill:none;stroke:var(--tone);stroke-width:2.2;stroke-linecap:round;stroke-linejoin:round}
.status{display:inline-flex;white-space:nowrap;gap:.4em;align-items:center;font-weight:600;color:var(--tone)}
.status svg{flex:none;width:1.1em;height:1.1em}
dl.facts{display:grid;grid-template-columns:fit-content(14rem) minmax(0,1fr);gap:.3rem 1.25rem;margin:0}
dl.facts dt{color:var(--soft);overflow-wrap:anywhere}dl.facts dd{margin:0;overflow-wrap:anywhere}
table{width:100%;border-collapse:collapse;margin:.5rem 0 1.25rem;font-size:.94rem}
caption{text-align:left;font-weight:600;padding:.25rem 0}
th,td{text-align:left;vertical-align:top;padding:.5rem .75rem .5rem 0;border-bottom:1px solid var(--line);
overflow-wrap:anywhere}
thead th{color:var(--soft);font-weight:600;font-size:.86rem;overflow-wrap:normal}
tbody th{font-weight:600;min-width:11rem}
.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
th:last-child,td:last-child{padding-right:0}
td .note,th .note{display:block;font-weight:400}
ul.gaps{list-style:none;padding:0;margin:0}
ul.gaps li{padding:.55rem 0 .55rem 1.9rem;border-bottom:1px solid var(--line);position:relative;overflow-wrap:anywhere}
ul.gaps svg{position:absolute;left:0;top:.75rem;width:1.15rem;height:1.15rem}
ul.gaps strong{display:block}
ul.limits{margin:.4rem 0;padding-left:1.25rem}
figure{margin:0}
svg.axis,svg.lane{display:block;overflow:visible}
svg.axis{margin-top:.5rem}
.axis text{font-size:12px;fill:var(--soft)}
ol.lanes{list-style:none;margin:0 0 .5rem;padding:0;font-size:.86rem;line-height:1.35}
ol.lanes li{padding:.2rem 0 0;overflow-wrap:anywhere}
.when{color:var(--soft);font-variant-numeric:tabular-nums}
.grid{stroke:var(--line)}
.bar{fill:var(--bar);fill-opacity:.5;stroke:var(--bar)}.begin{stroke:var(--bar);stroke-width:2}
.diamond{fill:var(--load)}.held{stroke:var(--load);stroke-width:1.5;stroke-dasharray:2 3}
.cross{fill:none;stroke:var(--bad);stroke-width:3}.ring{fill:none;stroke:var(--ink);stroke-width:2}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;padding:0;margin:.5rem 0;list-style:none;font-size:.9rem}
.legend svg{width:16px;height:16px;vertical-align:-3px;margin-right:.35rem}
footer{margin-top:3rem;color:var(--soft);font-size:.86rem}
@media (max-width:40rem){
main{padding:1.25rem 1rem 3rem}
h1{font-size:1.4rem}.verdict{padding:.9rem 1rem;gap:.75rem}.verdict strong{font-size:1.12rem}
.verdict svg{width:1.8rem;height:1.8rem}
dl.facts{grid-template-columns:1fr;gap:0}dl.facts dd{margin-bottom:.5rem}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table,tbody,tr,th,td,caption{display:block;width:auto;min-width:0}
tbody tr{padding:.6rem 0;border-bottom:1px solid var(--line)}
th,td{border:0;padding:.1rem 0;text-align:left}
.number{text-align:left}
td[data-label]::before{content:attr(data-label) ": ";color:var(--soft)}
td[data-label]:empty{display:none}
}
@page{margin:16mm 14mm}
@media print{
:root{--ink:#000;--soft:#444;--paper:#fff;--panel:#fff;--line:#999;--good:#000;--bad:#000;--mixed:#000;--bar:#555;
--load:#000;color-scheme:light}
body{font-size:10pt}main{max-width:none;padding:0}
h2{margin-top:1.5rem}h2,h3,caption,thead,.legend,svg.axis,section>.note{break-after:avoid}
tr,li,.verdict,svg,dl.facts dd,table.short{break-inside:avoid}
thead{display:table-header-group}tbody th{min-width:8.5rem}
.note,thead th,ol.lanes,footer{font-size:8.5pt}
table{font-size:9pt}dl.facts{font-size:9pt}dl.facts code{font-size:7.2pt}
.verdict{border-width:2px 2px 2px .5rem}.verdict a{text-decoration:none}
p,li{orphans:3;widows:3}
}
"""
