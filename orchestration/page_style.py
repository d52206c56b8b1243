"""The look of the page: light and dark, by what the reader's system prefers."""

STYLE = """
:root { --back: #fbfaf7; --ink: #1d2430; --dim: #667085; --line: #c3c9d4; --card: #fff; --agent: #e7efff; --person: #fff3d6;
  --done: #1f8a4c; --failed: #c8332b; --waiting: #b7791f; --running: #2563eb; }
@media (prefers-color-scheme: dark) { :root { --back: #14171c; --ink: #e8eaf0; --dim: #98a2b3; --line: #475467;
  --card: #1d222a; --agent: #1f2d4d; --person: #463714; --done: #4cc38a; --failed: #ff6b61; --waiting: #f0b429;
  --running: #7aa7ff; } }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1320px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { margin: 0; font-size: 26px; } h2 { margin: 34px 0 8px; font-size: 18px; }
h4 { margin: 12px 0 2px; font-size: 12px; color: var(--dim); text-transform: uppercase; letter-spacing: .05em; }
.types { color: var(--dim); margin: 2px 0; font-size: 13px; }
.scroll { overflow-x: auto; margin-top: 16px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
svg { max-width: 100%; height: auto; display: block; }
svg text { font: 13px system-ui, sans-serif; fill: var(--ink); text-anchor: middle; }
svg text.small { font-size: 11px; fill: var(--dim); }
svg text.label { font-size: 11px; fill: var(--dim); paint-order: stroke; stroke: var(--card); stroke-width: 4px; }
.node rect { fill: var(--card); stroke: var(--line); stroke-width: 1.5; }
.node.agent rect { fill: var(--agent); } .node.person rect { fill: var(--person); }
.node.flow rect { stroke-dasharray: 2 2; }
.node.done rect { stroke: var(--done); stroke-width: 2; } .node.failed rect { stroke: var(--failed); stroke-width: 2.5; }
.node.waiting rect { stroke: var(--waiting); stroke-width: 2.5; stroke-dasharray: 6 3; }
.node.running rect { stroke: var(--running); stroke-width: 2; }
.edge { fill: none; stroke: var(--line); stroke-width: 1.6; } .edge.dashed { stroke-dasharray: 5 4; }
marker path { fill: var(--line); }
.timeline { font-variant-numeric: tabular-nums; }
.row { display: grid; grid-template-columns: minmax(120px, 24%) 1fr 150px; gap: 12px; align-items: center; font-size: 13px;
  color: inherit; text-decoration: none; padding: 2px 0; }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .time { color: var(--dim); }
.track { position: relative; height: 12px; background: color-mix(in srgb, var(--line) 30%, transparent); border-radius: 6px; }
.bar { position: absolute; top: 0; bottom: 0; border-radius: 6px; background: var(--running); }
.bar.done { background: var(--done); } .bar.failed { background: var(--failed); } .bar.waiting { background: var(--waiting); }
details { border: 1px solid var(--line); border-radius: 8px; background: var(--card); margin: 6px 0; padding: 6px 12px; }
details.failed { border-color: var(--failed); } details.waiting { border-color: var(--waiting); }
summary { cursor: pointer; }
pre { margin: 4px 0; padding: 8px 10px; background: var(--back); border-radius: 6px; overflow-x: auto; font-size: 12.5px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.error { color: var(--failed); margin: 4px 0; overflow-wrap: anywhere; }
"""
