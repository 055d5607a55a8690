"""How the operating system of a pool's nodes is kept current. Limits: OpenAPI document, RollingUpgradePolicy."""

from typing import Literal, Self

from pydantic import model_validator

from reconciler.model.field import SERVICE_CHOSEN, Compare, Spec, refusal, wire
from reconciler.model.types import Duration


class AutomaticOsUpgradePolicy(Spec):
    """Upgrades of the image without being asked."""

    disableAutomaticRollback: bool | None = wire("Whether a failed upgrade stays as it is.", default=False)
    enableAutomaticOSUpgrade: bool | None = wire("Whether nodes get newer images by themselves.", default=False)
    useRollingUpgradePolicy: bool | None = wire("Whether the rolling policy holds for them.", default=False)
    osRollingUpgradeDeferral: bool | None = wire("Whether nodes that run tasks are put off.", default=False)


class RollingUpgradePolicy(Spec):
    """Upgrades a few nodes at a time."""

    enableCrossZoneUpgrade: bool | None = wire(
        "Whether a batch may span zones. Only with zonal placement.", default=SERVICE_CHOSEN
    )
    maxBatchInstancePercent: int | None = wire(
        "Most nodes in one batch, in percent; not more than `maxUnhealthyInstancePercent`.",
        default=SERVICE_CHOSEN,
        ge=5,
        le=100,
    )
    maxUnhealthyInstancePercent: int | None = wire(
        "Most nodes of the pool that may be unhealthy, in percent.", default=SERVICE_CHOSEN, ge=5, le=100
    )
    maxUnhealthyUpgradedInstancePercent: int | None = wire(
        "Most upgraded nodes that may be unhealthy, in percent.", default=SERVICE_CHOSEN, ge=0, le=100
    )
    pauseTimeBetweenBatches: Duration | None = wire(
        "Pause after each batch.", default=SERVICE_CHOSEN, compare=Compare.DURATION
    )
    prioritizeUnhealthyInstances: bool | None = wire("Whether unhealthy nodes come first.", default=False)
    rollbackFailedInstancesOnPolicyBreach: bool | None = wire(
        "Whether failed nodes are taken back when a limit is crossed.", default=False
    )

    @model_validator(mode="after")
    def _batch_within_unhealthy(self) -> Self:
        batch, unhealthy = self.maxBatchInstancePercent, self.maxUnhealthyInstancePercent
        if batch is not None and unhealthy is not None and batch > unhealthy:
            raise refusal(
                f"expected maxBatchInstancePercent of at most maxUnhealthyInstancePercent ({unhealthy}), found {batch}"
            )
        return self


class UpgradePolicy(Spec):
    """How nodes are upgraded."""

    mode: Literal["automatic", "manual", "rolling"] = wire(
        "All at once, when you say so, or a few at a time.", required=True, compare=Compare.FOLDED
    )
    automaticOSUpgradePolicy: AutomaticOsUpgradePolicy | None = wire("Upgrades of the image.", default=SERVICE_CHOSEN)
    rollingUpgradePolicy: RollingUpgradePolicy | None = wire("How a few at a time goes.", default=SERVICE_CHOSEN)
