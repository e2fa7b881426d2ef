"""All mutants: importing this module registers them."""

from simulation.mutants import (
    of_commands,
    of_nodes,
    of_readers,
    of_sagas,
    of_services,
    of_services_on_nodes,
    of_shares,
    of_store,
    of_user_code,
)

PLANTED = (
    of_commands,
    of_nodes,
    of_readers,
    of_sagas,
    of_services,
    of_services_on_nodes,
    of_shares,
    of_store,
    of_user_code,
)
