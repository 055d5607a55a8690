"""Every flag that `--help` shows is given, with its command, on a command line of some test.

The tests are read, not run: a command line is a call or a tuple of texts that names the command before the flag. A call
of a function that adds its arguments to a command line (`bench.apply("--no-wait")`) is one, too.
"""

import argparse
import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from reconciler.cli.main import build_parser

TESTS = Path(__file__).resolve().parents[1]
Words = tuple[str, ...]


def flags(parser: argparse.ArgumentParser, command: Words = ()) -> Iterator[tuple[Words, str]]:
    """Each command, by its words, with each of its flags in its longest spelling."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from flags(below, (*command, name))
        elif action.option_strings and not isinstance(action, argparse._HelpAction):
            yield command, max(action.option_strings, key=len)


def test_every_flag_of_every_command_is_given_in_a_test() -> None:
    lines = command_lines()
    shown = list(flags(build_parser()))
    assert len(shown) > 100
    untested = [" ".join((*command, flag)) for command, flag in shown if not any(has(w, command, flag) for w in lines)]
    assert not untested, "\n".join([f"{len(untested)} of {len(shown)} flags are in no test:", *untested])


def has(line: Words, command: Words, flag: str) -> bool:
    """Whether a command line gives *flag* to *command*."""
    if flag not in (word.partition("=")[0] for word in line):
        return False
    words = iter(line)
    return all(word in words for word in command)


@cache
def command_lines() -> frozenset[Words]:
    """The texts of every call, tuple and list in the tests, in order."""
    texts = (path.read_text("utf-8") for path in sorted(TESTS.rglob("*.py")))
    trees = [ast.parse(text) for text in texts if '"--' in text]
    adders = {name: words for tree in trees for name, words in _adders(tree)}
    return frozenset(line for tree in trees for line in _lines(tree, adders) if any(w.startswith("--") for w in line))


def _adders(tree: ast.Module) -> Iterator[tuple[str, Words]]:
    """Functions that put their arguments behind words of their own: name -> these words."""
    for made in ast.walk(tree):
        if isinstance(made, ast.FunctionDef | ast.AsyncFunctionDef) and made.args.vararg is not None:
            for call in ast.walk(made):
                if isinstance(call, ast.Call) and any(_is_star(arg, made.args.vararg.arg) for arg in call.args):
                    yield made.name, tuple(_texts(call.args, {}))


def _is_star(argument: ast.expr, name: str) -> bool:
    return isinstance(argument, ast.Starred) and isinstance(argument.value, ast.Name) and argument.value.id == name


def _lines(tree: ast.Module, adders: dict[str, Words]) -> Iterator[Words]:
    """Command lines of a module; names stand for what the module, or the function, assigns to them."""
    named = _assigned(tree.body)
    for made in ast.walk(tree):
        if isinstance(made, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes = list(ast.walk(made))
            inside = named | _assigned([node for node in nodes if isinstance(node, ast.stmt)])
            for node in nodes:
                yield from _line(node, inside, adders)
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.List):
            yield from _line(node, named, adders)


def _line(node: ast.AST, named: dict[str, list[str]], adders: dict[str, Words]) -> Iterator[Words]:
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        yield (*adders.get(name, ()), *_texts(node.args, named))
    elif isinstance(node, ast.Tuple | ast.List):
        yield tuple(_texts(node.elts, named))


def _assigned(body: list[ast.stmt]) -> dict[str, list[str]]:
    """The texts that names have."""
    found: dict[str, list[str]] = {}
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = list(_texts([node.value], found))
    return found


def _texts(nodes: list[ast.expr], named: dict[str, list[str]]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Constant(value=str() as text):
                yield text
            case ast.JoinedStr(values=[ast.Constant(value=str() as text), *_]):
                yield text
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                yield from _texts(parts, named)
            case ast.Starred(value=value):
                yield from _texts([value], named)
            case ast.Name(id=name):
                yield from named.get(name, ())
            case ast.IfExp(body=one, orelse=other):
                yield from _texts([one, other], named)
