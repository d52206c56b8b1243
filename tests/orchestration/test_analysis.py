"""What a graph's shape implies, on names and edges alone."""

from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.orchestration.analysis import Shape
from coterie.orchestration.edges import START, Catch, Edge, Fork, Gather, Join, Link, sources_of

NAMES = tuple("abcdef")


def shape(*edges: Edge, starts: tuple[str, ...] = ("a",), ends: frozenset[str] = frozenset()) -> Shape:
    return Shape(starts, ends, edges, NAMES)


def before(graph: Shape, name: str) -> set[str]:
    """The nodes that always answer before `name`, without branches."""
    return {node for node, member in graph.always_before[name] if member is None} - {START}


def test_what_the_input_can_lead_to_is_reachable() -> None:
    """Along edges, gathers, maps and error handlers."""
    graph = shape(Link("a", "b"), Catch("b", "c"), Fork("c", "d"), Link("e", "f"))
    assert graph.reachable == {"a", "b", "c", "d"}


def test_a_chain_always_comes_before_its_end() -> None:
    """And so does the flow's input."""
    graph = shape(Link("a", "b"), Link("b", "c"))
    assert before(graph, "c") == {"a", "b"}
    assert (START, None) in graph.always_before["a"]


def test_branches_that_meet_leave_only_what_came_before_them() -> None:
    """Either may have been taken."""
    graph = shape(Link("a", "b"), Link("a", "c"), Link("b", "d"), Link("c", "d"))
    assert before(graph, "d") == {"a"}


def test_a_gather_unites_what_came_before_its_sources() -> None:
    """It waits for all of them."""
    graph = shape(Link("a", "b"), Link("a", "c"), Gather(("b", "c"), "d"))
    assert before(graph, "d") == {"a", "b", "c"}


def test_a_join_comes_after_its_map_and_not_after_its_items() -> None:
    """There may be no item."""
    graph = shape(Fork("a", "b"), Link("b", "c"), Join("c", "d"))
    assert before(graph, "d") == {"a"}
    assert before(graph, "c") == {"a", "b"}


def test_a_handler_comes_after_what_came_before_its_node() -> None:
    """The node itself has no answer."""
    graph = shape(Link("a", "b"), Catch("b", "c"))
    assert before(graph, "c") == {"a"}


def test_a_branch_is_known_behind_it() -> None:
    """Which member was answered is a fact on its way, also on that to an exhausted node."""
    graph = shape(Link("a", "b", on=int, max_visits=1, exhausted="c"), Link("a", "d", on=str))
    assert ("a", int) in graph.always_before["b"]
    assert ("a", int) in graph.always_before["c"]
    assert ("a", int) not in graph.always_before["d"]


def test_what_nothing_leads_to_does_not_count() -> None:
    """An edge from an unreachable node takes nothing away."""
    assert before(shape(Link("a", "b"), Link("b", "c"), Link("f", "c")), "c") == {"a", "b"}


def test_maps_are_known_from_the_outside_in() -> None:
    """A join closes the innermost."""
    outer, inner, join = Fork("a", "b"), Fork("b", "c"), Join("c", "d")
    graph = shape(outer, inner, join, Join("d", "e"))
    assert graph.forks_around == {"a": (), "b": (outer,), "c": (outer, inner), "d": (outer,), "e": ()}
    assert graph.fork_of(join) == inner
    assert graph.conflicts == {}


def test_two_depths_are_a_conflict() -> None:
    """With both sets of maps."""
    fork = Fork("a", "b")
    assert shape(fork, Link("b", "c"), Link("a", "c")).conflicts == {"c": ((), (fork,))}


def test_a_cycle_is_told_once_from_its_first_node_on() -> None:
    """A bound on any of its edges is enough; the way to an exhausted node is not bounded."""
    there, back = Link("a", "b"), Link("b", "a")
    assert shape(there, back).unbounded_cycles == [["a", "b"]]
    assert shape(there, Link("b", "a", max_visits=1)).unbounded_cycles == []
    assert shape(there, Link("b", "c", max_visits=1, exhausted="a")).unbounded_cycles == [["a", "b"]]


def test_a_handler_without_edges_stands_in() -> None:
    """Unless it handles two nodes or ends the flow; its own handler stands in for the same node."""
    edges = (Link("a", "b"), Catch("a", "c"))
    assert shape(*edges).stands_in == {"c": "a"}
    assert shape(*edges, Catch("c", "d")).stands_in == {"c": "a", "d": "a"}
    assert shape(*edges, Catch("b", "c")).stands_in == {}
    assert shape(*edges, ends=frozenset("c")).stands_in == {}
    assert shape(*edges, Link("c", "b")).stands_in == {}


def test_handlers_of_each_other_do_not_hang() -> None:
    """They are a cycle, which is a fault; finding it comes to an end."""
    graph = shape(Catch("a", "b"), Catch("b", "a"))
    assert graph.unbounded_cycles == [["a", "b"]]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    name = st.sampled_from(NAMES)
    link = st.builds(Link, name, name)
    gather = st.builds(Gather, st.tuples(name, name), name)
    return shape(*draw(st.lists(link | link | gather, max_size=9, unique=True)))


def runs(graph: Shape, without: str | None) -> set[str]:
    """The nodes that run when `without` never answers: any edge starts its target, a gather needs all its sources."""
    running = set(graph.starts)
    while True:
        answered = running - {without}
        more = {
            edge.target
            for edge in graph.edges
            if (answered.issuperset(edge.sources) if isinstance(edge, Gather) else edge.source in answered)
        }
        if more <= running:
            return running
        running |= more


@settings(deadline=None)
@given(shapes())
def test_what_always_comes_before_is_what_nothing_runs_without(graph: Shape) -> None:
    """A node always comes before another exactly when the other never runs without its answer."""
    possible = runs(graph, None)
    graph = shape(*(edge for edge in graph.edges if possible.issuperset(sources_of(edge))))
    needed = {name: {one for one in NAMES if name not in runs(graph, one)} for name in possible}
    assert {name: before(graph, name) for name in possible} == needed
