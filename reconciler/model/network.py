"""The network of a pool's nodes. Limits: REST reference 8.3 (BatchInboundNatPool, NetworkSecurityGroupRule)."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from reconciler.model.field import Compare, Spec, refusal, wire
from reconciler.model.types import BackendPort, EndpointName, FrontendPort, Name, PortRange, at_most, once, repeated

LEAST_PORTS = 40
MOST_RULES = 25


class NetworkSecurityGroupRule(Spec):
    """Who may reach an endpoint."""

    priority: int = wire("Order of the rule; the lowest number wins. Once in a pool.", required=True, ge=150, le=4096)
    access: Literal["allow", "deny"] = wire("What it does.", required=True, compare=Compare.FOLDED)
    sourceAddressPrefix: Name = wire("An address, a range (192.168.1.0/24), a service tag, or `*`.", required=True)
    sourcePortRanges: list[PortRange] | None = wire("Ports the traffic comes from.", default=["*"])


class InboundNatPool(Spec):
    """Opens one port of every node to the outside, each node on a port of its own."""

    name: EndpointName = wire("Name of the endpoint; once in a pool.", required=True)
    protocol: Literal["tcp", "udp"] = wire("Its protocol.", required=True, compare=Compare.FOLDED)
    backendPort: BackendPort = wire("The port on the node; once in a pool.", required=True)
    frontendPortRangeStart: FrontendPort = wire("First of the ports outside.", required=True)
    frontendPortRangeEnd: FrontendPort = wire("Last of the ports outside; at least 40 in all.", required=True)
    networkSecurityGroupRules: Annotated[list[NetworkSecurityGroupRule] | None, once("priority")] = wire(
        "Who may reach it, at most 25 rules in a pool. None: everyone.", keyed_by="priority"
    )

    @model_validator(mode="after")
    def _enough_ports(self) -> Self:
        ports = self.frontendPortRangeEnd - self.frontendPortRangeStart + 1
        if ports < LEAST_PORTS:
            raise refusal(f"expected at least {LEAST_PORTS} ports outside, found {max(ports, 0)}")
        if self.frontendPortRangeStart < 50000 <= self.frontendPortRangeEnd:
            raise refusal("expected ports outside of 50000 to 55000, which are reserved")
        return self


def _apart(pools: list[InboundNatPool]) -> list[InboundNatPool]:
    """Port ranges of one pool do not overlap, and its rules are few and have different priorities."""
    if not pools:
        raise refusal("expected at least 1 endpoint, found none")
    ordered = sorted(pools, key=lambda pool: pool.frontendPortRangeStart)
    for before, after in pairwise(ordered):
        if after.frontendPortRangeStart <= before.frontendPortRangeEnd:
            raise refusal(f"expected port ranges that do not overlap, found those of {before.name} and {after.name}")
    rules = [rule for pool in pools for rule in pool.networkSecurityGroupRules or ()]
    if len(rules) > MOST_RULES:
        raise refusal(f"expected at most {MOST_RULES} rules in a pool, found {len(rules)}")
    if twice := repeated(rule.priority for rule in rules):
        raise refusal(f"expected each priority once in a pool, found {twice[0]} again")
    return pools


class PoolEndpointConfiguration(Spec):
    """The ports of the nodes that are open to the outside."""

    inboundNATPools: Annotated[
        list[InboundNatPool],
        at_most(5, "endpoints"),
        once("backendPort"),
        AfterValidator(_apart),
    ] = wire("The endpoints, at most 5.", required=True, keyed_by="name")


class IPTag(Spec):
    """A tag of a public address."""

    ipTagType: str | None = wire("Kind of the tag.")
    tag: str | None = wire("Value of the tag.")


class PublicIPAddressConfiguration(Spec):
    """The public addresses of the nodes."""

    provision: Literal["batchmanaged", "usermanaged", "nopublicipaddresses"] | None = wire(
        "Who provides them; or that there are none.", default="batchmanaged", compare=Compare.FOLDED
    )
    ipFamilies: list[Literal["IPv4", "IPv6"]] | None = wire(
        "IPv4, or IPv4 and IPv6 for both.", default=["IPv4"], compare=Compare.FOLDED
    )
    ipAddressIds: list[str] | None = wire(
        "ARM ids of addresses of your own, for `usermanaged`; each serves at most 100 nodes.", compare=Compare.FOLDED
    )
    ipTags: list[IPTag] | None = wire("Tags of the addresses.")

    @model_validator(mode="after")
    def _own_addresses(self) -> Self:
        if self.provision == "usermanaged" and not self.ipAddressIds:
            raise refusal("expected ipAddressIds beside provision: usermanaged, found none")
        return self


class NetworkConfiguration(Spec):
    """The network of the nodes."""

    subnetId: Name | None = wire(
        "ARM id of a subnet, in the account's region and subscription.", compare=Compare.FOLDED
    )
    dynamicVNetAssignmentScope: Literal["none", "job"] | None = wire(
        "Whether jobs may bring nodes into networks of their own.", default="none", compare=Compare.FOLDED
    )
    endpointConfiguration: PoolEndpointConfiguration | None = wire("Ports open to the outside.")
    publicIPAddressConfiguration: PublicIPAddressConfiguration | None = wire("Public addresses.", default={})
    enableAcceleratedNetworking: bool | None = wire("Whether nodes use accelerated networking.", default=False)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        public = self.publicIPAddressConfiguration
        if self.endpointConfiguration and public and public.provision == "nopublicipaddresses":
            raise refusal("expected no endpointConfiguration beside provision: nopublicipaddresses")
        return self


class JobNetworkConfiguration(Spec):
    """A network that nodes join while they run tasks of the job. Has to be enabled for the account by support."""

    subnetId: Name = wire(
        "ARM id of the subnet; it needs an address for each node.", required=True, compare=Compare.FOLDED
    )
    skipWithdrawFromVNet: bool | None = wire("Whether nodes stay in it after the job ended.", default=False)
