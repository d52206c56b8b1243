"""Questions that were open before logs had a table for them: a row for each, made from the facts of its run.

Frozen with the migration that uses it: it knows the tables as they were then.
"""

import hashlib
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, text

WHY = "its flow asks, and was written before reviews had reasons"
OPEN = """
SELECT facts.run, facts.task, facts.node, facts.at, facts.body, runs.flow, runs.thread, runs.definition
FROM facts JOIN runs ON runs.id = facts.run
WHERE facts.kind = 'review-requested' AND runs.state = 'running' AND NOT EXISTS (
    SELECT 1 FROM facts AS later WHERE later.run = facts.run AND later.task = facts.task
    AND later.kind IN ('review-answered', 'task-finished', 'task-failed') AND later.seq > facts.seq)
"""
INSERT = """
INSERT INTO reviews (run, task, flow, node, thread, author, definition, role, digest, asked, deadline, asking, proposed,
    risk, doubt, agrees, urgency, alike, text, state, decision, "by", label, kept, "release", closed, claimed,
    claimed_until, skipped, agreed, notes, hash)
VALUES (:run, :task, :flow, :node, :thread, NULL, :definition, :role, :digest, :asked, NULL, :asking, NULL,
    1.0, NULL, 1, 1.0, :alike, :text, 'open', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, 0, '[]', '[]', :hash)
"""


def take_over(connection: Connection) -> None:
    """Makes the rows."""
    for row in connection.execute(text(OPEN)).all():
        digest = from_json(row.body)["message"]["$message"]
        chosen = text("SELECT body, origin FROM messages WHERE digest = :digest")
        message = connection.execute(chosen, {"digest": digest}).one()
        connection.execute(text(INSERT), _values(row, digest, message))


def _values(row: Any, digest: str, message: Any) -> dict[str, Any]:
    role = "" if message.origin is None else from_json(message.origin)["role"]
    said = message.body.casefold()[:4_000]
    alike = hashlib.blake2b(said.encode(), digest_size=8).hexdigest()
    asking = to_json({"why": [WHY], "rules": [], "case": ""}).decode()
    what = (row.run, row.task, row.flow, row.node, row.thread, None, row.definition, role, digest, row.at, None, asking,
            None, 1.0, None, 1, 1.0, alike, said)  # fmt: skip
    became = ("open", None, None, None, None, None, None, None, None, 0, "[]", "[]")
    return {
        "run": row.run, "task": row.task, "flow": row.flow, "node": row.node, "thread": row.thread,
        "definition": row.definition, "role": role, "digest": digest, "asked": row.at, "asking": asking,
        "alike": alike, "text": said, "hash": hashlib.sha256(to_json((*what, *became))).hexdigest(),
    }  # fmt: skip
