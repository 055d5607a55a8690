"""A plan on paper: what was approved, for which account, made from which sources. `plan --out` writes it beside what
people and programs read of a plan, `apply PLAN` reads it again.

It holds no secret. What the manifests asked for is there as a digest of each object, under the key of the marks where
there is one, so that nobody can try out secrets; prints of new values likewise. Sources are named and read again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self

from reconciler.approval import Approval
from reconciler.errors import TargetError
from reconciler.lifecycle.steps import Consents, Context
from reconciler.lifecycle.wording import few
from reconciler.model.desired import Desired, Key, Kind, Wanted
from reconciler.model.digest import print_of
from reconciler.model.secret import key_id
from reconciler.model.table import Path
from reconciler.planning import Plan

KIND: Final = "Plan"
FORMAT_VERSION: Final = "1.0"
MADE_BY: Final = "made by `reconciler plan --out FILE`"
STANDARD_INPUT: Final = "-"
_HINT: Final = 4


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the manifests are: *paths* and *var_files* as they were given in *folder*, and the names of variables that
    were given beside them. Their values are not kept: they may be secrets."""

    folder: str
    paths: tuple[str, ...]
    var_files: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a manifest asked for: a digest of all of it, which decides, and a few characters for each of its *parts* by
    name, which say in words where another one differs."""

    digest: str
    parts: Mapping[str, str]

    def differs_in(self, other: Self) -> str:
        """`spec.priority, tasks`; empty where no part that is written differs."""
        names = sorted(self.parts.keys() | other.parts.keys())
        return few([name for name in names if self.parts.get(name) != other.parts.get(name)])


@dataclass(frozen=True)
class Saved:
    """What `apply PLAN` is bound to.

    *desired* is what was asked for each object that the plan is about, made with the key of id *key_id* (empty: none).
    *at* is when the account was looked at. *nonce* begins that of each object that the plan creates. *context* is what
    the plan was decided under, without what is read anew each time.
    """

    digest: str
    endpoint: str
    account: str | None
    sources: Sources
    context: Context
    at: str
    nonce: str
    key_id: str
    desired: Mapping[Key, Asked] = field(repr=False)
    approved: Mapping[Key, Approval] = field(repr=False)

    @property
    def stack(self) -> str:
        return self.context.stack

    @classmethod
    def of(
        cls,
        plan: Plan,
        desired: Desired,
        context: Context,
        *,
        endpoint: str,
        account: str | None,
        sources: Sources,
        at: str,
        nonce: str,
    ) -> Self:
        """What is to be kept of a plan that `refusal` has nothing against."""
        # Without a secret the digests need no key, and the plan may be applied with other credentials.
        key = key_of_digests(desired) if any(_secret_ones(desired, context)) else b""
        return cls(
            plan.digest,
            endpoint,
            account,
            sources,
            Context(
                context.stack,
                context.prunes,
                consents=context.consents,
                check_tasks=context.check_tasks,
                due=context.due,
                only=context.only,
            ),
            at,
            nonce,
            key_id(key) if key else "",
            _all_asked(desired, context, key),
            {name: replace(Approval.of(entry, key), nonce=nonce) for name, entry in plan.entries.items()},
        )

    def content(self) -> dict[str, Any]:
        """As JSON: the part of a plan's document that `apply` reads."""
        consents = self.context.consents
        return {
            "digest": self.digest,
            "endpoint": self.endpoint,
            "account": self.account,
            "stack": self.stack,
            "sources": {
                "folder": self.sources.folder,
                "paths": list(self.sources.paths),
                "var_files": list(self.sources.var_files),
                "variables": list(self.sources.variables),
            },
            "prune": self.context.prunes,
            "check_tasks": self.context.check_tasks,
            "due": self.context.due,
            "only": None if self.context.only is None else sorted(map(str, self.context.only)),
            "consents": {
                **{name: sorted(map(str, getattr(consents, name))) for name in _BY_NAME},
                **{name: sorted([str(key), born] for key, born in getattr(consents, name)) for name in _BY_BIRTH},
            },
            "at": self.at,
            "nonce": self.nonce,
            "digest_key": self.key_id,
            "desired": {str(key): asdict(one) for key, one in sorted(self.desired.items())},
            "approved": {str(key): one.content() for key, one in self.approved.items()},
        }

    @classmethod
    def parse(cls, document: Any, name: str) -> Self:
        """What the document read from the file *name* says. Raises TargetError for one that cannot be applied."""
        if not is_plan(document):
            raise TargetError(f"{name} is not a plan ({MADE_BY})")
        if (version := document.get("format_version")) != FORMAT_VERSION:
            raise TargetError(f"{name} is a plan of format {version}; this version reads {FORMAT_VERSION}")
        content = document.get("apply")
        if not isinstance(content, dict):
            raise TargetError(f"{name} is a plan to read, not one to apply ({MADE_BY})")
        if "refused" in content:
            raise TargetError(f"{name} cannot be applied: {content['refused']}")
        try:
            return cls._parse(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TargetError(f"{name} is not a whole plan: {type(error).__name__}: {error}") from None

    @classmethod
    def _parse(cls, content: Mapping[str, Any]) -> Self:
        sources, only = content["sources"], content["only"]
        given = {name: frozenset(map(_key, content["consents"][name])) for name in _BY_NAME}
        bound = {
            name: frozenset((_key(key), str(born)) for key, born in content["consents"][name]) for name in _BY_BIRTH
        }
        context = Context(
            str(content["stack"]),
            bool(content["prune"]),
            consents=Consents(**given, **bound),  # type: ignore[arg-type]
            check_tasks=bool(content["check_tasks"]),
            due=str(content["due"]),
            only=None if only is None else frozenset(map(_key, only)),
        )
        nonce = str(content["nonce"])
        if not nonce:
            raise ValueError("it has no nonce")
        return cls(
            str(content["digest"]),
            str(content["endpoint"]),
            content["account"],
            Sources(str(sources["folder"]), *(tuple(map(str, sources[part])) for part in _PARTS)),
            context,
            str(content["at"]),
            nonce,
            str(content["digest_key"]),
            {_key(key): Asked(str(one["digest"]), dict(one["parts"])) for key, one in content["desired"].items()},
            {_key(key): Approval.parse(one, nonce) for key, one in content["approved"].items()},
        )

    def key_for(self, desired: Desired) -> bytes:
        """The key of the prints and digests in it."""
        return key_of_digests(desired) if self.key_id else b""

    def differences(self, desired: Desired) -> Iterator[str]:
        """What the manifests ask for otherwise than when the plan was made, object by object. Raises TargetError where
        that cannot be told."""
        key = key_of_digests(desired)
        if self.key_id and (not key or key_id(key) != self.key_id):
            raise TargetError(
                "the digests of this plan were made with another key (the Stack's digestKey, or the account's), so "
                "what the manifests asked for then cannot be compared: plan again, or apply it with that key"
            )
        now = _all_asked(desired, self.context, self.key_for(desired))
        for name in sorted(now.keys() | self.desired.keys()):
            if name not in self.desired:
                yield f"{desired.objects[name].address} ({desired.objects[name].source}) is new in the manifests"
            elif name not in now:
                yield f"{name} is no longer in the manifests"
            elif now[name].digest != self.desired[name].digest:
                wanted, parts = desired.objects[name], now[name].differs_in(self.desired[name])
                yield f"{wanted.address} ({wanted.source}) changed in the manifests: {parts or 'what is not written'}"


_PARTS: Final = ("paths", "var_files", "variables")
_BY_NAME: Final = ("release_loss", "release_failure", "task_loss", "new_run")
_BY_BIRTH: Final = ("replace", "force", "stuck")


def _key(text: str) -> Key:
    kind, _, name = text.partition("/")
    return Key(Kind(kind), name)


def is_plan(document: Any) -> bool:
    """Whether a JSON document is a plan, and not something else that somebody may have in a file."""
    return isinstance(document, dict) and document.get("kind") == KIND and "format_version" in document


def key_of_digests(desired: Desired) -> bytes:
    """The key that digests of secrets are made with; empty without one."""
    return next((wanted.digest_key for wanted in desired.objects.values() if wanted.digest_key), b"")


def refusal(desired: Desired, context: Context, sources: Sources) -> str | None:
    """Why a plan cannot be applied from a file; None when it can."""
    if STANDARD_INPUT in sources.paths:
        return "its manifests came from standard input, which cannot be read again: give files or folders"
    secret = next(_secret_ones(desired, context), None)
    if secret is not None and not key_of_digests(desired):
        return (
            f"{secret.address} has secrets, and without an account key there is no key for a digest of them: give "
            "the Stack a digestKey"
        )
    return None


def _secret_ones(desired: Desired, context: Context) -> Iterator[Wanted]:
    return (wanted for wanted in desired.objects.values() if context.is_about(wanted.key) and wanted.has_secrets)


def _all_asked(desired: Desired, context: Context, key: bytes) -> dict[Key, Asked]:
    """What each manifest says, by object: only of those that the plan is about."""
    return {name: _asked(wanted, key) for name, wanted in desired.objects.items() if context.is_about(name)}


def _asked(wanted: Wanted, key: bytes) -> Asked:
    secrets, of_tasks = _listed(wanted.secrets), [print_of(_listed(one), key) for one in wanted.secrets_of_tasks]
    beside = {
        "metadata.name": wanted.name,
        "lifecycle": wanted.lifecycle.model_dump(mode="json"),
        "tasks": [wanted.tasks_digest, of_tasks] if wanted.tasks else None,
        "secrets": secrets or None,
    }
    written = {f"spec.{name}": value for name, value in wanted.stated.written.items()}
    parts = {name: print_of(value, key)[:_HINT] for name, value in {**written, **beside}.items() if value is not None}
    return Asked(print_of([wanted.stated.spec, beside], key), parts)


def _listed(secrets: Mapping[Path, Any]) -> list[tuple[list[str], Any]]:
    return sorted((list(path), value) for path, value in secrets.items())
