"""Symbolic names of what plans create; the same across services."""

from __future__ import annotations

from libs.plan.model import Ref


def bundle_name(asset: str) -> Ref:
    return Ref(f"bundle({asset})")


def service_name(asset: str) -> Ref:
    return Ref(f"service({asset})")


def product_name(asset: str) -> Ref:
    return Ref(f"product({asset})")


def discount_name(asset: str) -> Ref:
    return Ref(f"discount({asset})")


def profile_name(asset: str) -> Ref:
    """The special rating list of an asset."""
    return Ref(f"profile({asset})")


def item_name(line_id: str) -> Ref:
    """A bought item: no asset, so named by its line."""
    return Ref(f"item({line_id})")


def account_group_name(account_id: str) -> Ref:
    """The balance group that all services of an account are in from now on."""
    return Ref(f"balgrp(account:{account_id})")


def group_name(asset: str) -> Ref:
    """The balance group of a service."""
    return Ref(f"balgrp(service:{asset})")
