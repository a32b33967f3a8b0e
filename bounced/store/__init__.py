"""What is known of each address, in Redis or Valkey.

The only package that imports redis. `Store` is all that the rest of the house uses.
"""

from bounced.store.faults import StoreUnavailable
from bounced.store.store import Store

__all__ = ["Store", "StoreUnavailable"]
