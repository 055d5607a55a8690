"""What we keep for ourselves: ledger, receipts, captured logs, journal, locks. In a folder, or in a container of Azure
Blob Storage, by the same names.

    LOCATION/<account>/<stack>/store-id, ledger/, receipts/, logs/, journal/
    LOCATION/<account>/.locks/
"""

from reconciler.store.location import Location, Store, forget_account, location_of, open_store, state_directory
from reconciler.store.lock import SECONDS, Held, MachineClock, held, locked, this_owner, this_person, until
from reconciler.store.records import Records

__all__ = [
    "SECONDS",
    "Held",
    "Location",
    "MachineClock",
    "Records",
    "Store",
    "forget_account",
    "held",
    "location_of",
    "locked",
    "open_store",
    "state_directory",
    "this_owner",
    "this_person",
    "until",
]
