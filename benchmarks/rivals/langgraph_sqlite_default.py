"""LangGraph with its SQLite saver at its default durability, which writes behind the run: less is kept, but sooner."""

import langgraph_sqlite
from langgraph_sqlite import chain, concurrent

langgraph_sqlite.DURABILITY = "async"
__all__ = ["chain", "concurrent"]
