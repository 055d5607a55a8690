"""The account over the wire: BatchReader and BatchWriter on the Azure SDK. Nobody else knows the REST API.

Requests go through the SDK's public `send_request`, which keeps its signature, token, retry and redirect policies,
and skips its models (they cost thirty times the decoding of a list). Bodies are plain dicts in wire form.

What protects each write against a world that moved since it was looked at (REST reference, "Specifying Conditional
Headers"; SDK 15.1 operations):

| request                                            | protection                                                    |
|----------------------------------------------------|---------------------------------------------------------------|
| PATCH, resize, enable, terminate, delete           | If-Match with the ETag that the decision was taken on         |
| PUT task (constraints)                             | If-Match with the task's ETag                                 |
| create pool, create job                            | the id is taken or not; our own lost answer is known by nonce |
| add task collection                                | ids are taken or not; `TaskExists` is read back and compared  |
| updateproperties (removing a start task)           | none is offered: a fresh read of the ETag just before         |
| remove, restart nodes                              | If-Match, or a fresh read; all still off scheduling and idle  |
| delete schedule                                    | If-Match; its jobs listed again just before: there are none   |

The ETag does not change when a job enters `completed`, `disabled` or `deleting` (recorded), so a guarded request can
still meet another state; the service then answers 409, which means: look again.
"""

from reconciler.azure.account import Account, connect

__all__ = ["Account", "connect"]
