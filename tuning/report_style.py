"""The look of a report: light and dark, by what the reader's system prefers."""

STYLE = """
:root { --back: #fbfaf7; --ink: #1d2430; --dim: #667085; --line: #c3c9d4; --card: #fff; --live: #98a2b3;
  --candidate: #2563eb; --holds: #1f8a4c; --fails: #c8332b; --unclear: #b7791f; }
@media (prefers-color-scheme: dark) { :root { --back: #14171c; --ink: #e8eaf0; --dim: #98a2b3; --line: #475467;
  --card: #1d222a; --live: #7d8798; --candidate: #7aa7ff; --holds: #4cc38a; --fails: #ff6b61; --unclear: #f0b429; } }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { margin: 0; font-size: 26px; } h2 { margin: 34px 0 8px; font-size: 18px; }
.dim { color: var(--dim); margin: 2px 0; font-size: 13px; }
.verdict { border: 1px solid var(--line); border-left: 6px solid var(--unclear); border-radius: 8px;
  background: var(--card); padding: 10px 16px; margin: 18px 0; }
.verdict.promote { border-left-color: var(--holds); } .verdict.keep { border-left-color: var(--fails); }
.verdict b { font-size: 18px; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th, td { text-align: left; padding: 5px 12px; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; } th { color: var(--dim); font-weight: 600; }
td.number { text-align: right; white-space: nowrap; } td.text { overflow-wrap: anywhere; }
.holds { color: var(--holds); } .fails { color: var(--fails); } .unclear { color: var(--unclear); }
svg { display: block; min-width: 180px; }
svg .axis { stroke: var(--line); } svg .live { stroke: var(--live); fill: var(--live); }
svg .candidate { stroke: var(--candidate); fill: var(--candidate); }
figure { display: inline-block; margin: 8px 12px 8px 0; }
figure img { max-width: 100%; border-radius: 8px; background: #fff; }
figcaption { color: var(--dim); font-size: 13px; }
"""
