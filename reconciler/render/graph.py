"""Graphs as text, in the languages of Graphviz and Mermaid, and as JSON."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Final

from reconciler.graph import Graph, Node, Relation
from reconciler.lifecycle.wording import counted
from reconciler.render.text import clean

_DOT: Final = {Relation.RUNS_ON: "solid", Relation.MAKES: "bold", Relation.WAITS_FOR: "dashed"}
_MERMAID: Final = {Relation.RUNS_ON: "-->", Relation.MAKES: "==>", Relation.WAITS_FOR: "-.->"}


def graph_text(graph: Graph) -> str:
    """Each object, and below it what it runs on, makes and waits for."""
    lines = []
    for node in graph.nodes:
        lines.append(clean("  ".join(_words(node))))
        lines += [f"  {edge.relation} {edge.end}" for edge in graph.of(node.address)]
    return "\n".join(lines)


def graph_dot(graph: Graph) -> str:
    """For `dot -Tsvg`."""
    lines = ["digraph reconciler {", "  rankdir=LR;", "  node [shape=box];"]
    for node in graph.nodes:
        style = "" if node.declared else ", style=dashed"
        lines.append(f"  {_quoted(node.address)} [label={_quoted(_label(node))}{style}];")
    for edge in graph.edges:
        style = f"label={_quoted(edge.relation)}, style={_DOT[edge.relation]}"
        lines.append(f"  {_quoted(edge.start)} -> {_quoted(edge.end)} [{style}];")
    return "\n".join([*lines, "}"])


def graph_mermaid(graph: Graph) -> str:
    """For a Markdown document: GitHub draws a block of the language `mermaid`."""
    ids = {node.address: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        left, right = ("[", "]") if node.declared else ("([", "])")
        lines.append(f'  {ids[node.address]}{left}"{_entities(_label(node))}"{right}')
    lines += [f"  {ids[edge.start]} {_MERMAID[edge.relation]}|{edge.relation}| {ids[edge.end]}" for edge in graph.edges]
    return "\n".join(lines)


def graph_json(graph: Graph) -> str:
    """Nodes and edges for programs."""
    document = {
        "format_version": "1.0",
        "kind": "Graph",
        "nodes": [{**asdict(node), "source": node.source or None} for node in graph.nodes],
        "edges": [{"from": edge.start, "to": edge.end, "relation": edge.relation} for edge in graph.edges],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


FORMATS: Final[Mapping[str, Callable[[Graph], str]]] = {
    "text": graph_text,
    "dot": graph_dot,
    "mermaid": graph_mermaid,
    "json": graph_json,
}


def _words(node: Node) -> Iterator[str]:
    yield _label(node)
    if not node.declared:
        yield "(not declared here)"
    elif node.source:
        yield f"({node.source})"


def _label(node: Node) -> str:
    tasks = f" ({counted(node.tasks, 'task')})" if node.tasks else ""
    return clean(node.address + tasks)


def _quoted(text: str) -> str:
    escaped = clean(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _entities(text: str) -> str:
    """Mermaid's own escapes: names and numbers between # and ;."""
    return "".join(char if char.isalnum() or char in "/-_.:() " else f"#{ord(char)};" for char in text)
