"""Annotations that mean something to the reconciler: consents of a commit. Others are anybody's, and not looked at."""

from reconciler.errors import Finding
from reconciler.manifest.text import Document
from reconciler.manifest.words import Path, did_you_mean
from reconciler.model import consent
from reconciler.model.consent import Consent
from reconciler.model.desired import Source

PATH: Path = ("metadata", "annotations")


def consents(document: Document) -> tuple[tuple[Consent, ...], list[Finding]]:
    """The consents of a document, and what is wrong with those that are none."""
    written = document.at(PATH)
    found: list[Consent] = []
    findings: list[Finding] = []
    for name, value in written.items() if isinstance(written, dict) else ():
        flag = consent.flag_of(name) if isinstance(name, str) else None
        path = (*PATH, name)
        if flag is None or document.is_refused(path):
            continue
        if flag not in consent.KNOWN:
            known = ", ".join(consent.PREFIX + it for it in consent.KNOWN)
            hint = did_you_mean(name, [consent.PREFIX + it for it in consent.KNOWN])
            message = consent.NOT_HERE.get(flag, f"expected one of {known}, found {name!r}{hint}")
            findings.append(document.finding(path, message, of_key=True))
        elif isinstance(value, str):  # the model refuses anything else
            try:
                place = Source(document.origin(path)[0].file.path, *document.position(path))
                found += consent.parse(flag, value, _own(document), place)
            except ValueError as error:
                findings.append(document.finding(path, f"expected {error}"))
    return tuple(found), findings


def _own(document: Document) -> str | None:
    """The address of the object that a document declares; None for a Stack."""
    return None if document.kind == "Stack" else f"{str(document.kind).lower()}/{document.at(('metadata', 'name'))}"
