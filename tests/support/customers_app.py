"""The customers as an application for the command line; the environment names its log."""

import os

from support.customers import Customer, Letterbox, Names, Welcome

from actorium import Runtime


def runtime() -> Runtime:
    return Runtime([Customer, Letterbox, Welcome, Names], store=os.environ["SHOP_LOG"])
