"""Switches of one instance (spec: "the sandbox model"); defaults are BRM's usual behaviour."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    free_login_on_close: bool = False
    """Whether closing a service frees its login for another one (INV-02)."""
    allow_reopen: bool = False
    """Whether a closed account may become active again (5.6)."""
    strict_rev: bool = False
    """Whether a write that names an old revision of its target is refused (5.4)."""
