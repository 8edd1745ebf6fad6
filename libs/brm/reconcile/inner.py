"""Opcodes that no flow of ours takes; what they leave behind is found as with the opcodes around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from libs.brm.call import BrmCall
from libs.brm.flist import Flist
from libs.brm.reconcile.collections import add_action
from libs.brm.reconcile.generic import gone, repeat, stored, target
from libs.brm.reconcile.match import contains
from libs.brm.reconcile.money import by_token, payment_item
from libs.brm.reconcile.scene import Finder, Scene
from libs.brm.reconcile.transfers import change_deal


async def _receive(scene: Scene, call: BrmCall) -> Flist | None:
    charge = call.input | {"ACCOUNT_OBJ": call.input["POID"]}
    item = await payment_item(scene, call, charge)
    return {"POID": target(scene, call), "ITEM_OBJ": item["POID"], "TRANS_ID": call.input["TRANS_ID"]} if item else None


async def _move_item(scene: Scene, call: BrmCall) -> Flist | None:
    for item in call.input["ITEMS"].values():
        if not contains(await scene.read(item["POID"]), {"BILL_OBJ": call.input["POID"]}):
            return None
    return {"POID": target(scene, call)}


FINDERS: Final[Mapping[str, Finder]] = {
    "PCM_OP_CUST_SET_PASSWD": repeat,
    "PCM_OP_CUST_INIT_SERVICE": stored("INHERITED_INFO"),
    "PCM_OP_CUST_DELETE_ACCT": gone,
    "PCM_OP_SUBSCRIPTION_TRANSITION_DEAL": change_deal,
    "PCM_OP_BILL_GROUP_REMOVE_PAYING_MEMBERS": repeat,
    "PCM_OP_BILL_RCV_PAYMENT": _receive,
    "PCM_OP_BILL_MOVE_ITEM": _move_item,
    "PCM_OP_AR_BILL_CREDIT_TRANSFER": by_token,
    "PCM_OP_PRICE_SET_PRICE_LIST": repeat,
    "PCM_OP_COLLECTIONS_INSERT_ACTION": add_action,
}
