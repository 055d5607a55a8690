"""`${var.NAME}` and `${env.NAME}`: which there are, and putting them in. `${item.NAME}` is kept for the template.

Strict, because a name spelled wrong must not become an empty string in a command line. Everything else that begins
with `${` belongs to the shell or the service (`${AZ_BATCH_NODE_ID}`, `${X:-y}`) and is left alone; `$${` stands for a
literal `${`. What is put in is not looked at again.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import Finding
from reconciler.manifest.scalar import plain
from reconciler.manifest.text import Document, Reference
from reconciler.manifest.words import Path, did_you_mean, quoted
from reconciler.model.groups import Reference as Item
from reconciler.model.groups import Template

_TOKEN: Final = re.compile(r"\$\$\{|\$\{(?P<scope>var|env|item)\.(?P<name>[^{}]*)(?P<end>\}?)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LITERAL: Final = "$${"
_SHAPES: Final = {
    "integer": re.compile(r"[-+]?[0-9]+"),
    "number": re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)"),
    "boolean": re.compile(r"true|false"),
}
DECLARATIONS: Final = ("spec", "variables")


class _UnknownError(Exception):
    """A reference that stands for nothing. Empty when the reason was told elsewhere."""


@dataclass(frozen=True)
class Variables:
    """What references stand for.

    *declared* has the defaults by name, None for a variable without one; it is None itself when a file that could not
    be read may hold the declarations. *broken* are names whose declaration is a finding.
    """

    declared: Mapping[str, str | None] | None
    broken: frozenset[str]
    given: Mapping[str, str]
    environment: Mapping[str, str]
    baseless: bool = False
    """A base is missing, which may declare any other."""

    @classmethod
    def of(
        cls,
        stacks: Sequence[Document],
        given: Mapping[str, str],
        environment: Mapping[str, str],
        *,
        all_read: bool,
        baseless: bool = False,
    ) -> "Variables":
        """Those that *stacks* declare, the Stack of a base before the one laid over it. Reads leniently: what is wrong
        with a declaration is for the model to say."""
        declared: dict[str, str | None] = {}
        broken: set[str] = set()
        for stack in stacks:
            variables = stack.at(DECLARATIONS)
            for name, declaration in variables.items() if isinstance(variables, dict) else ():
                default = declaration.get("default") if isinstance(declaration, dict) else None
                if isinstance(default, str) or name not in declared:  # a Stack over another may leave it as it is
                    declared[name] = default.replace(_LITERAL, "${") if isinstance(default, str) else None
                if not isinstance(declaration, dict) or not isinstance(default, str | None):
                    broken.add(name)
        return cls(declared if stacks or all_read else None, frozenset(broken), given, environment, baseless)

    def undeclared(self) -> list[Finding]:
        """A finding for each value that was given to a variable nobody declares."""
        if self.declared is None or self.baseless:
            return []
        expected = "expected a variable that the Stack declares in spec.variables, found one it does not"
        return [
            Finding(f"variable {quoted(name)}", 0, 0, "", f"{expected}{did_you_mean(name, self.declared)}")
            for name in sorted(self.given.keys() - self.declared.keys())
        ]

    def unfit(self, stacks: Sequence[Document]) -> list[Finding]:
        """A finding for each declaration whose value is missing, or not as the declaration says. Shows no value."""
        findings = []
        for stack in stacks:
            variables = stack.at(DECLARATIONS)
            for name, declaration in variables.items() if isinstance(variables, dict) else ():
                if self.declared is None or name in self.broken or not isinstance(declaration, dict):
                    continue
                value = self.given.get(name, self.declared[name])
                source = f"--var {name}" if name in self.given else "its default"
                if value is None and declaration.get("required") is True and not self.baseless:
                    message = f"expected a value, found neither a default nor --var {name}=VALUE"
                    findings.append(stack.finding((*DECLARATIONS, name), message))
                elif value is not None and (expected := _misfit(declaration, value)):
                    message = f"expected {expected}, found another value in {source}"
                    findings.append(stack.finding((*DECLARATIONS, name), message))
        return findings

    def substitute(self, document: Document) -> list[Finding]:
        """Put values in for the references of *document*; those that stand for nothing are left, and found."""
        findings: list[Finding] = []
        for reference in document.references:
            unknown: list[str] = []
            parts = _parts(reference.text, self._answer(document, reference.path, unknown))
            if unknown:
                document.refused.add(reference.path)
                messages = dict.fromkeys(filter(None, unknown))
                findings += [document.finding(reference.path, message) for message in messages]
            else:
                reference.container[reference.path[-1]] = _value(reference, parts)
        return findings

    def _answer(self, document: Document, path: Path, unknown: list[str]) -> Callable[[re.Match[str]], str | Item]:
        """What a token at *path* stands for; the reason is added to *unknown* when it stands for nothing."""
        forbidden = _forbidden(document, path)

        def answer(match: re.Match[str]) -> str | Item:
            if match[0] == _LITERAL:
                return "${"
            try:
                if forbidden is not None:
                    raise _UnknownError(f"expected plain text, found {quoted(match[0])}: {forbidden}")
                return _item(document, path, match) if match["scope"] == "item" else self._ask(match)
            except _UnknownError as error:
                unknown.append(str(error))
                return match[0]

        return answer

    def _ask(self, match: re.Match[str]) -> str:
        scope, name = match["scope"], match["name"]
        if not match["end"] or not _NAME.fullmatch(name):
            raise _misspelt(match)
        return self._environment(name) if scope == "env" else self._variable(name)

    def _variable(self, name: str) -> str:
        if self.declared is None or name in self.broken:
            raise _UnknownError
        if name not in self.declared and self.baseless:
            raise _UnknownError
        if name not in self.declared:
            hint = did_you_mean(name, self.declared)
            raise _UnknownError(f"expected a variable that a Stack declares, found '${{var.{name}}}'{hint}")
        value = self.given.get(name, self.declared[name])
        if value is None and self.baseless:
            raise _UnknownError
        if value is None:
            raise _UnknownError(
                f"expected a value for '${{var.{name}}}', found neither a default nor --var {name}=VALUE"
            )
        return value

    def _environment(self, name: str) -> str:
        if name not in self.environment:
            hint = did_you_mean(name, self.environment)
            raise _UnknownError(f"expected an environment variable that is set, found '${{env.{name}}}'{hint}")
        return self.environment[name]


def _misfit(declaration: Mapping[str, Any], value: str) -> str | None:
    """What a declaration expects, where *value* is something else."""
    type_, enum, pattern = (declaration.get(key) for key in ("type", "enum", "pattern"))
    if isinstance(type_, str) and type_ in _SHAPES and not _SHAPES[type_].fullmatch(value):
        return {"integer": "a whole number", "number": "a number", "boolean": "true or false"}[type_]
    if isinstance(enum, list) and enum and value not in enum:
        return f"one of {', '.join(map(str, enum))}"
    if isinstance(pattern, str) and _compiles(pattern) and not re.fullmatch(pattern, value):
        return f"a value that matches {quoted(pattern)}"
    return None


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:  # the model says it
        return False
    return True


def _misspelt(match: re.Match[str]) -> _UnknownError:
    rule = "a name of letters, digits, '_' and '-', and a closing '}'"
    found = f"found {quoted(match[0])} (a literal '${{' is '$${{')"
    return _UnknownError(f"expected ${{{match['scope']}.NAME}} with {rule}, {found}")


def _item(document: Document, path: Path, match: re.Match[str]) -> Item:
    parameter, _, field = match["name"].partition(".")
    if not match["end"] or not _NAME.fullmatch(parameter):
        raise _misspelt(match)
    if document.kind != "Job" or path[:1] != ("taskGroups",) or path[2:3] != ("template",):
        rule = "expected ${item.NAME} in the template of a task group only"
        raise _UnknownError(f"{rule}, found {quoted(match[0])} (a literal '${{' is '$${{')")
    return Item(parameter, field)


def _parts(text: str, answer: Callable[[re.Match[str]], str | Item]) -> list[str | Item]:
    """*text* with its tokens answered; what is put in is not looked at again."""
    parts: list[str | Item] = []
    position = 0
    for match in _TOKEN.finditer(text):
        parts += [text[position : match.start()], answer(match)]
        position = match.end()
    return [part for part in (*parts, text[position:]) if part != ""]


def _value(reference: Reference, parts: list[str | Item]) -> Any:
    """A scalar written without quotes that is one reference and nothing else means what its value would mean there."""
    match = _TOKEN.fullmatch(reference.text)
    is_bare = bool(reference.plain and match and match["scope"])
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) < len(parts):
        return Template(tuple(parts), is_bare)
    text = "".join(texts)
    return plain(text) if is_bare else text


def _forbidden(document: Document, path: Path) -> str | None:
    """What must be spelled out at *path*, if anything: the rest is read with its help."""
    if path in (("apiVersion",), ("kind",)):
        return f"{path[0]} cannot hold a variable"
    if document.kind == "Stack" and path == ("metadata", "name"):
        return "the name of a Stack cannot hold a variable: objects are found by it"
    if document.kind == "Stack" and path[:2] == ("spec", "bases"):
        return "the path of a base cannot hold a variable"
    if document.kind == "Stack" and path[:2] == DECLARATIONS:
        return "a declaration cannot hold a variable"
    return None
