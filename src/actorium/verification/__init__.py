"""Tamper evidence: the head of a log, and the comparison of a log with heads that were kept elsewhere.

`actorium.verification.signatures` signs heads; it needs the extra `verify`.
"""

from actorium.verification.heads import LogHead, decode_head, encode_head
from actorium.verification.verifying import Verification, head_of, verify

__all__ = ["LogHead", "Verification", "decode_head", "encode_head", "head_of", "verify"]
