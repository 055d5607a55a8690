"""Operations on applications: request in, answer out. Shapes as recorded in R18:applications and R20:applications."""

from __future__ import annotations

from reconciler.emulator.errors import refuse
from reconciler.emulator.packages import Application
from reconciler.emulator.wire import Answer, Api, Json, Request, listing


def list_all(api: Api, request: Request) -> Answer:
    """Only applications with a version are listed (O)."""
    items = [(one.id.lower(), lambda one=one: _show(one)) for one in api.engine.world.packages.list_all()]
    return listing(request, "listapplicationsummariesresponses", "applications", items)


def get(api: Api, request: Request) -> Answer:
    found = api.engine.world.packages.find(request.values["applicationId"])
    if found is None:
        raise refuse("ApplicationNotFound")
    metadata = {"odata.metadata": f"{request.base}/$metadata#getapplicationsummaryresponse/@Element"}
    return Answer(200, metadata | _show(found))


def _show(application: Application) -> Json:
    """No display name unless there is one: so recorded from 2018 to 2020, although M calls it required."""
    name = {"displayName": application.display_name} if application.display_name else {}
    return {"id": application.id, **name, "versions": list(application.versions)}
