"""Personal data: fields whose text is encrypted with a key for each person, and can be forgotten.

`Runtime.forget` destroys the key. See the guide "Personal data".
"""

from actorium.personal.forgetting import SubjectForgotten
from actorium.store.personal.keys import KeyStore, MemoryKeys, SubjectKey, new_key
from actorium.store.personal.sqlite_keys import SQLiteKeys
from actorium.store.personal.values import FORGOTTEN, Personal, personal

__all__ = [
    "FORGOTTEN",
    "KeyStore",
    "MemoryKeys",
    "Personal",
    "SQLiteKeys",
    "SubjectForgotten",
    "SubjectKey",
    "new_key",
    "personal",
]
